"""Writes the entries of a layer into a directory, in the form in which overlayfs wants a lower layer.

Whiteouts (OCI image specification, "Whiteouts") become character devices 0/0, which need no capability since Linux
5.8; opaque directories get the xattr `user.overlay.opaque`, which overlayfs reads when it is mounted with `userxattr`:
`trusted.overlay.opaque` would need CAP_SYS_ADMIN.
"""

from __future__ import annotations

import os
import stat

from scow.core.archive.read import apply
from scow.core.archive.read.headers import Entry
from scow.core.archive.read.tree import path_of
from scow.image.layers.unpack.marks import Mark, is_mark, mark_of

OPAQUE_XATTR = "user.overlay.opaque"


class Applier(apply.Applier):
    """Writes the entries of a layer."""

    def special(self, parts: list[bytes], entry: Entry) -> bool:
        """Write a whiteout."""
        if not is_mark(parts):
            return False
        self._write_mark(mark_of(parts, entry), entry)
        return True

    def replaced(self, directory: int, name: bytes, before: os.stat_result) -> None:
        """Keep hidden what lower layers have, where a whiteout of the name came first."""
        if stat.S_ISCHR(before.st_mode) and before.st_rdev == 0:
            os.setxattr(path_of(directory, name), OPAQUE_XATTR, b"y", follow_symlinks=False)

    def _write_mark(self, mark: Mark | None, entry: Entry) -> None:
        if mark is None:
            return
        directory = self.tree.directory(mark.directory, entry.name)
        if not mark.hidden:
            os.setxattr(b"/proc/self/fd/%d/." % directory, OPAQUE_XATTR, b"y")
            return
        status = self.tree.status(directory, mark.hidden)
        if status is None:
            os.mknod(mark.hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)
        elif stat.S_ISDIR(status.st_mode):
            # Whiteouts speak of lower layers only: what this layer has put there stays.
            path = path_of(directory, mark.hidden)
            os.setxattr(path, OPAQUE_XATTR, b"y", follow_symlinks=False)
