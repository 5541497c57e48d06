"""The files of a layer that was unpacked into a folder (`stacks.layer.LayerFiles`).

Strangers chose the names and the links in it: every path is opened beneath the folder, through no link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from scow.image.stacks.layer import Inode
from scow.kernel import syscalls

_BENEATH = syscalls.RESOLVE_BENEATH | syscalls.RESOLVE_NO_SYMLINKS
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_PLAIN = (stat.S_IFREG, stat.S_IFDIR)


class UnpackedFiles:
    """The files of one layer; an inode's handle is its path.

    Args:
        folder: The layer's.
    """

    def __init__(self, folder: Path) -> None:
        self._root = os.open(folder, _FOLDER)
        # The file that was read last.
        self._opened: tuple[bytes, int] | None = None

    def close(self) -> None:
        """Close the folder."""
        if self._opened is not None:
            os.close(self._opened[1])
            self._opened = None
        os.close(self._root)

    def root(self) -> Inode:
        """Return the root directory."""
        return self._described(self._root, os.fstat(self._root), b".")

    def child(self, directory: Inode, name: bytes) -> Inode | None:
        """Return what has a name in a directory."""
        if name in (b".", b".."):
            return None
        folder = self._open(directory, _FOLDER)
        try:
            return self._inode(folder, name, _below(directory, name))
        except FileNotFoundError:
            return None
        finally:
            os.close(folder)

    def children(self, directory: Inode) -> Iterator[tuple[bytes, Inode]]:
        """Give all that is in a directory."""
        folder = self._open(directory, _FOLDER)
        try:
            for name in map(os.fsencode, os.listdir(folder)):
                yield name, self._inode(folder, name, _below(directory, name))
        finally:
            os.close(folder)

    def read(self, file: Inode, offset: int, size: int) -> bytes:
        """Return bytes of a regular file."""
        path = _path(file)
        if self._opened is None or self._opened[0] != path:
            descriptor = self._open(file, _FILE)
            if self._opened is not None:
                os.close(self._opened[1])
            self._opened = (path, descriptor)
        return os.pread(self._opened[1], max(min(size, file.size - offset), 0), offset)

    def _open(self, file: Inode, flags: int) -> int:
        return syscalls.openat2(self._root, os.fsdecode(_path(file)), flags, resolve=_BENEATH)

    def _inode(self, folder: int, name: bytes, path: bytes) -> Inode:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_IFMT(status.st_mode) in _PLAIN:
            descriptor = os.open(name, _FILE | os.O_NOFOLLOW, dir_fd=folder)
            try:
                return self._described(descriptor, status, path)
            finally:
                os.close(descriptor)
        target = b""
        if stat.S_ISLNK(status.st_mode):
            target = os.fsencode(os.readlink(name, dir_fd=folder))
        return _inode(status, path, target, {})

    def _described(self, descriptor: int, status: os.stat_result, path: bytes) -> Inode:
        names = os.listxattr(descriptor)
        return _inode(status, path, b"", {name: os.getxattr(descriptor, name) for name in names})


def _inode(status: os.stat_result, path: bytes, link: bytes, xattrs: dict[str, bytes]) -> Inode:
    major, minor = os.major(status.st_rdev), os.minor(status.st_rdev)
    return Inode(
        mode=status.st_mode,
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if stat.S_ISREG(status.st_mode) else 0,
        mtime_ns=status.st_mtime_ns,
        number=status.st_ino,
        links=status.st_nlink,
        handle=path,
        link=link,
        device=minor & 0xFF | major << 8 | (minor & ~0xFF) << 12,
        xattrs=xattrs,
    )


def _path(inode: Inode) -> bytes:
    assert isinstance(inode.handle, bytes)
    return inode.handle


def _below(directory: Inode, name: bytes) -> bytes:
    path = _path(directory)
    return name if path == b"." else path + b"/" + name
