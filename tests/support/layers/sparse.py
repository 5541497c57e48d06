"""Sparse files in the four ways of GNU tar ("Storing Sparse Files" in its manual), right and wrong."""

from __future__ import annotations

from scow.contract.errors import LayerCorrupt
from tests.support.layers.case import Case, Refused, Tree, case, text
from tests.support.rawtar import GNU, base256, file, header, octal, padded, pax, record, tar

_AFTER = file(b"after", b"in step")
_DATA = b"A" * 512 + b"B" * 3
_HOLES = bytes(100) + b"A" * 512 + bytes(400) + b"B" * 3 + bytes(5)
_MAP = [(100, 512), (1012, 3)]
_SIZE = 1020
_GOOD: Tree = {b"f": text(_HOLES), b"after": text(b"in step")}
_BAD = Refused(LayerCorrupt, "f")
Map = list[tuple[int, int]]


def _number(value: int) -> bytes:
    return octal(value, 12) if 0 <= value < 1 << 33 else base256(value, 12)


def _old(extents: Map, size: int = _SIZE, data: bytes = _DATA, more: bytes = b"") -> bytes:
    """Return a file of old GNU format: four extents in the header, further ones in `more`."""
    pairs = b"".join(_number(part) for pair in extents for part in pair)
    tail = bytes(41) + pairs.ljust(96, b"\0") + (b"\1" if more else b"\0") + _number(size)
    return header(b"f", b"S", size=len(data), magic=GNU, tail=tail) + more + padded(data)


def _0_0(extents: Map, size: int = _SIZE) -> bytes:
    records = record(b"GNU.sparse.size", b"%d" % size)
    for offset, length in extents:
        records += record(b"GNU.sparse.offset", b"%d" % offset)
        records += record(b"GNU.sparse.numbytes", b"%d" % length)
    return pax(records) + file(b"f", _DATA)


def _0_1(extents: bytes, size: int = _SIZE, data: bytes = _DATA) -> bytes:
    records = {
        b"GNU.sparse.size": b"%d" % size,
        b"GNU.sparse.name": b"f",
        b"GNU.sparse.map": extents,
    }
    return pax(records) + file(b"GNUSparseFile.1/f", data)


def _1_0(numbers: bytes, size: int = _SIZE, data: bytes = _DATA) -> bytes:
    """Return a file of format 1.0 whose data starts with the map, as it is."""
    records = {
        b"GNU.sparse.major": b"1",
        b"GNU.sparse.minor": b"0",
        b"GNU.sparse.name": b"f",
        b"GNU.sparse.realsize": b"%d" % size,
    }
    return pax(records) + file(b"GNUSparseFile.1/f", padded(numbers) + data)


def _lines(*numbers: int) -> bytes:
    return b"".join(b"%d\n" % number for number in numbers)


_FLAT = [part for pair in _MAP for part in pair]
_EXTENSION = octal(1012, 12) + octal(3, 12) + bytes(480) + bytes(8)


def _good(name: str, entry: bytes) -> Case:
    return case(name, tar(entry, _AFTER), _GOOD)


def _bad(name: str, entry: bytes, expect: Refused = _BAD) -> Case:
    return case(name, tar(entry, _AFTER), expect)


_CORRUPT = Refused(LayerCorrupt)
CASES = [
    _good("sparse, old", _old(_MAP)),
    _good("sparse, old, with an extension", _old(_MAP[:1], more=_EXTENSION)),
    _good("sparse, 0.0", _0_0(_MAP)),
    _good("sparse, 0.1", _0_1(b"100,512,1012,3")),
    _good("sparse, 1.0", _1_0(_lines(2, *_FLAT))),
    case(
        "sparse, 0.1, a hole alone",
        tar(_0_1(b"", 700, b""), _AFTER),
        {b"f": text(bytes(700)), b"after": text(b"in step")},
    ),
    case(
        "sparse, 1.0, a hole alone",
        tar(_1_0(_lines(0), 700, b""), _AFTER),
        {b"f": text(bytes(700)), b"after": text(b"in step")},
    ),
    case(
        "a sparse name of a file that is not",
        tar(pax({b"GNU.sparse.name": b"../evil"}), file(b"f", b"1")),
        {b"f": text(b"1")},
    ),
    _bad("sparse, old, overlapping", _old([(100, 512), (611, 3)])),
    _bad("sparse, old, backwards", _old([(1012, 3), (100, 512)])),
    _bad("sparse, old, beyond its size", _old(_MAP, size=1014)),
    _bad("sparse, old, a negative offset", _old([(-100, 512), (1012, 3)])),
    _bad("sparse, old, a negative length", _old([(100, 518), (1012, -3)])),
    _bad("sparse, old, a negative size", _old(_MAP, size=-1)),
    _bad("sparse, old, a size that no file has", _old(_MAP, size=1 << 63)),
    _bad("sparse, old, more extents than data", _old([(100, 512), (1012, 4)])),
    _bad("sparse, old, less extents than data", _old([(100, 512)])),
    case(
        "sparse, old, extensions without an end", _old(_MAP[:1], more=b"\1" * 512)[:1024], _CORRUPT
    ),
    _bad("sparse, 0.0, backwards", _0_0(_MAP[::-1])),
    _bad("sparse, 0.0, an offset alone", pax({b"GNU.sparse.offset": b"1"}) + file(b"f"), _CORRUPT),
    _bad("sparse, 0.1, an odd end", _0_1(b"100,512,1012"), _CORRUPT),
    _bad("sparse, 0.1, no numbers", _0_1(b"100,512,a,b"), _CORRUPT),
    _bad("sparse, 0.1, negative", _0_1(b"100,512,-1012,3"), _CORRUPT),
    _bad("sparse, 0.1, overlapping", _0_1(b"100,512,100,3")),
    _bad("sparse, 0.1, beyond its size", _0_1(b"100,512,1019,3")),
    _bad("sparse, 1.0, no numbers", _1_0(b"two\n"), _CORRUPT),
    _bad("sparse, 1.0, negative", _1_0(_lines(2, 100, 512, -1012, 3)), _CORRUPT),
    _bad("sparse, 1.0, a huge count", _1_0(_lines(1 << 40)), _CORRUPT),
    _bad("sparse, 1.0, more extents than numbers", _1_0(_lines(3, *_FLAT)), _CORRUPT),
    _bad("sparse, 1.0, without lines", _1_0(b"1" * 2000), _CORRUPT),
    _bad("sparse, 1.0, overlapping", _1_0(_lines(2, 100, 512, 100, 3))),
    _bad("sparse, 1.0, beyond its size", _1_0(_lines(2, *_FLAT), size=1000)),
    _bad("sparse, 1.0, more extents than data", _1_0(_lines(2, 100, 512, 1012, 4))),
]
