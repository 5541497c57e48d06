"""Extended attributes: which of an archive are kept, and how an inode has them.

Kept is what unpacking keeps: a service without CAP_SYS_ADMIN may set neither "trusted." nor "security." ones but file
capabilities, and overlayfs' own are commands, not data (xattr(7), capabilities(7)).
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Iterable

from scow.core.archive.read.faults import LIMIT, Fault, hostile
from scow.image.layers.erofs.ondisk import (
    NAME_MAX,
    XATTR,
    XATTR_HEADER,
    XATTR_PREFIXES,
    XATTR_VALUE_MAX,
    XATTRS_MAX,
)

OPAQUE = "user.overlay.opaque"
_OVERLAY = ("user.overlay.", "trusted.overlay.")
_CAPABILITY = "security.capability"
_ACLS = ("system.posix_acl_access", "system.posix_acl_default")
# Size of the value by revision (linux/capability.h).
_CAPABILITY_SIZES = {0x02000000: 20, 0x03000000: 24}
_REVISION = 0xFF000000
_EFFECTIVE = 1


def kept(
    wanted: dict[str, bytes], mode: int, entry: bytes, skipped: set[str]
) -> dict[str, bytes] | None:
    """Return the attributes that an inode gets, None instead of none.

    Args:
        wanted: What the archive says.
        mode: With the inode's type.
        entry: Named in errors.
        skipped: Gets the names of those that are left out.

    Raises:
        Fault: The kernel would refuse one as malformed, or the index cannot hold them.
    """
    found: dict[str, bytes] = {}
    for name, value in wanted.items():
        if name.startswith(_OVERLAY):
            continue
        if not _settable(name, mode):
            skipped.add(name)
            continue
        _check(name, value, entry)
        found[name] = value
    return found or None


def _settable(name: str, mode: int) -> bool:
    if name.startswith("user."):
        return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
    if name in _ACLS:
        return not stat.S_ISLNK(mode)
    return name == _CAPABILITY


def _check(name: str, value: bytes, entry: bytes) -> None:
    encoded = name.encode()
    if len(encoded) > NAME_MAX or name == "user." or "\0" in name:
        raise hostile("an extended attribute has an impossible name", entry)
    if len(value) > XATTR_VALUE_MAX:
        raise Fault(LIMIT, "an extended attribute is larger than 64 KiB", entry)
    if name == _CAPABILITY and not _is_capability(value):
        raise hostile("a file capability is malformed", entry)


def _is_capability(value: bytes) -> bool:
    if len(value) < 4:
        return False
    (magic,) = struct.unpack_from("<I", value)
    return not magic & ~_REVISION & ~_EFFECTIVE and _CAPABILITY_SIZES.get(magic & _REVISION) == len(
        value
    )


def encode(attributes: Iterable[tuple[str, bytes]]) -> bytes:
    """Return what stands behind an inode, in the order given.

    Raises:
        Fault: It is too much.
    """
    parts = [XATTR_HEADER.pack(0, 0)]
    for name, value in attributes:
        encoded = name.encode()
        prefix, index = next(pair for pair in XATTR_PREFIXES if encoded.startswith(pair[0]))
        rest = encoded[len(prefix) :]
        item = XATTR.pack(len(rest), index, len(value)) + rest + value
        parts.append(item + bytes(-len(item) % 4))
    body = b"".join(parts)
    if len(body) > XATTRS_MAX:
        raise Fault(LIMIT, "an entry has more extended attributes than an index holds")
    return body
