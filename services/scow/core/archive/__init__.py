"""Tar archives of directory trees.

- `headers` makes the header of one entry;
- `pack` walks a tree, from a descriptor of its root, and writes its archive.

`read` has the other direction.

The same tree gives the same bytes: entries are sorted, owners are numbers, no times but those of changes are there.
"""
