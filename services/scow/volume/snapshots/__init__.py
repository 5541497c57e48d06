"""Snapshots of volumes, and clones.

- `store` has the rows, `folders` the content;
- `snapshots` makes, deletes and restores;
- `clones` makes volumes of others, or of snapshots;
- `replaced_content` keeps what a restored volume had while containers still use it;
- `rpc` is the wire shell.
"""
