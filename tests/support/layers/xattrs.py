"""Extended attributes: those that speak to overlayfs go, capabilities stay."""

from __future__ import annotations

from scow.contract.errors import InvalidArchive, LayerCorrupt, LimitExceeded
from tests.support.layers.case import Case, Node, Refused, case, folder, text
from tests.support.rawtar import directory, file, pax, record, symlink, tar

_F = file(b"f", b"1")
# cap_net_raw+ep as the kernel keeps it: struct vfs_cap_data of linux/capability.h, revision 2.
_CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")


def _kept(name: str, given: dict[str, bytes], kept: dict[str, bytes], entry: bytes = _F) -> Case:
    records = pax({b"SCHILY.xattr." + key.encode(): value for key, value in given.items()})
    return case(name, tar(records, entry), {b"f": text(b"1", xattrs=kept)})


def _refused(name: str, records: bytes) -> Case:
    return case(name, tar(pax(records), _F), Refused(LayerCorrupt))


_X = b"SCHILY.xattr."
CASES = [
    _kept("an extended attribute", {"user.kind": b"a\0\n="}, {"user.kind": b"a\0\n="}),
    _kept("an empty extended attribute", {"user.kind": b""}, {"user.kind": b""}),
    _kept(
        "an extended attribute's long name",
        {"user." + "n" * 250: b"1"},
        {"user." + "n" * 250: b"1"},
    ),
    _kept("overlay's opaque mark", {"user.overlay.opaque": b"y"}, {}),
    _kept(
        "overlay's redirection",
        {"trusted.overlay.redirect": b"/etc", "user.overlay.redirect": b"/"},
        {},
    ),
    _kept("overlay's whiteout", {"user.overlay.whiteout": b"y", "user.overlay.metacopy": b""}, {}),
    _kept(
        "a file's capability",
        {"security.capability": _CAPABILITY},
        {"security.capability": _CAPABILITY},
    ),
    _kept("an attribute of a kind that is not", {"alien.kind": b"1"}, {}),
    case(
        "a directory with overlay's opaque mark",
        tar(pax({_X + b"user.overlay.opaque": b"y"}), directory(b"d")),
        {b"d": folder(xattrs={}, opaque=False)},
    ),
    case(
        "the root with overlay's opaque mark",
        tar(pax({_X + b"user.overlay.opaque": b"y"}), directory(b".")),
        {b"": folder(xattrs={}, opaque=False)},
    ),
    case(
        "an attribute of a symlink",
        tar(pax({_X + b"user.kind": b"1"}), symlink(b"s", b"t")),
        {b"s": Node("symlink", b"t", xattrs={})},
    ),
    case(
        "an attribute of one entry alone",
        tar(pax({_X + b"user.kind": b"1"}), _F, file(b"g")),
        {b"f": text(b"1", xattrs={"user.kind": b"1"}), b"g": text(xattrs={})},
    ),
    _refused("an attribute without a name", record(_X, b"1")),
    case(
        "an attribute's name of 256 bytes",
        tar(pax({_X + b"user." + b"n" * 251: b"1"}), _F),
        Refused(InvalidArchive, "f"),
    ),
    case(
        "an attribute of more than 64 KiB",
        tar(pax({_X + b"user.big": b"v" * 65537}), _F),
        Refused(LimitExceeded, "f"),
    ),
    case(
        "a capability that is none",
        tar(pax({_X + b"security.capability": b"all"}), _F),
        Refused(InvalidArchive, "f"),
    ),
    _refused("a NUL in an attribute's name", record(_X + b"user.a\0b", b"1")),
    _refused("no UTF-8 in an attribute's name", record(_X + b"user.\xff", b"1")),
]
