"""The files of one layer: what reading a stack needs to know of a driver's form.

Whiteouts and opaque directories are in the layers as overlayfs has them: devices with the number 0, and the attribute
`user.overlay.opaque` (docs.kernel.org/filesystems/overlayfs.html).
"""

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

OPAQUE = "user.overlay.opaque"
_OVERLAY = "user.overlay."


@dataclass(slots=True, frozen=True)
class Inode:
    """A file of a layer.

    Attributes:
        mode: Type and permissions.
        size: Bytes of a regular file.
        link: Target of a symbolic link.
        xattrs: By name, with those of overlayfs.
        device: linux/kdev_t.h, new_encode_dev.
        number: The same for all names of a file in this layer.
        links: How many names it has.
        handle: What the layer finds it by.
    """

    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    number: int
    links: int
    handle: Any
    link: bytes = b""
    device: int = 0
    xattrs: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        """Whether it is one."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic one."""
        return stat.S_ISLNK(self.mode)

    @property
    def is_whiteout(self) -> bool:
        """Whether it says that lower layers show nothing here."""
        return stat.S_ISCHR(self.mode) and self.device == 0

    @property
    def is_opaque(self) -> bool:
        """Whether lower layers show nothing in this directory."""
        return self.xattrs.get(OPAQUE) == b"y"

    def attributes(self) -> dict[str, bytes]:
        """Return the attributes that are data."""
        return {name: value for name, value in self.xattrs.items() if not name.startswith(_OVERLAY)}


class LayerFiles(Protocol):
    """The files of one layer. Not for several threads at once."""

    def root(self) -> Inode:
        """Return the root directory."""

    def child(self, directory: Inode, name: bytes) -> Inode | None:
        """Return what has a name in a directory, None when nothing has it."""

    def children(self, directory: Inode) -> Iterable[tuple[bytes, Inode]]:
        """Return all that is in a directory, in any order."""

    def read(self, file: Inode, offset: int, size: int) -> bytes:
        """Return bytes of a regular file; fewer than asked for only at its end."""

    def close(self) -> None:
        """Let go of descriptors."""
