"""Structures and constants of EROFS, as far as indexes use them (linux/fs/erofs/erofs_fs.h).

An index, in blocks of 512 bytes::

    0     what the index is checked by, in bytes that EROFS leaves free
    1024  superblock, 128 bytes
    1152  table of devices: one slot of 128 bytes, the tar
    1280  inodes, each 64 bytes with its xattrs, symlink's target or chunk addresses behind it; the root comes first
    ....  blocks of directories, long targets of symlinks, data of sparse files that do not lie in whole blocks
"""

from __future__ import annotations

from struct import Struct

BLOCK_BITS = 9
BLOCK = 1 << BLOCK_BITS
SLOT_BITS = 5  # inodes are numbered by their place, in units of 32 bytes

# words, number of blocks that are metadata, SHA-256 of them from the superblock on
HEAD = Struct("<16sI32s")
HEAD_WORDS = b"scow layer 1\n"

SUPER_OFFSET = 1024
MAGIC = 0xE0F5E1E2
# magic, checksum, compatible features, block bits, further slots, root's number, inodes, seconds and nanoseconds
# of compact inodes, blocks, first block of inodes and of shared xattrs, uuid, name, incompatible features,
# compression, devices, slot of the first device
SUPER = Struct("<IIIBBHQQIIII16s16sIHHH38x")
COMPAT_MTIME = 0x2
INCOMPAT_CHUNKED_FILE = 0x4
INCOMPAT_DEVICE_TABLE = 0x8

DEVICE_OFFSET = SUPER_OFFSET + SUPER.size
# tag, blocks, first block in the space of addresses that all devices share
DEVICE = Struct("<64sII56x")
INODES_OFFSET = DEVICE_OFFSET + DEVICE.size
# The tar's first block in the shared space: the index has what is below.
TAR_START = 1 << 31
TAR_BLOCKS_MAX = (1 << 31) - 1

# format, xattr count, mode, 0, size, address or device, number, uid, gid, seconds, nanoseconds, links
INODE = Struct("<HHHHQIIIIqII16x")
_EXTENDED = 1
FLAT_PLAIN = _EXTENDED | 0 << 1
FLAT_INLINE = _EXTENDED | 2 << 1
CHUNKED = _EXTENDED | 4 << 1
CHUNK_BITS_MAX = 31
NO_BLOCK = 0xFFFFFFFF

# inode, offset of the name, type
DIRENT = Struct("<QHBx")
NAME_MAX = 255

# name filter, count of shared ones
XATTR_HEADER = Struct("<IB7x")
# length of name, index of prefix, length of value
XATTR = Struct("<BBH")
# The first prefix that fits counts.
XATTR_PREFIXES = (
    (b"user.", 1),
    (b"system.posix_acl_access", 2),
    (b"system.posix_acl_default", 3),
    (b"trusted.", 4),
    (b"security.", 6),
)
XATTR_VALUE_MAX = 0xFFFF
XATTRS_MAX = XATTR_HEADER.size + 4 * 0xFFFE


def blocks(size: int) -> int:
    """Return how many blocks so many bytes take."""
    return (size + BLOCK - 1) >> BLOCK_BITS
