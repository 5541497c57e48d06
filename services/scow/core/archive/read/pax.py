"""PAX extended headers, and the maps of sparse files."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from scow.core.archive.read.faults import corrupt
from scow.core.archive.read.streams import TarStream

SparseMap = list[tuple[int, int]]

_XATTR = b"SCHILY.xattr."
_EXTENTS_MAX = 1 << 20
_BLOCK = 512
_NANO = 1_000_000_000
# Python's int() also takes signs, underscores and spaces: what other tools read differently must not pass.
_DECIMAL = re.compile(rb"[0-9]{1,20}")
_TIME = re.compile(rb"(-?)([0-9]{1,20})(?:\.([0-9]*))?")
# What can be true of one entry alone. Tools disagree on whether it counts in a global header.
_NEVER_GLOBAL = (b"path", b"linkpath", b"size", b"GNU.sparse.", _XATTR)


@dataclass
class Pax:
    """What extended headers say about the next entry. None or empty: nothing.

    Attributes:
        sparse_name: The name of a sparse file; the path then is a made-up one.
        sparse: The map of GNU formats 0.0 and 0.1.
        sparse_in_data: The file is in format 1.0: its map precedes its data.
    """

    path: bytes = b""
    sparse_name: bytes = b""
    link: bytes = b""
    size: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime_ns: int | None = None
    xattrs: dict[str, bytes] = field(default_factory=dict)
    sparse: SparseMap | None = None
    sparse_in_data: bool = False
    real_size: int = 0

    @property
    def is_sparse(self) -> bool:
        """Whether the next entry is a sparse file."""
        return self.sparse_in_data or self.sparse is not None


def number(text: bytes) -> int:
    """Return a header's number: octal digits, or base 256 when the first bit is set."""
    first = text[0]
    if first & 0x80:
        value = int.from_bytes(text, "big") & ~(1 << (len(text) * 8 - 1))
        if first & 0x40:  # negative, two's complement
            value -= 1 << (len(text) * 8 - 1)
        return value
    digits = text.partition(b"\0")[0].strip(b" ")
    if not digits:
        return 0
    try:
        if digits.isdigit():  # int() takes more than digits
            return int(digits, 8)
    except ValueError:
        pass  # 8 or 9
    raise corrupt("a header has a field that is not a number")


def decimal(text: bytes) -> int:
    """Return the number that a record or a map has as decimal digits.

    Raises:
        ValueError: It is none.
    """
    if not _DECIMAL.fullmatch(text):
        raise ValueError(text)
    return int(text)


def bounded_ns(ns: int) -> int:
    """Return a time as it is, or 0 when 64 bits do not hold its nanoseconds: years before 1678 or after 2261."""
    return ns if -(1 << 63) <= ns < 1 << 63 else 0


def _time(text: bytes) -> int:
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(text)
    sign, seconds, fraction = match.groups()
    ns = int(seconds) * _NANO + int(((fraction or b"") + b"0" * 9)[:9])
    return bounded_ns(-ns if sign else ns)


def parse_pax(data: bytes, defaults: Pax, *, is_global: bool = False) -> Pax:
    """Return the defaults (of global headers) with the records of one extended header.

    Raises:
        Fault: The records are malformed, or a global header speaks of one entry.
    """
    pax = replace(defaults, xattrs=dict(defaults.xattrs))
    numbers: list[tuple[bytes, int]] = []
    try:
        for key, value in _records(data):
            if is_global and key.startswith(_NEVER_GLOBAL):
                raise corrupt(f"a global header has the record {key[:80].decode()!r}")
            _apply(pax, key, value, numbers)
    except ValueError as error:
        raise corrupt("an extended header has a malformed record") from error
    if numbers:  # format 0.0: pairs of offset and numbytes, one record each
        offsets = [number for key, number in numbers if key == b"GNU.sparse.offset"]
        lengths = [number for key, number in numbers if key == b"GNU.sparse.numbytes"]
        if len(offsets) != len(lengths):
            raise corrupt("a sparse file has a map with an odd end")
        pax.sparse = list(zip(offsets, lengths, strict=True))
    return pax


def _records(data: bytes) -> list[tuple[bytes, bytes]]:
    records = []
    position = 0
    while position < len(data):
        space = data.index(b" ", position, position + 21)
        length = decimal(data[position:space])
        end = position + length
        if length <= space - position or end > len(data) or data[end - 1 : end] != b"\n":
            raise ValueError("length")
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or not key:
            raise ValueError("key")
        records.append((key, value))
        position = end
    return records


def _apply(pax: Pax, key: bytes, value: bytes, numbers: list[tuple[bytes, int]]) -> None:
    if key == b"path":
        pax.path = value
    elif key == b"linkpath":
        pax.link = value
    elif key in (b"size", b"uid", b"gid"):
        setattr(pax, key.decode(), decimal(value) if value else None)
    elif key == b"mtime":
        pax.mtime_ns = _time(value) if value else None
    elif key.startswith(_XATTR):
        pax.xattrs[_xattr_name(key)] = value
    elif key.startswith(b"GNU.sparse."):
        _apply_sparse(pax, key, value, numbers)


def _xattr_name(key: bytes) -> str:
    name = key[len(_XATTR) :]
    if not name or b"\0" in name:
        raise ValueError(key)
    return name.decode()


def _apply_sparse(pax: Pax, key: bytes, value: bytes, numbers: list[tuple[bytes, int]]) -> None:
    if key == b"GNU.sparse.name":
        pax.sparse_name = value
    elif key in (b"GNU.sparse.realsize", b"GNU.sparse.size"):
        pax.real_size = decimal(value)
    elif key == b"GNU.sparse.major":
        pax.sparse_in_data = decimal(value) == 1
    elif key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
        numbers.append((key, decimal(value)))
    elif key == b"GNU.sparse.map":
        fields = [decimal(number) for number in value.split(b",")] if value else []
        pax.sparse = list(zip(fields[::2], fields[1::2], strict=True))


def old_gnu_map(stream: TarStream, block: bytes) -> tuple[SparseMap, int]:
    """Return the map and the real size of an old GNU sparse header ('S'), reading its extension blocks."""
    real_size = number(block[483:495])
    extents = _pairs(block[386:482])
    more = block[482]
    while more:
        extension = stream.read(_BLOCK)
        if len(extension) < _BLOCK or len(extents) > _EXTENTS_MAX:
            raise corrupt("a sparse file has a map without an end")
        extents += _pairs(extension[:504])
        more = extension[504]
    return extents, real_size


def _pairs(raw: bytes) -> SparseMap:
    pairs = []
    for start in range(0, len(raw), 24):
        if not raw[start]:
            break
        pairs.append((number(raw[start : start + 12]), number(raw[start + 12 : start + 24])))
    return pairs


def map_1_0(stream: TarStream) -> tuple[SparseMap, int]:
    """Return the map that precedes the data of GNU format 1.0, and how many bytes it took."""
    used = 0
    text = b""

    def line() -> int:
        nonlocal used, text
        while b"\n" not in text:
            block = stream.read(_BLOCK)
            if len(block) < _BLOCK or len(text) > _BLOCK:
                raise corrupt("a sparse file has a map without an end")
            used += _BLOCK
            text += block
        digits, _, text = text.partition(b"\n")
        try:
            return decimal(digits)
        except ValueError as error:
            raise corrupt("a sparse file has a malformed map") from error

    count = line()
    if count > _EXTENTS_MAX:
        raise corrupt(f"a sparse file claims {count} extents")
    return [(line(), line()) for _ in range(count)], used
