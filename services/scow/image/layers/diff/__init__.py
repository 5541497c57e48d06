"""What an owner changed in its snapshot, as a layer.

- `changeset` turns the upper directory of an overlay into a layer's tar;
- `worker` is the process that does so, and hashes and compresses what comes out;
- `differ` is the service's side of it.
"""
