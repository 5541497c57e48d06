"""A directory tree as a tar archive.

The tree may be changing: names are opened from their directory's descriptor and never through a symlink, what
vanishes is left out, and an entry has exactly the size that its header announces, also when its file grows or shrinks
meanwhile. A small file that changes while it is read is read once more.

Trees may be of any depth: of the directories that lead down, the upper ones and the nearest ones are open; others are
opened again on the way up.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from scow.core.archive import headers
from scow.core.archive.headers import BLOCK, Entry

_PIECE = 1 << 20
_SMALL = 1 << 20
# A hole of fewer bytes is not worth a map, nor is a map of more pieces.
_HOLES_MIN = 1 << 20
_EXTENTS_MAX = 4096
_STAT_BLOCK = 512  # st_blocks counts in these (stat(2))
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
# What became something else since it was looked at, and what vanished.
_CHANGED = (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.ESTALE)
_VANISHED = (errno.ENOENT, *_CHANGED)
# How often an entry is looked at that becomes something else each time.
_LOOKS = 5
# Attributes that are data: others belong to the file system, or to the host's security policy.
_XATTRS = ("user.", "security.capability", "system.posix_acl_")
_OVERLAY_XATTRS = "user.overlay."
_NODES = {
    stat.S_IFCHR: headers.CHAR,
    stat.S_IFBLK: headers.BLOCK_DEVICE,
    stat.S_IFIFO: headers.FIFO,
}

# Levels whose directories stay open, and how many of the nearest ones do below those.
_LEVELS = 64
_NEAR = 8

Write = Callable[[bytes | memoryview], object]


@dataclass(slots=True)
class _Folder:
    """A directory that is being walked.

    Attributes:
        descriptor: -1 while it is closed.
        name: In its parent.
        length: Bytes of its path, which is not kept: of a deep tree all paths would be its depth squared.
        names: What is still to be written.
        identity: Device and inode.
    """

    descriptor: int
    name: bytes
    length: int
    names: Iterator[bytes]
    identity: tuple[int, int]


class Packer:
    """Writes the archive of a tree.

    Args:
        write: Takes the archive, piece by piece.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        # How many have been written, that of the root too.
        self.entries = 0
        # Later times become this one; None leaves them.
        self.latest_ns: int | None = None
        # Path of the first name of each file that has several.
        self._links: dict[tuple[int, int], bytes] = {}

    def pack(self, root: int) -> None:
        """Write all of a tree, with an entry of its root.

        Args:
            root: Descriptor of its root directory; one of O_PATH is enough.

        Raises:
            OSError: Something cannot be read.
        """
        self._walk(self._directory(root, b".", b""), b"")
        self._write(headers.END)

    def pack_named(self, directory: int, name: bytes, path: bytes) -> None:
        """Write what has a name in a directory, and all below it, under another path.

        Args:
            directory: Descriptor of the directory.
            name: In it; "." is the directory itself.
            path: That it has in the archive, without a slash at its end.

        Raises:
            OSError: Something cannot be read.
        """
        found = self._entry(directory, name, path)
        if found is not None:
            self._walk(found, path + b"/")
        self._write(headers.END)

    def _walk(self, top: _Folder, path: bytes) -> None:
        """Write what is in a directory.

        Args:
            top: The directory.
            path: Its path, with a slash, or empty.
        """
        stack = [top]
        try:
            while stack:
                folder = stack[-1]
                name = next(folder.names, None)
                if name is None:
                    _leave(stack)
                    path = path[: stack[-1].length] if stack else b""
                elif (found := self._entry(folder.descriptor, name, path + name)) is not None:
                    path += name + b"/"
                    _enter(stack, found)
        finally:
            for folder in stack:
                if folder.descriptor >= 0:
                    os.close(folder.descriptor)

    def _folder(
        self, descriptor: int, name: bytes, path: bytes, identity: tuple[int, int]
    ) -> _Folder:
        names = sorted(map(os.fsencode, os.listdir(descriptor)))
        chosen = self.choose(descriptor, path, names)
        return _Folder(descriptor, name, len(path), iter(chosen), identity)

    def choose(self, directory: int, path: bytes, names: list[bytes]) -> list[bytes]:
        """Return which names of a directory are written; a subclass may leave some out.

        Args:
            directory: Its descriptor.
            path: Its path with a slash at its end, empty for the root.
            names: All that it has, sorted.
        """
        return names

    def special(
        self, directory: int, name: bytes, path: bytes, status: os.stat_result
    ) -> Entry | None:
        """Return an entry to be written in place of what is there; a subclass may know some."""
        return None

    def within(self, directory: int, path: bytes) -> Entry | None:
        """Return a further entry of a directory, the first in it; a subclass may know one."""
        return None

    def _entry(self, directory: int, name: bytes, path: bytes) -> _Folder | None:
        """Write one entry as it is now; return it when it is a directory."""
        for _ in range(_LOOKS):
            try:
                return self._entry_once(directory, name, path)
            except OSError as error:
                if error.errno not in _VANISHED:
                    raise
                if error.errno not in _CHANGED:
                    break
        return None

    def _entry_once(self, directory: int, name: bytes, path: bytes) -> _Folder | None:
        """Write one entry.

        Raises:
            OSError: One of `_VANISHED`, when it changed meanwhile: nothing was written then.
        """
        status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        special = self.special(directory, name, path, status)
        if special is not None:
            self._put(special)
        elif stat.S_ISDIR(status.st_mode):
            return self._directory(directory, name, path + b"/")
        elif not self._is_link(path, status):
            self._other(directory, name, path, status)
        return None

    def _put(self, entry: Entry) -> None:
        self.entries += 1
        self._write(headers.header(self.finished(entry)))

    def finished(self, entry: Entry) -> Entry:
        """Return an entry as it is written, with no later time than there may be; a subclass may change more."""
        if self.latest_ns is not None:
            entry.mtime_ns = min(entry.mtime_ns, self.latest_ns)
        return entry

    def _directory(self, directory: int, name: bytes, path: bytes) -> _Folder:
        descriptor = os.open(name, _FOLDER, dir_fd=directory)
        try:
            status = os.fstat(descriptor)
            self._directory_entry(descriptor, path, status)
            return self._folder(descriptor, name, path, (status.st_dev, status.st_ino))
        except BaseException:
            os.close(descriptor)
            raise

    def _directory_entry(self, descriptor: int, path: bytes, status: os.stat_result) -> None:
        entry = _described(path or b"./", headers.DIRECTORY, status)
        entry.xattrs = xattrs_of(descriptor)
        self._put(entry)
        further = self.within(descriptor, path)
        if further is not None:
            self._put(further)

    def _is_link(self, path: bytes, status: os.stat_result) -> bool:
        """Write a further name of a file as a hard link; tell whether it is one."""
        if status.st_nlink < 2:
            return False
        first = self._links.setdefault((status.st_dev, status.st_ino), path)
        if first is path:
            return False
        entry = _described(path, headers.LINK, status)
        entry.link = first
        self._put(entry)
        return True

    def _other(self, directory: int, name: bytes, path: bytes, status: os.stat_result) -> None:
        kind = stat.S_IFMT(status.st_mode)
        try:
            if kind == stat.S_IFREG:
                self._file(directory, name, path)
            elif kind == stat.S_IFLNK:
                entry = _described(path, headers.SYMLINK, status)
                entry.link = _target(directory, name)
                self._put(entry)
            elif kind in _NODES:
                entry = _described(path, _NODES[kind], status)
                entry.major, entry.minor = os.major(status.st_rdev), os.minor(status.st_rdev)
                self._put(entry)
        except OSError:
            # A later name must not lead to an entry that was not written.
            self._links.pop((status.st_dev, status.st_ino), None)
            raise

    def _file(self, directory: int, name: bytes, path: bytes) -> None:
        descriptor = _open_file(directory, name)
        try:
            status = os.fstat(descriptor)
            if status.st_size <= _SMALL:
                self._small_file(descriptor, path, status)
            else:
                self._large_file(descriptor, path, status)
        finally:
            os.close(descriptor)

    def _small_file(self, descriptor: int, path: bytes, status: os.stat_result) -> None:
        data = _read(descriptor, status.st_size)
        after = os.fstat(descriptor)
        changed = (after.st_mtime_ns, after.st_size) != (status.st_mtime_ns, status.st_size)
        if changed and after.st_size <= _SMALL:
            status = after
            data = _read(descriptor, status.st_size)
        entry = _described(path, headers.FILE, status)
        entry.size = len(data)
        entry.xattrs = xattrs_of(descriptor)
        self._put(entry)
        if data:
            self._write(headers.padded(data))

    def _large_file(self, descriptor: int, path: bytes, status: os.stat_result) -> None:
        size = status.st_size
        entry = _described(path, headers.FILE, status)
        entry.size = size
        entry.xattrs = xattrs_of(descriptor)
        extents = [(0, size)]
        if size - status.st_blocks * _STAT_BLOCK >= _HOLES_MIN:
            extents = _extents(descriptor, size)
        if len(extents) > _EXTENTS_MAX:
            extents = [(0, size)]
        if extents == [(0, size)]:
            self._put(entry)
        else:
            self.entries += 1
            self._write(headers.sparse_header(self.finished(entry), extents))
        for offset, length in extents:
            self._data(descriptor, offset, length)
        self._write(bytes(-sum(length for _, length in extents) % BLOCK))

    def _data(self, descriptor: int, offset: int, length: int) -> None:
        end = offset + length
        while offset < end:
            piece = os.pread(descriptor, min(_PIECE, end - offset), offset)
            if not piece:  # it was cut: zeros, as for the end of a hole
                piece = bytes(min(_PIECE, end - offset))
            self._write(piece)
            offset += len(piece)


def _enter(stack: list[_Folder], folder: _Folder) -> None:
    """Go down, and close the directory that is neither near nor one of the upper ones."""
    stack.append(folder)
    far = len(stack) - 1 - _NEAR
    if far >= _LEVELS and stack[far].descriptor >= 0:
        os.close(stack[far].descriptor)
        stack[far].descriptor = -1


def _leave(stack: list[_Folder]) -> None:
    """Go up; what the parent still has is left out when it has vanished."""
    folder = stack.pop()
    try:
        if stack and stack[-1].descriptor < 0:
            stack[-1].descriptor = _reopen(stack, folder.descriptor)
    except OSError as error:
        if error.errno not in _VANISHED:
            raise
        stack[-1].names = iter(())
        stack[-1].descriptor = os.dup(folder.descriptor)  # to go on up from
    finally:
        os.close(folder.descriptor)


def _reopen(stack: list[_Folder], child: int) -> int:
    """Open the last directory again: its child knows it, unless that was moved; then its name is looked up."""
    descriptor = os.open("..", _FOLDER, dir_fd=child)
    status = os.fstat(descriptor)
    if (status.st_dev, status.st_ino) == stack[-1].identity:
        return descriptor
    os.close(descriptor)
    descriptor = os.dup(stack[_LEVELS - 1].descriptor)
    for folder in stack[_LEVELS:]:
        above = descriptor
        try:
            descriptor = os.open(folder.name, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return descriptor


def _described(path: bytes, kind: bytes, status: os.stat_result) -> Entry:
    return Entry(
        path,
        kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns,
    )


def xattrs_of(descriptor: int) -> dict[str, bytes]:
    """Return the attributes that are data, of the file that a descriptor names."""
    found: dict[str, bytes] = {}
    try:
        for name in os.listxattr(descriptor):
            if name.startswith(_XATTRS) and not name.startswith(_OVERLAY_XATTRS):
                found[name] = os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.ENODATA):
            raise
    return found


def _open_file(directory: int, name: bytes) -> int:
    """Open a regular file, and nothing else: to open a device, which it may have become, can be to use it."""
    found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise OSError(errno.ENOTDIR, "it became something else", name)
        return os.open(b"/proc/self/fd/%d" % found, os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(found)


def _target(directory: int, name: bytes) -> bytes:
    try:
        return os.fsencode(os.readlink(name, dir_fd=directory))
    except OSError as error:
        if error.errno != errno.EINVAL:  # it is no link any more
            raise
        raise OSError(errno.ENOTDIR, "it became something else", name) from error


def _read(descriptor: int, size: int) -> bytes:
    """Return exactly `size` bytes from a file's start; those that it does not have are zeros."""
    data = os.pread(descriptor, size, 0)
    while len(data) < size:
        more = os.pread(descriptor, size - len(data), len(data))
        if not more:
            return data.ljust(size, b"\0")
        data += more
    return data


def _extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """Return offset and length of what is not a hole; the last one, which may be empty, ends where the file ends."""
    found: list[tuple[int, int]] = []
    offset = 0
    while offset < size:
        try:
            start = os.lseek(descriptor, offset, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            break
        offset = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        if start < offset:
            found.append((start, offset - start))
        if len(found) > _EXTENTS_MAX:
            break
    if not found or sum(found[-1]) < size:
        found.append((size, 0))
    return found
