"""Volumes as tar archives: `archives` writes and reads them, `rpc` is the wire shell."""
