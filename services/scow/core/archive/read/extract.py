"""An archive into a directory.

`python -m scow.core.archive.read.extract ROOT PARENT MAX_BYTES MAX_ENTRIES FIRST_ID MODE`.

MODE is "plain", which refuses device nodes, "devices", or "merge": with devices, and a directory takes the place of
nothing but a directory, and the other way round. With the PARENT 0 it ends with its input alone. FIRST_ID is
the host's id for the id 0 of the place, where that has a user namespace's.

The archive comes from standard input, ROOT is a descriptor of the directory. One line of JSON on standard output tells
how it went: {"done": {"size", "inodes", "has_root", "skipped_xattrs"}} or {"fault": {"kind", "message", "entry"}}. The
process keeps no capability but those that writing files takes, and ends with its parent.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from typing import Any

from scow.core import memory
from scow.core.archive.read import headers
from scow.core.archive.read.apply import Applier
from scow.core.archive.read.faults import DEVICE, DISK_FULL, HOSTILE, REFUSED, Fault
from scow.core.archive.read.headers import Entry
from scow.core.archive.read.streams import TarStream, plain
from scow.core.archive.read.tree import Tree
from scow.core.disk import FULL
from scow.kernel import workers

# CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP (linux/capability.h)
_CAPABILITIES = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4 | 1 << 27 | 1 << 31
# Names in an answer: an archive may have any number of them.
_SHOWN = 16
_DEVICES = (headers.CHAR, headers.BLOCK_DEVICE)
_PIECE = 1 << 18


class _Input:
    """Standard input."""

    def read(self, size: int = _PIECE) -> bytes:
        """Return some bytes, none at the end."""
        return os.read(0, size)


class _WithoutDevices(Applier):
    """Refuses device nodes."""

    def special(self, parts: list[bytes], entry: Entry) -> bool:
        """Refuse a device node."""
        if entry.kind in _DEVICES:
            raise Fault(DEVICE, "an entry is a device node", entry.name)
        return False


class _Merging(Applier):
    """Adds to what is there: nothing takes the place of a directory, and a directory that of nothing."""

    def write_root(self, entry: Entry) -> None:
        """Leave the directory that it is added to as it is."""

    def special(self, parts: list[bytes], entry: Entry) -> bool:
        """Refuse an entry that is of another kind than what is there."""
        directory = self.tree.directory(parts[:-1], entry.name)
        status = self.tree.status(directory, parts[-1])
        if status is None:
            return False
        ours, theirs = entry.kind == headers.DIRECTORY, stat.S_ISDIR(status.st_mode)
        if ours != theirs:
            kinds = {True: "a directory", False: "what is no directory"}
            text = f"{kinds[theirs]} cannot be overwritten with {kinds[ours]}"
            raise Fault(HOSTILE, text, entry.name)
        return False


_MODES = {"plain": _WithoutDevices, "devices": Applier, "merge": _Merging}


def _extract(root: int, size: int, entries: int, first: int, mode: str) -> dict[str, Any]:
    _, pieces = plain(_Input())
    stream = TarStream(pieces, size, hashed=False)
    tree = Tree(f"/proc/self/fd/{root}")
    applier = _MODES[mode](tree, stream, entries)
    applier.first_id = first
    applied = applier.run()
    stream.finish()
    return {
        "size": applied.size,
        "inodes": applied.inodes,
        "has_root": applied.has_root,
        "skipped_xattrs": sorted(applied.skipped_xattrs)[:_SHOWN],
    }


def _answer(root: int, size: int, entries: int, first: int, mode: str) -> dict[str, Any]:
    try:
        return {"done": _extract(root, size, entries, first, mode)}
    except Fault as fault:
        about = {"kind": fault.kind, "message": fault.message, "entry": fault.entry}
    except OSError as error:
        kind = DISK_FULL if error.errno in FULL else REFUSED
        about = {"kind": kind, "message": str(error), "entry": ""}
    return {"fault": about}


def main() -> None:
    """Extract, and tell."""
    memory.share_one_arena()
    *numbers, mode = sys.argv[1:]
    root, parent, size, entries, first = map(int, numbers)
    if parent:
        workers.die_with_parent(parent)
    if first:
        workers.become(first)  # what is made there belongs to the user namespace's root
    workers.keep_capabilities(_CAPABILITIES)
    os.write(1, json.dumps(_answer(root, size, entries, first, mode)).encode())
    os._exit(0)  # a thread may still be reading ahead


if __name__ == "__main__":
    main()
