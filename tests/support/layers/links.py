"""Symlinks and hard links that lead somewhere else."""

from __future__ import annotations

from scow.contract.errors import InvalidArchive, LayerCorrupt, ScowError
from tests.support.layers.case import WHITEOUT, Case, Node, Refused, Tree, case, folder, link, text
from tests.support.rawtar import (
    LINK,
    directory,
    file,
    gnu_long,
    hardlink,
    header,
    pax,
    symlink,
    tar,
)

REAL = directory(b"real") + file(b"real/f", b"1")
REAL_TREE: Tree = {b"real": folder(), b"real/f": text(b"1")}


def _through(name: str, *before: bytes, entry: bytes = b"w/evil") -> Case:
    return case(name, tar(*before, file(entry, b"evil")), Refused(InvalidArchive, entry.decode()))


def _hard(name: str, target: bytes, error: type[ScowError], *before: bytes) -> Case:
    return case(name, tar(*before, hardlink(b"l", target)), Refused(error, "l"))


_SYMLINKS = [
    _through("a symlink to an absolute place", symlink(b"w", b"/tmp")),
    _through("a symlink to the parent", symlink(b"w", b"../..")),
    _through("a symlink to the parent, with detours", symlink(b"w", b"./a/../.."), directory(b"a")),
    _through(
        "symlinks to symlinks", symlink(b"w", b"b"), symlink(b"b", b"c"), symlink(b"c", b"..")
    ),
    _through(
        "a symlink deep down",
        directory(b"a/b"),
        symlink(b"a/b/w", b"../../.."),
        entry=b"a/b/w/evil",
    ),
    _through("a symlink to the process's root", symlink(b"w", b"/proc/self/root")),
    _through("a symlink to the process's directory", symlink(b"w", b"/proc/self/cwd/..")),
    _through("a symlink to a descriptor", symlink(b"w", b"/proc/self/fd/3")),
    _through("a loop of symlinks", symlink(b"w", b"v"), symlink(b"v", b"w")),
    _through(
        "a chain of 50 symlinks",
        *(symlink(b"%d" % at, b"%d" % (at + 1)) for at in range(50)),
        directory(b"50"),
        entry=b"0/evil",
    ),
    _through("a symlink to nowhere", symlink(b"w", b"nowhere")),
    _through("a symlink to a file", file(b"f"), symlink(b"w", b"f")),
    _through(
        "a symlink that was replaced by another",
        REAL,
        symlink(b"w", b"real"),
        file(b"w/g"),
        symlink(b"w", b".."),
    ),
    _through(
        "a directory that was replaced by a symlink",
        directory(b"w"),
        file(b"w/g"),
        symlink(b"w", b"/tmp"),
    ),
    _through("a hard link to a symlink", symlink(b"s", b"/tmp"), hardlink(b"w", b"s")),
    case(
        "a directory through a symlink",
        tar(symlink(b"w", b".."), directory(b"w/evil")),
        Refused(InvalidArchive, "w/evil"),
    ),
    case(
        "a symlink through a symlink",
        tar(symlink(b"w", b".."), symlink(b"w/evil", b"x")),
        Refused(InvalidArchive, "w/evil"),
    ),
    case(
        "a symlink inside is followed",
        tar(REAL, symlink(b"w", b"real"), file(b"w/g", b"2")),
        {**REAL_TREE, b"real/g": text(b"2"), b"w": link(b"real")},
    ),
    case(
        "a way up and down that stays inside",
        tar(REAL, directory(b"a"), symlink(b"a/w", b"../real"), file(b"a/w/g", b"2")),
        {**REAL_TREE, b"real/g": text(b"2"), b"a": folder(), b"a/w": link(b"../real")},
    ),
    case(
        "a file replaces a symlink and is not written through it",
        tar(symlink(b"w", b"../outside"), file(b"w", b"mine")),
        {b"w": text(b"mine")},
    ),
    case(
        "a directory replaces a symlink to one",
        tar(REAL, symlink(b"w", b"real"), directory(b"w"), file(b"w/g", b"2")),
        {**REAL_TREE, b"w": folder(), b"w/g": text(b"2")},
    ),
    case("a symlink to itself", tar(symlink(b"w", b"w")), {b"w": link(b"w")}),
    case("a symlink without a target", tar(symlink(b"w", b"")), Refused(LayerCorrupt, "w")),
    case(
        "a NUL in a symlink's target",
        tar(pax({b"linkpath": b"a\0b"}), symlink(b"w", b"x")),
        Refused(LayerCorrupt, "w"),
    ),
    case(
        "a target of 4095 bytes",
        tar(pax({b"linkpath": b"t" * 4095}), symlink(b"w", b"x")),
        {b"w": link(b"t" * 4095)},
    ),
    case(
        "a target of 4096 bytes",
        tar(gnu_long(b"K", b"t" * 4096), symlink(b"w", b"x")),
        Refused(InvalidArchive, "w"),
    ),
]
_HARD = [
    _hard("a hard link to the parent", b"../outside", InvalidArchive),
    _hard("a hard link to an absolute name", b"/etc/passwd", InvalidArchive),
    _hard("a hard link through a symlink out", b"w/outside", InvalidArchive, symlink(b"w", b"..")),
    _hard("a hard link through /proc", b"w/self/exe", InvalidArchive, symlink(b"w", b"/proc")),
    _hard("a hard link to nothing", b"absent", LayerCorrupt),
    _hard("a hard link into nothing", b"absent/f", LayerCorrupt),
    _hard("a hard link to what comes later", b"later", LayerCorrupt),
    _hard("a hard link to itself", b"l", LayerCorrupt),
    _hard("a hard link to a directory", b"d", InvalidArchive, directory(b"d")),
    _hard("a hard link to the root", b".", InvalidArchive),
    _hard("a hard link without a target", b"", InvalidArchive),
    case(
        "a hard link to a whiteout",
        tar(file(b".wh.gone"), hardlink(b"l", b"gone")),
        {b"gone": WHITEOUT, b"l": WHITEOUT},
    ),
    _hard("a hard link to a file's inside", b"f/x", InvalidArchive, file(b"f")),
    _hard(
        "a hard link over the directory of its target",
        b"l/f",
        LayerCorrupt,
        directory(b"l"),
        file(b"l/f"),
    ),
    case(
        "a NUL in a hard link's target",
        tar(REAL, pax({b"linkpath": b"real\0/../../x/f"}), hardlink(b"l", b"x")),
        Refused(LayerCorrupt, "l"),
    ),
    case(
        "a hard link through a symlink inside",
        tar(REAL, symlink(b"w", b"real"), hardlink(b"l", b"w/f")),
        {
            **REAL_TREE,
            b"w": link(b"real"),
            b"l": text(b"1", same=b"l"),
            b"real/f": text(b"1", same=b"l"),
        },
    ),
    case(
        "a hard link to a symlink links the symlink",
        tar(symlink(b"s", b"/etc/passwd"), hardlink(b"w", b"s")),
        {
            b"s": Node("symlink", b"/etc/passwd", same=b"s"),
            b"w": Node("symlink", b"/etc/passwd", same=b"s"),
        },
    ),
    case("a hard link again", tar(file(b"f", b"1"), hardlink(b"f", b"f")), {b"f": text(b"1")}),
    case(
        "a file that replaces a name of two leaves the other",
        tar(file(b"f", b"old"), hardlink(b"l", b"f"), file(b"f", b"new")),
        {b"f": text(b"new", same=b"f"), b"l": text(b"old", same=b"l")},
    ),
    case(
        "a hard link that announces data has none",
        tar(file(b"f", b"1"), header(b"l", LINK, link=b"f", size=3), file(b"g", b"2")),
        {b"f": text(b"1"), b"l": text(b"1"), b"g": text(b"2")},
    ),
    case(
        "a hard link with data",
        tar(file(b"f", b"1"), header(b"l", LINK, link=b"f", size=3) + b"abc" + bytes(509)),
        Refused(LayerCorrupt),
    ),
]
CASES = [*_SYMLINKS, *_HARD]
