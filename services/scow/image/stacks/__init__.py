"""Stacks: layers on each other as one file system, read without mounting anything.

`layer` has what a driver must tell of a layer's files, `merged` puts layers on each other as overlayfs does and follows
names through them, `reader` answers the calls. Layers never change, so what was looked up stays true.
"""
