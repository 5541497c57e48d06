"""Writes the entries of an archive into a directory.

An archive's own overlay xattrs are left out: they are commands to overlayfs, not data.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from scow.core.archive.read import headers
from scow.core.archive.read.faults import DISK_FULL, LIMIT, REFUSED, Fault, corrupt, hostile
from scow.core.archive.read.headers import Entry
from scow.core.archive.read.streams import TarStream
from scow.core.archive.read.tree import Tree, components, link_target, path_of
from scow.core.disk import FULL

_OVERLAY_XATTRS = ("user.overlay.", "trusted.overlay.")
# With more space than this it is not the disk that an extended attribute does not fit on.
_XATTR_ROOM = 1 << 24
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Errors of the kernel that tell of the entry, not of the place it goes to.
_IMPOSSIBLE = frozenset(
    (errno.ENAMETOOLONG, errno.EINVAL, errno.ELOOP, errno.ENOTDIR, errno.EFBIG, errno.ERANGE)
)
_NODES = {
    headers.CHAR: stat.S_IFCHR,
    headers.BLOCK_DEVICE: stat.S_IFBLK,
    headers.FIFO: stat.S_IFIFO,
}


@dataclass
class Applied:
    """What was written.

    Attributes:
        size: Bytes of all files.
        inodes: Entries that are not hard links.
        has_root: Whether the archive has an entry for its root directory.
        skipped_xattrs: Names of xattrs that this file system or process may not set.
    """

    size: int = 0
    inodes: int = 0
    has_root: bool = False
    skipped_xattrs: set[str] = field(default_factory=set)


class Applier:
    """Writes entries, one after the other.

    Args:
        tree: Where to.
        stream: The archive, from which the data of files is read.
        max_entries: Limit on the number of entries.
    """

    def __init__(self, tree: Tree, stream: TarStream, max_entries: int) -> None:
        self.applied = Applied()
        self.tree = tree
        self.stream = stream
        # The host's id for the id 0 of the archive.
        self.first_id = 0
        self._max_entries = max_entries
        self._count = 0
        self._uid, self._gid = os.geteuid(), os.getegid()
        # Directories that the archive has an entry for, by their own paths: their times change until all is written.
        self._directories: dict[bytes, tuple[int, Entry]] = {}
        # Directories that were removed again, and after how many entries.
        self._removed: dict[bytes, int] = {}

    def run(self) -> Applied:
        """Write all entries.

        Raises:
            Fault: With the name of the entry that is wrong.
        """
        old_umask = os.umask(0)
        name = b""
        try:
            for entry in headers.entries(self.stream):
                name = entry.name
                self._count += 1
                if self._count > self._max_entries:
                    raise Fault(LIMIT, f"the archive has more than {self._max_entries} entries")
                entry.uid += self.first_id
                entry.gid += self.first_id
                self._write_named(entry)
            self._finish_directories()
        except OSError as error:
            raise _fault(error, name) from error
        finally:
            os.umask(old_umask)
        return self.applied

    def _write_named(self, entry: Entry) -> None:
        try:
            self._write(entry)
        except Fault as fault:  # the stream does not know whose data it reads
            raise fault.about(entry.name) from None

    def _write(self, entry: Entry) -> None:
        parts = components(entry.name)
        if not parts:
            self.write_root(entry)
            return
        if self.special(parts, entry):
            self.stream.skip(entry.size)
            return
        name = parts.pop()
        directory = self.tree.directory(parts, entry.name)
        if entry.kind == headers.FILE:
            self._write_file(directory, name, entry)
        elif entry.kind == headers.DIRECTORY:
            self._write_directory(directory, name, entry)
        elif entry.kind == headers.LINK:
            self._write_link(directory, name, entry)
        else:
            self._write_other(directory, name, entry)

    def special(self, parts: list[bytes], entry: Entry) -> bool:
        """Do what an entry asks for that is no file; tell whether it is one. A subclass may know some."""
        return False

    def replaced(self, directory: int, name: bytes, before: os.stat_result) -> None:
        """Do what follows from a directory that took the place of something else; a subclass may know something."""

    def write_root(self, entry: Entry) -> None:
        """Take an entry for the directory itself; a subclass may leave it as it is."""
        if entry.kind != headers.DIRECTORY:
            raise hostile("the archive's root is not a directory", entry.name)
        self.applied.has_root = True
        self._directories[b"."] = (self._count, entry)
        self._set_xattrs(b"/proc/self/fd/%d/." % self.tree.root, entry)

    def _write_file(self, directory: int, name: bytes, entry: Entry) -> None:
        try:
            descriptor = os.open(name, _CREATE, entry.mode & 0o777, dir_fd=directory)
        except FileExistsError:
            self._make_room(directory, name, entry)
            descriptor = os.open(name, _CREATE, entry.mode & 0o777, dir_fd=directory)
        try:
            self._write_data(descriptor, entry)
            # Writing and changing the owner clear setuid bits and file capabilities: these come last.
            if entry.uid != self._uid or entry.gid != self._gid:
                os.chown(descriptor, entry.uid, entry.gid)
            if entry.mode & 0o7000:
                os.chmod(descriptor, entry.mode)
            if entry.xattrs:
                self._set_xattrs(descriptor, entry)
            os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(descriptor)
        self.applied.inodes += 1

    def _write_data(self, descriptor: int, entry: Entry) -> None:
        self.applied.size += entry.size
        extents = [(0, entry.size)] if entry.sparse is None else entry.sparse
        for offset, length in extents:
            for part in self.stream.parts(length):
                while part:
                    written = os.pwrite(descriptor, part, offset)
                    offset += written
                    part = part[written:]
        if entry.sparse is not None:
            os.ftruncate(descriptor, entry.real_size)

    def _write_directory(self, directory: int, name: bytes, entry: Entry) -> None:
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
            self.applied.inodes += 1
        except FileExistsError:
            status = self.tree.status(directory, name)
            if status is None or not stat.S_ISDIR(status.st_mode):
                self._make_room(directory, name, entry)
                os.mkdir(name, 0o755, dir_fd=directory)
                self.applied.inodes += 1
                if status is not None:
                    self.replaced(directory, name, status)
        self._set_xattrs(path_of(directory, name), entry)
        self._directories[self._path(directory, name, entry)] = (self._count, entry)

    def _write_link(self, directory: int, name: bytes, entry: Entry) -> None:
        target = link_target(entry.name, entry.link)
        try:
            source = self.tree.existing(target[:-1], entry.name)
        except FileNotFoundError as error:
            raise _no_target(entry) from error
        try:
            self._link(source, target[-1], directory, name, entry)
        finally:
            os.close(source)

    def _link(self, source: int, target: bytes, directory: int, name: bytes, entry: Entry) -> None:
        def link() -> None:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)

        status = self.tree.status(source, target)
        if status is None:
            raise _no_target(entry)
        there = self.tree.status(directory, name)
        if there is not None and os.path.samestat(status, there):
            return
        if stat.S_ISDIR(status.st_mode):
            raise hostile("a hard link leads to a directory", entry.name)
        if there is None:
            link()
        else:
            self._remove(directory, name, entry, there)
            try:
                link()
            except FileNotFoundError as error:  # it lay in the directory that was in the way
                raise _no_target(entry) from error

    def _write_other(self, directory: int, name: bytes, entry: Entry) -> None:
        try:
            self._make_node(directory, name, entry)
        except FileExistsError:
            self._make_room(directory, name, entry)
            self._make_node(directory, name, entry)
        self.applied.inodes += 1
        os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        if entry.kind != headers.SYMLINK and entry.mode & 0o7000:
            with opened(directory, name) as node:
                os.chmod(b"/proc/self/fd/%d" % node, entry.mode)
        self._set_xattrs(path_of(directory, name), entry)
        times = (entry.mtime_ns, entry.mtime_ns)
        os.utime(name, ns=times, dir_fd=directory, follow_symlinks=False)

    def _make_node(self, directory: int, name: bytes, entry: Entry) -> None:
        if entry.kind == headers.SYMLINK:
            if not entry.link or b"\0" in entry.link:
                raise corrupt("a symlink has no target", entry.name)
            os.symlink(entry.link, name, dir_fd=directory)
            return
        mode = _NODES[entry.kind] | entry.mode & 0o777
        os.mknod(name, mode, os.makedev(entry.major, entry.minor), dir_fd=directory)

    def _make_room(self, directory: int, name: bytes, entry: Entry) -> None:
        status = self.tree.status(directory, name)
        if status is not None:
            self._remove(directory, name, entry, status)

    def _remove(self, directory: int, name: bytes, entry: Entry, status: os.stat_result) -> None:
        if stat.S_ISDIR(status.st_mode):
            self._removed[self._path(directory, name, entry)] = self._count
        self.tree.remove(directory, name, status)

    def _path(self, directory: int, name: bytes, entry: Entry) -> bytes:
        return self.tree.path(directory, name) or b"/".join(components(entry.name))

    def _set_xattrs(self, target: int | bytes, entry: Entry) -> None:
        follow = {} if isinstance(target, int) else {"follow_symlinks": False}
        for name, value in entry.xattrs.items():
            if name.startswith(_OVERLAY_XATTRS):
                continue
            try:
                os.setxattr(target, name, value, **follow)
            except OSError as error:
                full = error.errno == errno.ENOSPC and not self._has_space()
                if error.errno in (errno.ENOSPC, errno.E2BIG) and not full:  # as ext4 says it
                    text = "an entry has more extended attributes than this file system takes"
                    raise Fault(LIMIT, text, entry.name) from error
                if error.errno not in (errno.EPERM, errno.ENOTSUP):
                    raise
                self.applied.skipped_xattrs.add(name)

    def _has_space(self) -> bool:
        space = os.fstatvfs(self.tree.root)
        return space.f_bavail * space.f_frsize > _XATTR_ROOM

    def _finish_directories(self) -> None:
        """Set owner, mode and times of directories, now that nothing is written into them any more."""
        for path, (made, entry) in reversed(self._directories.items()):
            *above, name = path.split(b"/")
            if self._removed and made < self._last_removed(path):
                continue
            try:
                parent = self.tree.existing(above, entry.name)
            except (Fault, FileNotFoundError):
                continue  # a later entry replaced what leads to it
            try:
                self._finish_directory(parent, name, entry)
            finally:
                os.close(parent)

    def _last_removed(self, path: bytes) -> int:
        """Return after how many entries a directory, or one that it lay in, was removed; 0 for never."""
        ends = [at for at, byte in enumerate(path) if byte == 0x2F]
        return max(self._removed.get(path[:end], 0) for end in (*ends, len(path)))

    def _finish_directory(self, parent: int, name: bytes, entry: Entry) -> None:
        """Set what an entry says of a directory, through a descriptor: others may write to the tree, too."""
        try:
            directory = os.open(name, _FOLDER, dir_fd=parent)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return  # a later entry replaced it
        try:
            os.fchown(directory, entry.uid, entry.gid)
            os.fchmod(directory, entry.mode)
            os.utime(directory, ns=(entry.mtime_ns, entry.mtime_ns))
        finally:
            os.close(directory)


@contextlib.contextmanager
def opened(directory: int, name: bytes) -> Iterator[int]:
    """Open what has a name, whatever it is, without following it (O_PATH)."""
    node = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield node
    finally:
        os.close(node)


def _no_target(entry: Entry) -> Fault:
    return corrupt("a hard link's target is not in the archive", entry.name)


def _fault(error: OSError, name: bytes) -> Fault:
    if error.errno in FULL:
        return Fault(DISK_FULL, "no space is left to unpack the archive", name)
    if error.errno in _IMPOSSIBLE:
        return hostile(f"an entry cannot be written: {error.strerror}", name)
    return Fault(REFUSED, f"an entry cannot be written: {error.strerror}", name)
