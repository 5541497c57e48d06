"""A directory tree that is being written, and the resolution of names inside of it.

Every name is resolved by the kernel relative to the root's descriptor with openat2(RESOLVE_BENEATH): a
component that would lead out of the tree, also by a symlink, is refused by the kernel, not by looking at strings.
The last component is never followed.
"""

from __future__ import annotations

import errno
import os
import stat

from scow.core.archive.read.faults import Fault, hostile
from scow.kernel.syscalls import RESOLVE_BENEATH, RESOLVE_NO_MAGICLINKS, openat2
from scow.kernel.trees import remove_tree

_OPEN_MAX = 256
_NAME_MAX = 4095  # PATH_MAX of linux/limits.h counts the NUL
_DIRECTORY = os.O_PATH | os.O_DIRECTORY
_BENEATH = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS
# Directories that the archive has no entry for.
_IMPLIED_MODE = 0o755


def components(name: bytes) -> list[bytes]:
    """Return the components of an entry's name; none for the root.

    Raises:
        Fault: The name is absolute, other than the root's, has a "..", or is longer than a path may be.
    """
    if len(name) > _NAME_MAX:
        raise hostile("an entry's name is too long", name)
    parts = [part for part in name.split(b"/") if part not in (b"", b".")]
    if parts and name.startswith(b"/"):
        raise hostile("an entry has an absolute name", name)
    if b".." in parts:
        raise hostile('an entry has ".." in its name', name)
    return parts


def link_target(entry: bytes, target: bytes) -> list[bytes]:
    """Return the components of a hard link's target.

    Raises:
        Fault: It is none that an archive can have.
    """
    try:
        parts = components(target)
    except Fault as fault:
        raise hostile("a hard link leads outside of the archive", entry) from fault
    if not parts:
        raise hostile("a hard link has no target", entry)
    return parts


class Tree:
    """The tree under one directory.

    Args:
        root: Path of the directory.
    """

    def __init__(self, root: str) -> None:
        self.root = os.open(root, os.O_DIRECTORY | os.O_RDONLY | os.O_CLOEXEC)
        # Empty for "/", which the root of another mount namespace, or of a mount attached nowhere, is.
        self._real = os.readlink(b"/proc/self/fd/%d" % self.root).rstrip(b"/")
        # Directories by name, least recently opened first.
        self._open: dict[bytes, int] = {}

    def close(self) -> None:
        """Close all descriptors."""
        self.forget()
        os.close(self.root)

    def forget(self) -> None:
        """Close the directories that are held open: names may lead elsewhere now."""
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def directory(self, parts: list[bytes], entry: bytes) -> int:
        """Return a descriptor of a directory, made with what leads to it if it is not there.

        It stays valid until the next call of a method. `entry` is named in errors.
        """
        if not parts:
            return self.root
        name = b"/".join(parts)
        found = self._open.get(name)
        if found is None:
            found = self._find(parts, entry)
            if len(self._open) >= _OPEN_MAX:
                os.close(self._open.pop(next(iter(self._open))))
            self._open[name] = found
        return found

    def _find(self, parts: list[bytes], entry: bytes) -> int:
        """Open a directory, making what is missing behind the longest part of its name that leads somewhere."""
        there = len(parts)
        while (found := self._open_beneath(parts[:there], entry)) is None:
            there -= 1
        for end in range(there, len(parts)):
            try:
                os.mkdir(parts[end], _IMPLIED_MODE, dir_fd=found)
                made = os.open(parts[end], _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=found)
            except FileExistsError as error:  # a symlink that leads nowhere
                raise hostile("a part of an entry's name is not a directory", entry) from error
            except OSError as error:
                raise _unresolved(error, entry) from error
            finally:
                os.close(found)
            found = made
        return found

    def _open_beneath(self, parts: list[bytes], entry: bytes) -> int | None:
        try:
            return self.existing(parts, entry)
        except FileNotFoundError:
            return None

    def existing(self, parts: list[bytes], entry: bytes) -> int:
        """Return a new descriptor of a directory that must be there."""
        try:
            return openat2(self.root, b"/".join(parts) or b".", _DIRECTORY, resolve=_BENEATH)
        except OSError as error:
            raise _unresolved(error, entry) from error

    def path(self, directory: int, name: bytes) -> bytes:
        """Return the path of a name in a directory, relative to the root and free of symlinks.

        Nothing when it is too long for the kernel to tell.
        """
        try:
            inside = os.readlink(b"/proc/self/fd/%d" % directory)[len(self._real) + 1 :]
        except OSError:
            return b""
        return inside + b"/" + name if inside else name

    def status(self, directory: int, name: bytes) -> os.stat_result | None:
        """Return the status of what has the name, None when nothing has it."""
        try:
            return os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove(self, directory: int, name: bytes, status: os.stat_result) -> None:
        """Remove what has the name, a directory with all in it."""
        if stat.S_ISDIR(status.st_mode):
            remove_tree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
        if not stat.S_ISREG(status.st_mode):
            self._forget_but(directory)

    def _forget_but(self, keep: int) -> None:
        kept = {name: fd for name, fd in self._open.items() if fd == keep}
        for name, descriptor in self._open.items():
            if name not in kept:
                os.close(descriptor)
        self._open = kept


def path_of(directory: int, name: bytes) -> bytes:
    """Return a path for calls that take no descriptor; its last component must not be followed."""
    return b"/proc/self/fd/%d/%s" % (directory, name)


def _unresolved(error: OSError, entry: bytes) -> Fault | OSError:
    if error.errno == errno.EXDEV:
        return hostile("an entry reaches outside of the archive through a symlink", entry)
    if error.errno == errno.ELOOP:
        return hostile("an entry's name goes through a loop of symlinks", entry)
    if error.errno == errno.ENOTDIR:
        return hostile("a part of an entry's name is not a directory", entry)
    if error.errno == errno.ENAMETOOLONG:
        return hostile("an entry's name is too long", entry)
    return error
