"""Whiteouts, and entries that try to be one. OCI image specification, layer.md, "Whiteouts"."""

from __future__ import annotations

from scow.contract.errors import InvalidArchive
from tests.support.layers.case import WHITEOUT, Refused, case, folder, link, text
from tests.support.rawtar import CHAR, DIRECTORY, directory, file, header, pax, symlink, tar

_OPAQUE = file(b"d/.wh..wh..opq")
_D = directory(b"d") + file(b"d/f", b"1")


CASES = [
    case("a whiteout", tar(file(b".wh.gone")), {b"gone": WHITEOUT}),
    case(
        "a whiteout with data",
        tar(file(b".wh.gone", b"x" * 600), file(b"f")),
        {b"gone": WHITEOUT, b"f": text()},
    ),
    case(
        "a whiteout that is a directory",
        tar(header(b"d/.wh.gone/", DIRECTORY)),
        {b"d": folder(), b"d/gone": WHITEOUT},
    ),
    case("a whiteout twice", tar(file(b".wh.gone"), file(b".wh.gone")), {b"gone": WHITEOUT}),
    case(
        "a whiteout of a long name",
        tar(pax({b"path": b".wh." + b"n" * 251}), file(b"x")),
        {b"n" * 251: WHITEOUT},
    ),
    case("a whiteout without a name", tar(file(b".wh.")), Refused(InvalidArchive, ".wh.")),
    case(
        "a whiteout of the directory itself",
        tar(file(b"d/.wh..")),
        Refused(InvalidArchive, "d/.wh.."),
    ),
    case("a whiteout of the parent", tar(file(b".wh...")), Refused(InvalidArchive, ".wh...")),
    case("a whiteout as a directory", tar(file(b".wh.d/f")), Refused(InvalidArchive, ".wh.d/f")),
    case("a whiteout outside", tar(file(b"../.wh.evil")), Refused(InvalidArchive, "../.wh.evil")),
    case(
        "a whiteout through a symlink",
        tar(symlink(b"w", b".."), file(b"w/.wh.evil")),
        Refused(InvalidArchive, "w/.wh.evil"),
    ),
    case(
        "an opaque mark through a symlink",
        tar(symlink(b"w", b"/tmp"), file(b"w/.wh..wh..opq")),
        Refused(InvalidArchive, "w/.wh..wh..opq"),
    ),
    case(
        "a whiteout below a file",
        tar(file(b"f"), file(b"f/.wh.x")),
        Refused(InvalidArchive, "f/.wh.x"),
    ),
    case(
        "a whiteout after what the layer has",
        tar(_D, file(b"d/.wh.f")),
        {b"d": folder(), b"d/f": text(b"1")},
    ),
    case(
        "a whiteout before what the layer has",
        tar(file(b"d/.wh.f"), _D),
        {b"d": folder(), b"d/f": text(b"1")},
    ),
    case(
        "a whiteout after a directory",
        tar(_D, file(b".wh.d")),
        {b"d": folder(opaque=True), b"d/f": text(b"1")},
    ),
    case(
        "a whiteout before a directory",
        tar(file(b".wh.d"), _D),
        {b"d": folder(opaque=True), b"d/f": text(b"1")},
    ),
    case(
        "a whiteout after a symlink", tar(symlink(b"w", b"/"), file(b".wh.w")), {b"w": link(b"/")}
    ),
    case(
        "a whiteout before a symlink", tar(file(b".wh.w"), symlink(b"w", b"/")), {b"w": link(b"/")}
    ),
    case(
        "a file below a whiteout", tar(file(b".wh.d"), file(b"d/f")), Refused(InvalidArchive, "d/f")
    ),
    case("an opaque mark", tar(_D, _OPAQUE), {b"d": folder(opaque=True), b"d/f": text(b"1")}),
    case("an opaque mark first", tar(_OPAQUE, _D), {b"d": folder(opaque=True), b"d/f": text(b"1")}),
    case(
        "an opaque mark twice",
        tar(_OPAQUE, _D, _OPAQUE),
        {b"d": folder(opaque=True), b"d/f": text(b"1")},
    ),
    case("an opaque mark alone", tar(_OPAQUE), {b"d": folder(opaque=True)}),
    case(
        "an opaque mark that is a directory",
        tar(header(b"d/.wh..wh..opq", DIRECTORY)),
        {b"d": folder(opaque=True)},
    ),
    case(
        "an opaque mark with data",
        tar(file(b"d/.wh..wh..opq", b"x" * 513), file(b"f")),
        {b"d": folder(opaque=True), b"f": text()},
    ),
    case(
        "an opaque root",
        tar(file(b".wh..wh..opq"), file(b"f")),
        {b"": folder(opaque=True), b"f": text()},
    ),
    case("an opaque mark as a directory", tar(file(b"d/.wh..wh..opq/f")), {}),
    case(
        "aufs' own files",
        tar(
            file(b".wh..wh.aufs"),
            header(b".wh..wh.plnk/", DIRECTORY),
            file(b".wh..wh.plnk/1.2", b"x"),
        ),
        {},
    ),
    case("a device that is a whiteout", tar(header(b"gone", CHAR)), {b"gone": WHITEOUT}),
    case(
        "a name that only looks like one",
        tar(file(b".whale"), file(b"a.wh.b")),
        {b".whale": text(), b"a.wh.b": text()},
    ),
]
