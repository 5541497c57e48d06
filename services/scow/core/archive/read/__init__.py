"""Tar archives of strangers, read and written out as trees.

- `streams` decompresses and hands out exact reads; `ahead` lets that run ahead;
- `headers` and `pax` read entries;
- `tree` resolves names below a directory, and `apply` writes entries there;
- `faults` has what can be wrong.
"""
