"""Names of entries: where they lead, how long they are, what is in them."""

from __future__ import annotations

from scow.contract.errors import InvalidArchive, LayerCorrupt
from tests.support.layers.case import Accepted, Case, Refused, Tree, case, folder, text
from tests.support.rawtar import (
    DIRECTORY,
    SYMLINK,
    directory,
    file,
    gnu_long,
    header,
    pax,
    symlink,
    tar,
)

_LEVELS = 2000


def _outside(name: str, raw: bytes, shown: str = "") -> Case:
    return case(name, tar(file(raw, b"evil")), Refused(InvalidArchive, shown or raw.decode()))


def _deep() -> bytes:
    return tar(pax({b"path": b"d/" * _LEVELS + b"f"}), file(b"x", b"deep"))


def _deep_tree() -> Tree:
    tree: Tree = {b"/".join([b"d"] * count): folder() for count in range(1, _LEVELS + 1)}
    return {**tree, b"d/" * _LEVELS + b"f": text(b"deep")}


def _deep_entries() -> bytes:
    names = [b"/".join([b"d"] * count) for count in range(1, 301)]
    return tar(*(pax({b"path": name}) + directory(b"x", 0o700) for name in names))


def _deeper_than_a_path() -> bytes:
    way = (b"d" * 250 + b"/") * 12
    return tar(
        pax({b"path": way + b"f"}) + file(b"x"),
        pax({b"linkpath": way[:-1]}) + symlink(b"s", b"x"),
        pax({b"path": b"s/" + way + b"f"}) + file(b"x"),
    )


_ROOTS = {b".": "dot", b"./": "dot slash", b"/": "slash", b"": "nothing", b".//./": "dots"}
_NAMES = [
    _outside("the parent", b"../evil"),
    _outside("the parent after a dot", b"./../evil"),
    _outside("the parent in the middle", b"a/../../evil"),
    _outside("a way up that stays inside", b"a/../evil"),
    _outside("the parent alone", b".."),
    _outside("an absolute name", b"/evil"),
    _outside("an absolute name with two slashes", b"//evil"),
    case(
        "a prefix that leads out",
        tar(file(b"evil", prefix=b"..")),
        Refused(InvalidArchive, "../evil"),
    ),
    case(
        "a long name that leads out",
        tar(gnu_long(b"L", b"../evil"), file(b"good")),
        Refused(InvalidArchive, "../evil"),
    ),
    case(
        "a path record that leads out",
        tar(pax({b"path": b"../evil"}), file(b"good")),
        Refused(InvalidArchive, "../evil"),
    ),
    case(
        "a newline and other signs",
        tar(file(b"a\nb\t\x1b[31m\\"), file(b' "q" ')),
        {b"a\nb\t\x1b[31m\\": text(), b' "q" ': text()},
    ),
    case("a NUL ends the name", tar(file(b"a\0b")), {b"a": text()}),
    case(
        "a NUL in a path record",
        tar(pax({b"path": b"a\0/../../evil"}), file(b"good")),
        Refused(LayerCorrupt, "a\0/../../evil"),
    ),
    case(
        "a NUL in a long name",
        tar(gnu_long(b"L", b"a\0b"), file(b"good")),
        Refused(LayerCorrupt, "a\0b"),
    ),
    case("no UTF-8", tar(file(b"\xff\xfe", b"1")), {b"\xff\xfe": text(b"1")}),
    case(
        "no UTF-8, and an error",
        tar(file(b"../\xff")),
        Refused(InvalidArchive, "../\\xff"),
    ),
    case(
        "two normal forms of one character",
        tar(file("\u00e9".encode(), b"nfc"), file("e\u0301".encode(), b"nfd")),
        {"\u00e9".encode(): text(b"nfc"), "e\u0301".encode(): text(b"nfd")},
    ),
    case("names that differ in case", tar(file(b"a"), file(b"A")), {b"a": text(), b"A": text()}),
    case(
        "a component of 255 bytes",
        tar(pax({b"path": b"n" * 255}), file(b"x")),
        {b"n" * 255: text()},
    ),
    case(
        "a component of 256 bytes",
        tar(pax({b"path": b"n" * 256}), file(b"x")),
        Refused(InvalidArchive, "n" * 255 + "..."),
    ),
    case(
        "a directory's name of 256 bytes",
        tar(pax({b"path": b"n" * 256 + b"/f"}), file(b"x")),
        Refused(InvalidArchive, "n" * 255 + "..."),
    ),
    case(
        "a name of more than 4096 bytes",
        tar(pax({b"path": b"/".join([b"n" * 100] * 41)}), file(b"x")),
        Refused(InvalidArchive, ("/".join(["n" * 100] * 41))[:255] + "..."),
    ),
    case(
        "a name of half a million components",
        tar(pax({b"path": b"n/" * 500_000}), file(b"x")),
        Refused(InvalidArchive, ("n/" * 128)[:255] + "..."),
    ),
    case(
        "empty and dot components", tar(file(b"a//./b", b"1")), {b"a": folder(), b"a/b": text(b"1")}
    ),
    case("a slash after a file", tar(file(b"f/", b"1")), {b"f": text(b"1")}),
    case(
        "a prefix and a name",
        tar(file(b"name", prefix=b"a/b")),
        {b"a": folder(), b"a/b": folder(), b"a/b/name": text()},
    ),
    case("below a file", tar(file(b"f"), file(b"f/evil")), Refused(InvalidArchive, "f/evil")),
    Case("2,000 levels", _deep, _deep_tree()),
    Case("300 levels with an entry each", _deep_entries, Accepted()),
    Case("deeper than any path reaches", _deeper_than_a_path, Accepted()),
]
_ROOT_CASES = [
    case(
        f"the root as {word}",
        tar(directory(raw, 0o711, mtime=5), file(b"f")),
        {b"": folder(mode=0o711, mtime_ns=5_000_000_000), b"f": text()},
    )
    for raw, word in _ROOTS.items()
]
_NO_ROOTS = [
    case("the root as a file", tar(file(b".", b"1")), Refused(InvalidArchive, ".")),
    case("the root as a file without a name", tar(file(b"", b"1")), Refused(InvalidArchive)),
    case("the root as a symlink", tar(symlink(b"./", b"/")), Refused(InvalidArchive, "./")),
    case(
        "the root twice",
        tar(directory(b".", 0o700), header(b"./", DIRECTORY, mode=0o755)),
        {b"": folder(mode=0o755)},
    ),
    case(
        "a root whose mode keeps all out",
        tar(directory(b".", 0), directory(b"d", 0), file(b"d/f", b"1", mode=0)),
        {b"": folder(mode=0), b"d": folder(mode=0), b"d/f": text(b"1", mode=0)},
    ),
    case(
        "a symlink over the root",
        tar(header(b"/", SYMLINK, link=b"x")),
        Refused(InvalidArchive, "/"),
    ),
]
CASES = [*_NAMES, *_ROOT_CASES, *_NO_ROOTS]
