"""Numbers of headers and records of extended ones that lie or are none."""

from __future__ import annotations

from scow.contract.errors import InvalidArchive, LayerCorrupt
from tests.support.layers.case import Case, Node, Refused, Tree, case, folder, text
from tests.support.rawtar import (
    base256,
    directory,
    file,
    gnu_long,
    hardlink,
    header,
    padded,
    pax,
    record,
    symlink,
    tar,
)

CORRUPT = Refused(LayerCorrupt)
_F = file(b"f", b"1")
_F_TREE: Tree = {b"f": text(b"1")}


def _field(name: str, expect: Tree | Refused, **fields: object) -> Case:
    return case(name, tar(file(b"f", b"1", **fields)), expect)


def _records(name: str, records: bytes | dict[bytes, bytes], expect: Tree | Refused) -> Case:
    return case(name, tar(pax(records), _F), expect)


def _signed(name: bytes) -> bytes:
    """Return a header as old tars made it, whose checksum takes bytes for signed ones."""
    usual = int(header(name)[148:154], 8)
    return header(name, checksum=b"%06o\0 " % (usual - 256 * sum(byte > 127 for byte in name)))


_BAD_F = Refused(LayerCorrupt, "f")
_HEADERS = [
    _field("a size in base 256", _F_TREE, size=base256(1, 12)),
    _field("a size with spaces", _F_TREE, size=b"         1 \0"),
    _field("a negative size", _BAD_F, size=base256(-512, 12)),
    _field("a size that no file has", _BAD_F, size=base256(1 << 63, 12)),
    _field("a size beyond the archive's end", _BAD_F, size=b"77777777777\0"),
    _field("a size with a sign", CORRUPT, size=b"+0000000001\0"),
    _field("a negative octal size", CORRUPT, size=b"-0000000001\0"),
    _field("a size with an underscore", CORRUPT, size=b"0000000_001\0"),
    _field("a size with a prefix", CORRUPT, size=b"0o000000001\0"),
    _field("a size that is decimal", CORRUPT, size=b"00000000009\0"),
    _field(
        "the highest owner",
        {b"f": text(b"1", owner=((1 << 32) - 2, 0))},
        uid=base256((1 << 32) - 2, 8),
    ),
    _field("an owner that means none", _BAD_F, uid=base256((1 << 32) - 1, 8)),
    _field("a huge owner", _BAD_F, gid=base256(1 << 60, 8)),
    _field("a negative owner", _BAD_F, uid=base256(-1, 8)),
    _field("a negative time", {b"f": text(b"1", mtime_ns=-5_000_000_000)}, mtime=base256(-5, 12)),
    _field("a time after all days", {b"f": text(b"1", mtime_ns=0)}, mtime=base256(1 << 62, 12)),
    _field("a time before all days", {b"f": text(b"1", mtime_ns=0)}, mtime=base256(-(1 << 90), 12)),
    _field("a wrong checksum", CORRUPT, checksum=b"000001\0 "),
    _field("no checksum", CORRUPT, checksum=b"        "),
    _field("a checksum that is not a number", CORRUPT, checksum=b"zzzzzz\0 "),
    case("a checksum of signed bytes", tar(_signed(b"\xe9")), {b"\xe9": text()}),
]
_PAX = [
    _records(
        "a path and an owner", {b"path": b"g", b"uid": b"7"}, {b"g": text(b"1", owner=(7, 0))}
    ),
    _records("an empty path", {b"path": b""}, _F_TREE),
    _records("no records", b"", _F_TREE),
    _records("a negative size in a record", {b"size": b"-1"}, CORRUPT),
    _records("a size beyond the end in a record", {b"size": b"99999"}, _BAD_F),
    _records("a huge size in a record", {b"size": b"9" * 20}, _BAD_F),
    _records("a size of 5,000 digits in a record", {b"size": b"9" * 5000}, CORRUPT),
    _records("a size with an underscore in a record", {b"size": b"1_0"}, CORRUPT),
    _records("a size that is none in a record", {b"size": b"one"}, CORRUPT),
    _records("a negative owner in a record", {b"gid": b"-3"}, CORRUPT),
    _records(
        "a time with a fraction", {b"mtime": b"1.5"}, {b"f": text(b"1", mtime_ns=1_500_000_000)}
    ),
    _records(
        "a negative time with a fraction",
        {b"mtime": b"-1.5"},
        {b"f": text(b"1", mtime_ns=-1_500_000_000)},
    ),
    _records(
        "a time after all days in a record", {b"mtime": b"9" * 20}, {b"f": text(b"1", mtime_ns=0)}
    ),
    _records("a time with a huge exponent", {b"mtime": b"1e999999"}, CORRUPT),
    _records("a time that is not a number", {b"mtime": b"NaN"}, CORRUPT),
    _records("a time that is infinite", {b"mtime": b"Infinity"}, CORRUPT),
    _records("a length beyond the header", b"999 path=g\n", CORRUPT),
    _records("a length of zero", b"0 path=g\n", CORRUPT),
    _records("a length that is too short", b"4 path=g\n", CORRUPT),
    _records("a length with a sign", b"+9 path=g\n", CORRUPT),
    _records("a negative length", b"-9 path=g\n", CORRUPT),
    _records("no length", b"path=g\n", CORRUPT),
    _records("a length alone", b"9", CORRUPT),
    _records("no equals sign", b"8 pathg\n", CORRUPT),
    _records("no key", b"6 =gg\n", CORRUPT),
    _records("no newline", b"10 path=gh", CORRUPT),
    _records("a record that crosses into the next", b"15 path=g\n8 a=b\n", CORRUPT),
    _records("a newline within a value", record(b"path", b"g\nh"), {b"g\nh": text(b"1")}),
    _records("an unknown record", {b"VENDOR.key": b"\xff\0"}, _F_TREE),
    case("a size that is too small", tar(pax({b"size": b"0"}), file(b"f", b"data")), CORRUPT),
    case(
        "a size of a symlink",
        tar(pax({b"size": b"512"}), symlink(b"s", b"t"), _F),
        {b"s": Node("symlink", b"t"), **_F_TREE},
    ),
    case("a link path of a file", tar(pax({b"linkpath": b"../x"}), _F), _F_TREE),
    case(
        "a link path that leads out",
        tar(_F, pax({b"linkpath": b"../x"}), hardlink(b"l", b"f")),
        Refused(InvalidArchive, "l"),
    ),
    case("an extended header alone", tar(pax({b"path": b"g"})), CORRUPT),
    case("an extended header at the very end", pax({b"path": b"g"}), CORRUPT),
    case(
        "two extended headers: the second counts",
        tar(pax({b"path": b"g", b"uid": b"7"}), pax({b"path": b"h"}), _F),
        {b"h": text(b"1", owner=(0, 0))},
    ),
    case(
        "an extended header of one entry alone",
        tar(pax({b"uid": b"7"}), _F, file(b"g")),
        {b"f": text(b"1", owner=(7, 0)), b"g": text(owner=(0, 0))},
    ),
    case("an extended header of Solaris", tar(pax({b"path": b"g"}, b"X"), _F), {b"g": text(b"1")}),
    case("an extended header that is cut", pax({b"path": b"g" * 2000})[:1024], CORRUPT),
    case("an extended header of two megabytes", tar(header(b"x", b"x", size=2 << 20)), CORRUPT),
    case(
        "an extended header of a negative size",
        tar(header(b"x", b"x", size=base256(-1, 12))),
        CORRUPT,
    ),
    case(
        "a global time",
        tar(pax({b"mtime": b"5"}, b"g"), _F, file(b"g")),
        {b"f": text(b"1", mtime_ns=5 * 10**9), b"g": text(mtime_ns=5 * 10**9)},
    ),
    case("a global comment at the end", tar(_F, pax({b"comment": b"c"}, b"g")), _F_TREE),
    case("a global path", tar(pax({b"path": b"g"}, b"g"), _F), CORRUPT),
    case("a global size", tar(pax({b"size": b"0"}, b"g"), _F), CORRUPT),
    case("a global link path", tar(pax({b"linkpath": b"/"}, b"g"), _F), CORRUPT),
    case("a global sparse map", tar(pax({b"GNU.sparse.major": b"1"}, b"g"), _F), CORRUPT),
    case(
        "a global extended attribute", tar(pax({b"SCHILY.xattr.user.a": b"b"}, b"g"), _F), CORRUPT
    ),
]
_GNU = [
    case("a long name without an entry", tar(gnu_long(b"L", b"n" * 200)), CORRUPT),
    case("a long link target without an entry", tar(gnu_long(b"K", b"n" * 200)), CORRUPT),
    case("a long name that is empty", tar(gnu_long(b"L", b""), _F), _F_TREE),
    case("a long name of two megabytes", tar(header(b"x", b"L", size=2 << 20)), CORRUPT),
    case("a long name that is cut", gnu_long(b"L", b"n" * 2000)[:1024], CORRUPT),
    case(
        "two long names: the second counts",
        tar(gnu_long(b"L", b"g"), gnu_long(b"L", b"h"), _F),
        {b"h": text(b"1")},
    ),
    case(
        "a path record is stronger than a long name",
        tar(gnu_long(b"L", b"g"), pax({b"path": b"h"}), _F),
        {b"h": text(b"1")},
    ),
    case(
        "a long name of a directory", tar(gnu_long(b"L", b"g/"), directory(b"x")), {b"g": folder()}
    ),
    case(
        "data behind a long name's NUL",
        tar(header(b"x", b"L", size=8) + padded(b"g\0../../"), _F),
        Refused(LayerCorrupt, "g\0../../"),
    ),
]
CASES = [*_HEADERS, *_PAX, *_GNU]
