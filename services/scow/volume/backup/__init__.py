"""Backups of volumes at registries, as artifacts: only what has changed since the last one goes up.

- `format` has what is stored there, and its bounds;
- `chunks` is a process that cuts the tar of a volume where its content says;
- `writing` and `reading` are the two directions;
- `backups` puts them together; `rpc` is the wire shell.
"""
