"""Writes the entries of a layer into a directory, in the form in which overlayfs wants a lower layer.

Whiteouts (OCI image specification, "Whiteouts") become character devices 0/0, which need no capability since Linux
5.8; opaque directories get the xattr `user.overlay.opaque`, which overlayfs reads when it is mounted with `userxattr`:
`trusted.overlay.opaque` would need CAP_SYS_ADMIN. An archive's own overlay xattrs are left out: they are
commands to overlayfs, not data.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass, field

from scow.core.disk import FULL
from scow.image.unpack import headers
from scow.image.unpack.faults import DISK_FULL, LIMIT, REFUSED, Fault, corrupt, hostile
from scow.image.unpack.headers import Entry
from scow.image.unpack.streams import TarStream
from scow.image.unpack.tree import Tree, components, path_of

OPAQUE_XATTR = "user.overlay.opaque"
WHITEOUT = b".wh."
AUFS = b".wh..wh."
OPAQUE = b".wh..wh..opq"
_OVERLAY_XATTRS = ("user.overlay.", "trusted.overlay.")
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
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
        inodes: Entries that are no hard links.
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
        self._tree = tree
        self._stream = stream
        self._max_entries = max_entries
        self._count = 0
        self._uid, self._gid = os.geteuid(), os.getegid()
        # Directories that the archive has an entry for, by their own paths: their times change until all is written.
        self._directories: dict[bytes, Entry] = {}

    def run(self) -> Applied:
        """Write all entries.

        Raises:
            Fault: With the name of the entry that is wrong.
        """
        old_umask = os.umask(0)
        name = b""
        try:
            for entry in headers.entries(self._stream):
                name = entry.name
                self._count += 1
                if self._count > self._max_entries:
                    raise Fault(LIMIT, f"the layer has more than {self._max_entries} entries")
                self._write(entry)
            self._finish_directories()
        except OSError as error:
            raise _fault(error, name) from error
        finally:
            os.umask(old_umask)
        return self.applied

    def _write(self, entry: Entry) -> None:
        parts = components(entry.name)
        if not parts:
            self._write_root(entry)
            return
        name = parts.pop()
        if name.startswith(WHITEOUT):
            self._stream.skip(entry.size)
            self._write_whiteout(parts, name, entry)
            return
        directory = self._tree.directory(parts, entry.name)
        if entry.kind == headers.FILE:
            self._write_file(directory, name, entry)
        elif entry.kind == headers.DIRECTORY:
            self._write_directory(directory, name, entry)
        elif entry.kind == headers.LINK:
            self._write_link(directory, name, entry)
        else:
            self._write_other(directory, name, entry)

    def _write_root(self, entry: Entry) -> None:
        if entry.kind != headers.DIRECTORY:
            raise hostile("the archive's root is no directory", entry.name)
        self.applied.has_root = True
        self._directories[b"."] = entry
        self._set_xattrs(b"/proc/self/fd/%d/." % self._tree.root, entry)

    def _write_file(self, directory: int, name: bytes, entry: Entry) -> None:
        try:
            descriptor = os.open(name, _CREATE, entry.mode & 0o777, dir_fd=directory)
        except FileExistsError:
            self._make_room(directory, name)
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
            for part in self._stream.parts(length):
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
            status = self._tree.status(directory, name)
            if status is None or not stat.S_ISDIR(status.st_mode):
                # A whiteout of the name came first: what lower layers have there stays hidden.
                opaque = status is not None and _is_whiteout(status)
                self._make_room(directory, name)
                os.mkdir(name, 0o755, dir_fd=directory)
                self.applied.inodes += 1
                if opaque:
                    os.setxattr(path_of(directory, name), OPAQUE_XATTR, b"y", follow_symlinks=False)
        self._set_xattrs(path_of(directory, name), entry)
        self._directories[self._tree.path(directory, name)] = entry

    def _write_link(self, directory: int, name: bytes, entry: Entry) -> None:
        target = components(entry.link)
        if not target:
            raise hostile("a hard link has no target", entry.name)
        try:
            source = self._tree.existing(target[:-1], entry.name)
        except FileNotFoundError as error:
            raise corrupt("a hard link's target is not in the layer", entry.name) from error
        try:
            self._link(source, target[-1], directory, name, entry)
        finally:
            os.close(source)

    def _link(self, source: int, target: bytes, directory: int, name: bytes, entry: Entry) -> None:
        def link() -> None:
            os.link(target, name, src_dir_fd=source, dst_dir_fd=directory, follow_symlinks=False)

        try:
            try:
                link()
            except FileExistsError:
                if not self._same(source, target, directory, name):
                    self._make_room(directory, name)
                    link()
        except FileNotFoundError as error:
            raise corrupt("a hard link's target is not in the layer", entry.name) from error
        except PermissionError as error:
            raise hostile("a hard link leads to a directory", entry.name) from error

    def _same(self, source: int, target: bytes, directory: int, name: bytes) -> bool:
        one, two = self._tree.status(source, target), self._tree.status(directory, name)
        return one is not None and two is not None and os.path.samestat(one, two)

    def _write_other(self, directory: int, name: bytes, entry: Entry) -> None:
        try:
            self._make_node(directory, name, entry)
        except FileExistsError:
            self._make_room(directory, name)
            self._make_node(directory, name, entry)
        self.applied.inodes += 1
        os.chown(name, entry.uid, entry.gid, dir_fd=directory, follow_symlinks=False)
        if entry.kind != headers.SYMLINK and entry.mode & 0o7000:
            os.chmod(path_of(directory, name), entry.mode)
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

    def _make_room(self, directory: int, name: bytes) -> None:
        status = self._tree.status(directory, name)
        if status is None:
            return
        if stat.S_ISDIR(status.st_mode):
            path = self._tree.path(directory, name)
            for known in list(self._directories):
                if known == path or known.startswith(path + b"/"):
                    del self._directories[known]
        self._tree.remove(directory, name, status)

    def _write_whiteout(self, parts: list[bytes], marker: bytes, entry: Entry) -> None:
        directory = self._tree.directory(parts, entry.name)
        if marker == OPAQUE:
            os.setxattr(b"/proc/self/fd/%d/." % directory, OPAQUE_XATTR, b"y")
            return
        if marker.startswith(AUFS):
            return  # aufs' bookkeeping, which old Docker versions left in layers
        name = marker[len(WHITEOUT) :]
        if name in (b"", b".", b".."):
            raise hostile("a whiteout hides nothing", entry.name)
        status = self._tree.status(directory, name)
        if status is None:
            os.mknod(name, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)
        elif stat.S_ISDIR(status.st_mode):
            # Whiteouts speak of lower layers only: what this layer has put there stays.
            os.setxattr(path_of(directory, name), OPAQUE_XATTR, b"y", follow_symlinks=False)

    def _set_xattrs(self, target: int | bytes, entry: Entry) -> None:
        follow = {} if isinstance(target, int) else {"follow_symlinks": False}
        for name, value in entry.xattrs.items():
            if name.startswith(_OVERLAY_XATTRS):
                continue
            try:
                os.setxattr(target, name, value, **follow)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.E2BIG):
                    text = "an entry has more extended attributes than this file system takes"
                    raise Fault(LIMIT, text, entry.name) from error
                if error.errno not in (errno.EPERM, errno.ENOTSUP):
                    raise
                self.applied.skipped_xattrs.add(name)

    def _finish_directories(self) -> None:
        """Set owner, mode and times of directories, now that nothing is written into them any more."""
        root = self._tree.root
        for path, entry in reversed(self._directories.items()):
            os.chown(path, entry.uid, entry.gid, dir_fd=root, follow_symlinks=False)
            os.chmod(path, entry.mode, dir_fd=root)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=root)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _fault(error: OSError, name: bytes) -> Fault:
    if error.errno in FULL:
        return Fault(DISK_FULL, "no space is left to unpack the layer", name)
    if error.errno in _IMPOSSIBLE:
        return hostile(f"an entry cannot be written: {error.strerror}", name)
    return Fault(REFUSED, f"an entry cannot be written: {error.strerror}", name)
