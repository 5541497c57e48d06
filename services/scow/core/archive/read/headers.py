"""Entries of a tar archive: ustar, PAX, GNU long names, all four ways to write sparse files.

Sources: POSIX.1-2017 pax "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Standard
Format" and "Storing Sparse Files". Names stay bytes: a tar says nothing about their encoding.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from scow.core.archive.read.faults import corrupt, hostile
from scow.core.archive.read.pax import (
    Pax,
    SparseMap,
    bounded_ns,
    map_1_0,
    number,
    old_gnu_map,
    parse_pax,
)
from scow.core.archive.read.streams import TarStream

BLOCK = 512
_ZERO = bytes(BLOCK)
# Names and extended headers longer than this are attacks: xattrs are at most 64 KiB each.
_META_MAX = 1 << 20

FILE, LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
_HEADER_ONLY = frozenset((LINK, SYMLINK, CHAR, BLOCK_DEVICE, DIRECTORY, FIFO))
_FILES = frozenset((b"0", b"\0", b"7", b"S"))
_NODES = frozenset((CHAR, BLOCK_DEVICE))
_VOLUME_LABEL = b"V"
# Linux packs a device number into 32 bits; larger parts would become another device's.
_MAJOR_MAX, _MINOR_MAX = (1 << 12) - 1, (1 << 20) - 1
_FILE_SIZE_MAX = (1 << 63) - 1


@dataclass(slots=True)
class Entry:
    """One entry.

    Attributes:
        name: As in the archive.
        kind: One of the constants of this module.
        mode: Permission bits with setuid, setgid and sticky.
        size: Bytes of data that follow in the archive.
        mtime_ns: Nanoseconds since 1970.
        sparse: Extents (offset, length) of the data in the file, or None.
        real_size: Length of the file when it is sparse.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link: bytes
    major: int
    minor: int
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: SparseMap | None = None
    real_size: int = 0


def entries(stream: TarStream) -> Iterator[Entry]:
    """Yield the entries. The consumer reads exactly `entry.size` bytes of the stream before the next one.

    Raises:
        Fault: The bytes are not a tar.
    """
    defaults = Pax()
    pax: Pax | None = None
    long_name = long_link = b""
    while (block := _header(stream)) is not None:
        kind = block[156:157]
        if kind in (b"x", b"X", b"g"):
            parsed = parse_pax(_meta(stream, block), defaults, is_global=kind == b"g")
            defaults, pax = (parsed, pax) if kind == b"g" else (defaults, parsed)
            continue
        if kind in (b"L", b"K"):
            text = _meta(stream, block).rstrip(b"\0")
            long_name, long_link = (text, long_link) if kind == b"L" else (long_name, text)
            continue
        entry = _entry(block, pax or defaults, long_name, long_link)
        padding = -entry.size % BLOCK
        _read_sparse_map(stream, block, entry, pax is not None and pax.sparse_in_data)
        pax, long_name, long_link = None, b"", b""
        if kind == _VOLUME_LABEL:
            stream.skip(entry.size + padding)
            continue
        yield entry
        if padding:
            stream.skip(padding)
    if pax is not None or long_name or long_link:
        raise corrupt("the archive is cut short: an extended header has no entry after it")


def _header(stream: TarStream) -> bytes | None:
    """Return the next header block, None at the end of the archive."""
    block = stream.read(BLOCK)
    if not block:
        return None
    if len(block) < BLOCK:
        raise corrupt("the archive is cut short: it ends within a header")
    if block == _ZERO:
        if stream.read(BLOCK).strip(b"\0"):
            raise corrupt("a header follows the mark of the archive's end")
        return None
    stored = number(block[148:156])
    # The sum is taken with spaces in its own place.
    plain = _sum(block[:256]) + _sum(block[256:]) - sum(block[148:156]) + 8 * 0x20
    if stored != plain and stored != plain - 256 * _over_127(block):
        raise corrupt("a header has a wrong checksum: this is not a tar archive, or a damaged one")
    return block


def _sum(data: bytes) -> int:
    """Return the sum of up to 256 bytes: one more is what the low half of their Adler-32 has (RFC 1950, 2.2)."""
    return (zlib.adler32(data) & 0xFFFF) - 1


def _over_127(block: bytes) -> int:
    """Count the bytes that old programs took for negative ones, but those of the sum itself."""
    return sum(byte > 127 for byte in block[:148] + block[156:])


def _meta(stream: TarStream, block: bytes) -> bytes:
    size = number(block[124:136])
    if not 0 <= size <= _META_MAX:
        raise corrupt(f"an extended header claims {size} bytes")
    data = stream.read(size)
    if len(data) < size:
        raise corrupt("the archive is cut short: it ends within an extended header")
    stream.skip(-size % BLOCK)
    return data


def _text(raw: bytes) -> bytes:
    return raw.partition(b"\0")[0]


def _entry(block: bytes, pax: Pax, long_name: bytes, long_link: bytes) -> Entry:
    name = long_name or _text(block[:100])
    # GNU headers ("ustar  ") have other fields where POSIX ones have the prefix.
    if block[257:263] == b"ustar\0" and not long_name and block[345]:
        name = _text(block[345:500]) + b"/" + name
    name = (pax.is_sparse and pax.sparse_name) or pax.path or name
    kind = block[156:157]
    if kind in _FILES:
        kind = DIRECTORY if kind == b"\0" and name.endswith(b"/") else FILE
    elif kind not in _HEADER_ONLY and kind != _VOLUME_LABEL:
        raise hostile(f"an entry is of the unknown type {kind!r}", name)
    entry = Entry(
        name=name,
        kind=kind,
        mode=number(block[100:108]) & 0o7777,
        uid=number(block[108:116]) if pax.uid is None else pax.uid,
        gid=number(block[116:124]) if pax.gid is None else pax.gid,
        size=number(block[124:136]) if pax.size is None else pax.size,
        mtime_ns=_mtime_ns(block) if pax.mtime_ns is None else pax.mtime_ns,
        link=pax.link or long_link or _text(block[157:257]),
        # Old tars have anything there for what is not a device.
        major=number(block[329:337]) if kind in _NODES else 0,
        minor=number(block[337:345]) if kind in _NODES else 0,
        xattrs=pax.xattrs,
        sparse=pax.sparse,
        real_size=pax.real_size,
    )
    if kind in _HEADER_ONLY:
        entry.size = 0
    _check(entry)
    return entry


def _check(entry: Entry) -> None:
    """Refuse numbers that the kernel would refuse or, worse, take for others, and names that it would cut."""
    ids = _is_id(entry.uid) and _is_id(entry.gid)
    device = 0 <= entry.major <= _MAJOR_MAX and 0 <= entry.minor <= _MINOR_MAX
    size = 0 <= entry.size <= _FILE_SIZE_MAX and 0 <= entry.real_size <= _FILE_SIZE_MAX
    if not (ids and device and size) or b"\0" in entry.name or b"\0" in entry.link:
        raise corrupt("a header has a field that is out of range", entry.name)


def _mtime_ns(block: bytes) -> int:
    return bounded_ns(number(block[136:148]) * 1_000_000_000)


def _is_id(value: int) -> bool:
    return 0 <= value < 0xFFFFFFFF


def _read_sparse_map(stream: TarStream, block: bytes, entry: Entry, in_data: bool) -> None:
    """Read a sparse file's map where it stands between header and data, and check it."""
    if block[156:157] == b"S":
        entry.sparse, entry.real_size = old_gnu_map(stream, block)
    elif in_data and entry.kind == FILE:  # 1.0: the map is the first part of the data
        entry.sparse, used = map_1_0(stream)
        entry.size -= used
    if entry.sparse is None:
        return
    _check(entry)
    end = 0
    for offset, length in entry.sparse:
        if offset < end or length < 0 or offset + length > entry.real_size:
            raise corrupt("a sparse file has a map that contradicts itself", entry.name)
        end = offset + length
    if sum(length for _, length in entry.sparse) != entry.size:
        raise corrupt("a sparse file has a map that contradicts its size", entry.name)
