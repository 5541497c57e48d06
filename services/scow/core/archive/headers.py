"""Headers of tar entries: ustar where that holds what is to be said, PAX records where it does not.

POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header". Names are bytes, as the kernel has them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

BLOCK = 512
FILE, LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
# Two blocks of zeros end an archive.
END = bytes(2 * BLOCK)

_NAME_MAX = 100
_PREFIX_MAX = 155
_SECOND = 1_000_000_000
_OCTAL_8, _OCTAL_12 = 8**7, 8**11
_PAX = b"x"
# With the names of the owner and the group, which are left empty.
_MAGIC = b"ustar\00000" + bytes(64)
Extents = Sequence[tuple[int, int]]


@dataclass(slots=True)
class Entry:
    """One entry.

    Attributes:
        name: Path; that of a directory ends with "/".
        kind: One of the constants of this module.
        mode: Permission bits with setuid, setgid and sticky.
        size: Bytes of data that follow.
        mtime_ns: Nanoseconds since 1970.
        link: Target of a link, hard or symbolic.
        xattrs: By name.
    """

    name: bytes
    kind: bytes
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    mtime_ns: int = 0
    link: bytes = b""
    major: int = 0
    minor: int = 0
    xattrs: Mapping[str, bytes] = field(default_factory=dict)


def header(entry: Entry) -> bytes:
    """Return an entry's header, a multiple of 512 bytes."""
    return _header(entry, [])


def sparse_header(entry: Entry, extents: Extents) -> bytes:
    """Return the header and the map of a file with holes; the data of the extents follow.

    GNU tar manual, "Storing Sparse Files", PAX format 1.0. The file's length is `entry.size`.

    Args:
        entry: The file.
        extents: Offset and length of what is not a hole; the last one ends where the file ends, it may be empty.
    """
    lines = b"".join(b"%d\n%d\n" % extent for extent in extents)
    listed = padded(b"%d\n%s" % (len(extents), lines))
    records = [
        (b"GNU.sparse.major", b"1"),
        (b"GNU.sparse.minor", b"0"),
        (b"GNU.sparse.name", entry.name),
        (b"GNU.sparse.realsize", b"%d" % entry.size),
    ]
    folder, _, name = entry.name.rpartition(b"/")
    stored = Entry(
        name=b"/".join(part for part in (folder, b"GNUSparseFile.0", name) if part),
        kind=entry.kind,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        size=len(listed) + sum(length for _, length in extents),
        mtime_ns=entry.mtime_ns,
        xattrs=entry.xattrs,
    )
    return _header(stored, records) + listed


def padded(data: bytes) -> bytes:
    """Return data with zeros up to a whole block."""
    return data + bytes(-len(data) % BLOCK)


def _header(entry: Entry, records: list[tuple[bytes, bytes]]) -> bytes:
    name, prefix = _split(entry.name)
    if prefix is None:
        records.append((b"path", entry.name))
        name, prefix = entry.name[:_NAME_MAX], b""
    if len(entry.link) > _NAME_MAX:
        records.append((b"linkpath", entry.link))
    seconds, rest = divmod(entry.mtime_ns, _SECOND)
    if rest or not 0 <= seconds < _OCTAL_12:
        records.append((b"mtime", _time(entry.mtime_ns)))
    for key, value, limit in (
        (b"size", entry.size, _OCTAL_12),
        (b"uid", entry.uid, _OCTAL_8),
        (b"gid", entry.gid, _OCTAL_8),
    ):
        if value >= limit:
            records.append((key, b"%d" % value))
    for attribute in sorted(entry.xattrs):
        key = b"SCHILY.xattr." + attribute.encode("utf-8", "surrogateescape")
        records.append((key, entry.xattrs[attribute]))
    block = _block(entry, name, prefix, seconds)
    if not records:
        return block
    extended = b"".join(_record(key, value) for key, value in records)
    about = Entry(b"PaxHeader", _PAX, mode=0o644, size=len(extended))
    return _block(about, about.name, b"", 0) + padded(extended) + block


def _split(path: bytes) -> tuple[bytes, bytes | None]:
    """Return name and prefix for the fields of a header; the prefix is None when the path does not fit."""
    if len(path) <= _NAME_MAX:
        return path, b""
    if len(path) > _NAME_MAX + _PREFIX_MAX + 1:
        return path, None
    # The prefix as long as it may be; not the slash at the end of a directory's name.
    at = path.rfind(b"/", 0, min(_PREFIX_MAX + 1, len(path) - 1))
    if at <= 0 or len(path) - at - 1 > _NAME_MAX:
        return path, None
    return path[at + 1 :], path[:at]


def _time(ns: int) -> bytes:
    seconds, rest = divmod(abs(ns), _SECOND)
    sign = b"-" if ns < 0 else b""
    return b"%s%d.%09d" % (sign, seconds, rest) if rest else b"%s%d" % (sign, seconds)


def _record(key: bytes, value: bytes) -> bytes:
    """Return `LENGTH KEY=VALUE`; the length counts its own digits."""
    size = len(key) + len(value) + 3
    total = size + len(b"%d" % size)
    total = size + len(b"%d" % total)
    return b"%d %s=%s\n" % (total, key, value)


def _block(entry: Entry, name: bytes, prefix: bytes, seconds: int) -> bytes:
    """Return the block of 512 bytes; numbers that do not fit are 0, a PAX record has them."""
    start = name.ljust(_NAME_MAX, b"\0") + b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (
        entry.mode,
        entry.uid if entry.uid < _OCTAL_8 else 0,
        entry.gid if entry.gid < _OCTAL_8 else 0,
        entry.size if entry.size < _OCTAL_12 else 0,
        seconds if 0 <= seconds < _OCTAL_12 else 0,
    )
    end = entry.kind + entry.link[:_NAME_MAX].ljust(_NAME_MAX, b"\0") + _MAGIC
    end += b"%07o\0%07o\0" % (entry.major, entry.minor) + prefix
    # The checksum is computed with spaces in its own place.
    checksum = sum(start) + 8 * ord(" ") + sum(end)
    return (start + b"%06o\0 " % checksum + end).ljust(BLOCK, b"\0")
