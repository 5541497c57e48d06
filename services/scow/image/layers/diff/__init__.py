"""What an owner changed in its snapshot, as a layer.

- `changeset` turns the upper directory of an overlay into a layer's tar;
- `layer` hashes and compresses what comes out, in a worker;
- `differ` is the service's side of it.
"""
