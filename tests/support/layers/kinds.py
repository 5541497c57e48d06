"""Kinds of entries: devices, types that no image has, and every kind in the place of every other."""

from __future__ import annotations

import dataclasses
import itertools

from scow.contract.errors import InvalidArchive, LayerCorrupt
from tests.support.layers.case import WHITEOUT, Case, Node, Refused, Tree, case, folder, link, text
from tests.support.rawtar import (
    BLOCK,
    CHAR,
    FIFO,
    base256,
    directory,
    file,
    hardlink,
    header,
    symlink,
    tar,
)

_KINDS: dict[str, tuple[bytes, Node]] = {
    "file": (file(b"x", b"1"), text(b"1")),
    "directory": (directory(b"x", 0o751), folder(mode=0o751)),
    "symlink": (symlink(b"x", b"t"), link(b"t")),
    "hard link": (hardlink(b"x", b"t"), text(b"target", same=b"t")),
    "fifo": (header(b"x", FIFO), Node("fifo")),
    "device": (header(b"x", CHAR, device=(1, 3)), Node("char", device=(1, 3))),
    "whiteout": (file(b".wh.x"), WHITEOUT),
}


def _replaced(first: str, second: str) -> Case:
    """Return the case of a second entry of the same name; below a directory there is a file."""
    inside = file(b"x/in", b"2") if first == "directory" else b""
    layer = tar(file(b"t", b"target"), _KINDS[first][0], inside, _KINDS[second][0])
    stays = second == "whiteout"
    node = _KINDS[first if stays else second][1]
    if {first, second} == {"directory", "whiteout"}:
        node = dataclasses.replace(_KINDS["directory"][1], opaque=True)
    tree: Tree = {b"t": text(b"target"), b"x": node}
    if first == "directory" and second in ("directory", "whiteout"):
        tree[b"x/in"] = text(b"2")
    return case(f"{first}, then {second}", layer, tree)


def _special(name: str, kind: bytes, node: Node, **fields: object) -> Case:
    return case(name, tar(header(b"x", kind, **fields)), {b"x": node})  # type: ignore[arg-type]


_SPECIAL = [
    _special(
        "a character device",
        CHAR,
        Node("char", mode=0o666, device=(1, 3)),
        mode=0o666,
        device=(1, 3),
    ),
    _special("a block device", BLOCK, Node("block", device=(8, 0)), device=(8, 0)),
    _special("a fifo", FIFO, Node("fifo", mode=0o640, owner=(5, 6)), mode=0o640, uid=5, gid=6),
    _special(
        "setuid, setgid and sticky",
        b"0",
        text(mode=0o7755, owner=(7, 8)),
        mode=0o7755,
        uid=7,
        gid=8,
    ),
    _special("a mode with more bits than there are", b"0", text(mode=0o7777), mode=0o1777777),
    _special("a file of 1979", b"\0", text(), magic=b""),
    _special("a contiguous file", b"7", text()),
    case("a directory of 1979", tar(header(b"d/", b"\0", magic=b"")), {b"d": folder()}),
    case(
        "an old header with anything behind the names",
        tar(header(b"f", b"\0", magic=b"", device=b"junk....junk....", tail=b"\xff" * 167)),
        {b"f": text()},
    ),
    case("a sticky directory", tar(directory(b"d", 0o1777)), {b"d": folder(mode=0o1777)}),
    case("a volume label", tar(header(b"label", b"V"), file(b"f")), {b"f": text()}),
    case(
        "a device with data",
        tar(header(b"x", CHAR, device=(1, 3), size=5), file(b"f")),
        {b"x": Node("char"), b"f": text()},
    ),
    case(
        "a part of several volumes", tar(header(b"f", b"M", size=5)), Refused(InvalidArchive, "f")
    ),
    case("a list of a directory", tar(header(b"d/", b"D")), Refused(InvalidArchive, "d/")),
    case("an unknown kind", tar(header(b"f", b"Q")), Refused(InvalidArchive, "f")),
    case(
        "a kind that is not a character", tar(header(b"f", b"\xff")), Refused(InvalidArchive, "f")
    ),
    case(
        "a major number that is another's",
        tar(header(b"x", CHAR, device=base256(4096 + 1, 8) + base256(3, 8))),
        Refused(LayerCorrupt, "x"),
    ),
    case(
        "a huge minor number",
        tar(header(b"x", BLOCK, device=base256(8, 8) + base256(1 << 60, 8))),
        Refused(LayerCorrupt, "x"),
    ),
    case(
        "a negative major number",
        tar(header(b"x", CHAR, device=base256(-1, 8) + base256(3, 8))),
        Refused(LayerCorrupt, "x"),
    ),
    case(
        "a file where a directory with directories was",
        tar(directory(b"a"), directory(b"a/b", 0o700), directory(b"a/b/c"), file(b"a", b"1")),
        {b"a": text(b"1")},
    ),
    case(
        "a symlink where a directory with directories was",
        tar(
            directory(b"r"),
            directory(b"r/b", 0o755),
            directory(b"a"),
            directory(b"a/b", 0o700),
            symlink(b"a", b"../.."),
        ),
        {b"r": folder(), b"r/b": folder(mode=0o755), b"a": link(b"../..")},
    ),
]
CASES = [*_SPECIAL, *(_replaced(*pair) for pair in itertools.product(_KINDS, repeat=2))]
