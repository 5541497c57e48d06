"""Tar archives of directory trees, written: what a commit and an export have in common.

- `headers` makes the header of one entry;
- `pack` walks a tree, from a descriptor of its root, and writes its archive.

The same tree gives the same bytes: entries are sorted, owners are numbers, no times but those of changes are there.
"""
