"""Layers as file systems without unpacking: the plain tar stays as it is, beside it lies an EROFS index of it.

The index is an EROFS image that holds metadata alone. Its blocks are as large as a tar's, 512 bytes, and the tar is its
second device, so a file's data are where the tar has them. https://erofs.docs.kernel.org/en/latest/core_ondisk.html

- `nodes` is the tree in memory, and how names lead through it;
- `collect` makes the tree of a tar's entries, with the meaning that `unpack.apply` gives to them;
- `sparse` places the data of files with holes;
- `write` lays the tree out, in bytes that depend on the tar alone;
- `ondisk` has the structures;
- `check` tells whether an index is whole, and what its root directory looks like.
"""

TAR = "layer.tar"
INDEX = "layer.erofs"
