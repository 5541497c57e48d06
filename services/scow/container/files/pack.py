"""`python -m scow.container.files.pack DIRECTORY NAME TITLE DEV INODE FIRST_ID`: the tar of what has a name.

It is written to standard output. Run as a process of its own for each copy (`scow.core.archive.processes`). The
kernel's file systems and what is mounted at the container's /dev, the runtime's, are in it as empty directories.
"""

from __future__ import annotations

import os
import sys

from scow.container.files.places import KERNELS, inner
from scow.core.archive.export import run
from scow.core.archive.headers import Entry
from scow.core.archive.pack import Packer, Write
from scow.kernel.syscalls import fs_magic


class _Files(Packer):
    """Leaves out what is not the container's.

    Args:
        write: Takes the archive.
        devices: Device and inode of what is mounted at /dev.
        first: The host's id for the container's id 0.
    """

    def __init__(self, write: Write, devices: tuple[int, int], first: int) -> None:
        super().__init__(write)
        self._devices = devices
        self._first = first

    def finished(self, entry: Entry) -> Entry:
        """Return an entry with the owner that the container sees."""
        entry.uid, entry.gid = inner(entry.uid, self._first), inner(entry.gid, self._first)
        return super().finished(entry)

    def choose(self, directory: int, path: bytes, names: list[bytes]) -> list[bytes]:
        """Return nothing for what the runtime mounted."""
        found = os.fstat(directory)
        if (found.st_dev, found.st_ino) == self._devices or fs_magic(directory) in KERNELS:
            return []
        return names


def main() -> int:
    """Write the archive."""
    directory, name, title, device, inode, first = map(os.fsencode, sys.argv[1:])
    devices = (int(device), int(inode))
    return run(
        lambda write: _Files(write, devices, int(first)).pack_named(int(directory), name, title)
    )


if __name__ == "__main__":
    sys.exit(main())
