"""Archives and compressed streams that end too early, too late or never."""

from __future__ import annotations

import bz2
import functools
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterable
from typing import Any

import zstandard

from scow.contract.errors import LayerCorrupt, LimitExceeded
from tests.support.layers.case import Case, Refused, Tree, case, text
from tests.support.rawtar import END, file, header, tar

# What the suite allows a layer to hold.
MAX_BYTES = 8 << 20
MAX_ENTRIES = 2500
_F = file(b"f", b"1" * 700)
_TAR = tar(_F)
_TREE: Tree = {b"f": text(b"1" * 700)}
_CORRUPT = Refused(LayerCorrupt)
_SHORT = Refused(LayerCorrupt, words="cut short")
_TOO_LARGE = Refused(LimitExceeded, "zeros", "larger than")
_BIG = header(b"zeros", size=1 << 30)


def _zeros(compressor: Callable[[], Any], count: int = MAX_BYTES * 2) -> bytes:
    """Return the beginning of a file of zeros, compressed piece by piece."""
    made = compressor()
    pieces: Iterable[bytes] = [_BIG, *([bytes(1 << 20)] * (count >> 20))]
    return b"".join([*map(made.compress, pieces), made.flush()])


def _gzip_compressor() -> Any:
    return zlib.compressobj(9, wbits=31)


def _flipped(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 0xFF
    return bytes(changed)


_gzip = functools.partial(gzip.compress, mtime=0)
_zstd = zstandard.ZstdCompressor().compress
_PLAIN = [
    case("within a header", _TAR[:300], _SHORT),
    case("within data", _TAR[:700], Refused(LayerCorrupt, "f", "cut short")),
    case("within padding", _TAR[: 512 + 800], _SHORT),
    case("no end", _F, _TREE),
    case("half an end", _F + bytes(512), _TREE),
    case("an end that is cut", _F + bytes(700), _TREE),
    case("an entry after half an end", _F + bytes(512) + _TAR, _CORRUPT),
    case("anything after the end", _TAR + b"anything", _TREE),
    case("an archive after the archive", _TAR + tar(file(b"../evil")), _TREE),
    case("much padding", _TAR + bytes(1 << 20), _TREE),
    case("nothing", b"", {}),
    case("an end alone", END, {}),
    case("text", b"<html>no such layer</html>\n" * 50, _CORRUPT),
    case("zeros, then anything", bytes(512) + b"x" * 512, _CORRUPT),
]
_PACKED = [
    case("gzip", _gzip(_TAR), _TREE),
    case(
        "gzip with a name and a comment",
        b"\x1f\x8b\x08\x18" + bytes(6) + b"name\0comment\0" + _gzip(_TAR)[10:],
        _TREE,
    ),
    case("gzip of two members", _gzip(_TAR[:700]) + _gzip(_TAR[700:]), _TREE),
    case("gzip of a thousand empty members", _gzip(b"") * 1000 + _gzip(_TAR), _TREE),
    case("gzip with zeros behind", _gzip(_TAR) + bytes(3000), _TREE),
    case("gzip with anything behind", _gzip(_TAR) + b"anything", _CORRUPT),
    case("gzip without its end", _gzip(_TAR)[:-3], _CORRUPT),
    case("gzip, the second member cut", _gzip(_TAR) + _gzip(_TAR)[:15], _CORRUPT),
    case("gzip with a wrong checksum", _flipped(_gzip(_TAR), -8), _CORRUPT),
    case("gzip with a wrong length", _flipped(_gzip(_TAR), -2), _CORRUPT),
    case("gzip with a wrong method", _flipped(_gzip(_TAR), 2), _CORRUPT),
    case("gzip of gzip", _gzip(_gzip(_TAR)), _CORRUPT),
    case("gzip's magic alone", b"\x1f\x8b", _CORRUPT),
    case("gzip of nothing", _gzip(b""), {}),
    case("zstd", _zstd(_TAR), _TREE),
    case("zstd, cut", _zstd(_TAR)[:-3], _CORRUPT),
    case("zstd with anything behind", _zstd(_TAR) + b"anything", _CORRUPT),
    case("zstd that asks for a window of 2 GiB", b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00", _CORRUPT),
    case("zstd, damaged", _flipped(_zstd(_TAR), 20), _CORRUPT),
    case("xz", lzma.compress(_TAR), _TREE),
    case("xz, cut", lzma.compress(_TAR)[:-3], _CORRUPT),
    case("xz, damaged", _flipped(lzma.compress(_TAR), 30), _CORRUPT),
    case("bzip2", bz2.compress(_TAR), _TREE),
    case("bzip2, cut", bz2.compress(_TAR)[:-3], _CORRUPT),
    case("a name that looks like bzip2", tar(file(b"BZh", b"1")), {b"BZh": text(b"1")}),
]
_LIMITS = [
    Case("zeros in gzip", lambda: _zeros(_gzip_compressor), _TOO_LARGE),
    Case("zeros in zstd", lambda: _zeros(zstandard.ZstdCompressor().compressobj), _TOO_LARGE),
    Case("zeros in xz", lambda: _zeros(lambda: lzma.LZMACompressor(preset=0)), _TOO_LARGE),
    Case("zeros in bzip2", lambda: _zeros(bz2.BZ2Compressor), _TOO_LARGE),
    Case("zeros in gzip in gzip", lambda: _gzip(_zeros(_gzip_compressor)), _CORRUPT),
    Case("zeros after the end", lambda: _gzip(_TAR + bytes(MAX_BYTES)), Refused(LimitExceeded)),
    Case(
        "as large as allowed",
        lambda: _gzip(tar(file(b"f", bytes(MAX_BYTES - 1536)))),
        {b"f": text(bytes(MAX_BYTES - 1536))},
    ),
    Case(
        "too many entries",
        lambda: tar(*(file(b"%d" % at) for at in range(MAX_ENTRIES + 1))),
        Refused(LimitExceeded, words=str(MAX_ENTRIES)),
    ),
    Case(
        "too many entries of one name",
        lambda: _gzip(tar(*[file(b"f")] * (MAX_ENTRIES + 1))),
        Refused(LimitExceeded, words=str(MAX_ENTRIES)),
    ),
]
CASES = [*_PLAIN, *_PACKED, *_LIMITS]
