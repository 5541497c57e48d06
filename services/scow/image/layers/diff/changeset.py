"""The upper directory of an overlay as a layer: the reverse of `unpack.apply`.

Whiteouts and opaque directories are what https://docs.kernel.org/filesystems/overlayfs.html says; in a layer they are
files named `.wh.NAME` and `.wh..wh..opq` (OCI image specification, layer.md, "Whiteouts").
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection

from scow.core.archive import headers
from scow.core.archive.headers import Entry
from scow.core.archive.pack import Packer, Write, xattrs_of
from scow.image.layers.unpack.apply import OPAQUE_XATTR
from scow.image.layers.unpack.marks import OPAQUE, WHITEOUT

_WHITEOUT_XATTR = "user.overlay.whiteout"
_OPAQUE = b"y"  # "x" says that there may be whiteouts which are xattrs
_MARKER_MODE = 0o600
_PLAIN_MODE = 0o755
# Where the runtime mounts something into every container. What it made there to mount upon, empty files and
# directories, is not a change of the container's.
_MOUNT_FILES = frozenset((b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"))
_MOUNT_FOLDERS = frozenset((b"proc", b"sys", b"dev"))
_ETC = b"etc"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Bytes of a path in a layer: what is longer cannot be unpacked (`unpack.tree`).
_PATH_MAX = 4095


class Changeset(Packer):
    """Writes a layer.

    Args:
        write: Takes the archive, piece by piece.
        mount_points: Paths that the runtime may have made to mount upon, without a slash at the beginning: empty files,
            and directories that have nothing but mount points, are no changes.

    Attributes:
        skipped: Files that are left out because a layer cannot have their names: they would be whiteouts.
    """

    def __init__(self, write: Write, mount_points: Collection[bytes] = ()) -> None:
        super().__init__(write)
        self._mount_points = frozenset(mount_points)
        self.skipped = 0

    def choose(self, directory: int, path: bytes, names: list[bytes]) -> list[bytes]:
        """Leave out what is not a change, or cannot be said."""
        chosen = [name for name in names if not name.startswith(WHITEOUT)]
        self.skipped += len(names) - len(chosen)
        if path in (b"", b"etc/"):
            chosen = [name for name in chosen if not _is_mount_point(directory, name, path + name)]
        if not self._mount_points:
            return chosen
        return [name for name in chosen if not self._is_stub(directory, name, path + name)]

    def _is_stub(self, directory: int, name: bytes, path: bytes) -> bool:
        """Tell whether an entry is one of the mount points and has nothing else."""
        if path not in self._mount_points:
            return False
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                return stat.S_ISREG(status.st_mode) and status.st_size == 0
            folder = os.open(name, _FOLDER, dir_fd=directory)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            return False
        try:
            names = map(os.fsencode, os.listdir(folder))
            return all(self._is_stub(folder, each, path + b"/" + each) for each in names)
        finally:
            os.close(folder)

    def special(
        self, directory: int, name: bytes, path: bytes, status: os.stat_result
    ) -> Entry | None:
        """Return the marker of what was deleted.

        Raises:
            OSError: ENAMETOOLONG: no layer can have such a path.
        """
        if len(path) + len(WHITEOUT) > _PATH_MAX:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
        if not is_whiteout(directory, name, status):
            return None
        folder = path[: len(path) - len(name)]
        return Entry(folder + WHITEOUT + name, headers.FILE, mode=_MARKER_MODE)

    def within(self, directory: int, path: bytes) -> Entry | None:
        """Return the marker of a directory under which lower layers show nothing."""
        if path and is_opaque(directory):
            return Entry(path + OPAQUE, headers.FILE, mode=_MARKER_MODE)
        return None


def is_empty(packed: Changeset, root: int) -> bool:
    """Tell whether a layer that was written says nothing: it has its root alone, which is as roots are."""
    return packed.entries == 1 and _is_plain(os.fstat(root))


def _is_plain(status: os.stat_result) -> bool:
    return (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (_PLAIN_MODE, 0, 0)


def _is_mount_point(directory: int, name: bytes, path: bytes) -> bool:
    """Tell whether an entry is what the runtime made to mount upon. It is looked at as it is now."""
    try:
        if path in _MOUNT_FILES:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            return stat.S_ISREG(status.st_mode) and status.st_size == 0
        if path != _ETC and path not in _MOUNT_FOLDERS:
            return False
        folder = os.open(name, _FOLDER, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        return False
    try:
        names = _names(folder)
        return _is_made_for_mounts(folder, names) if path == _ETC else not names
    finally:
        os.close(folder)


def _is_made_for_mounts(etc: int, names: list[bytes]) -> bool:
    """Tell whether a folder is as the runtime makes it, and has nothing but files to mount upon."""
    if not names or not _is_plain(os.fstat(etc)):
        return False
    return all(_is_mount_point(etc, name, _ETC + b"/" + name) for name in names)


def _names(folder: int) -> list[bytes]:
    """Return what a folder has; one that says something itself has something in any case."""
    names = list(map(os.fsencode, os.listdir(folder)))
    said = xattrs_of(folder) or is_opaque(folder)
    return [OPAQUE, *names] if said else names


def is_opaque(directory: int) -> bool:
    """Tell whether lower layers show nothing in a directory."""
    return xattr(directory, OPAQUE_XATTR) == _OPAQUE


def is_whiteout(directory: int, name: bytes, status: os.stat_result) -> bool:
    """Tell whether an entry says that lower layers show nothing here."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if not stat.S_ISREG(status.st_mode) or status.st_size:
        return False
    path = b"/proc/self/fd/%d/%s" % (directory, name)
    return xattr(path, _WHITEOUT_XATTR) is not None


def xattr(target: int | bytes, name: str) -> bytes | None:
    """Return an attribute of an open file, or of what a path names without following it; None when it has none."""
    follow = {} if isinstance(target, int) else {"follow_symlinks": False}
    try:
        return os.getxattr(target, name, **follow)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise
