"""Paths of the host that people name, opened so that links put there later lead nowhere.

The directories of such a path may be writable for others: a container that has one of them mounted could put a link in
the place of the next one, to have another container given a directory of the host. So a path is looked up when it is
named, which tells where it has links (`links`); and when it is used only these are followed (`open_path`). What was
opened is what is checked and mounted: there is no second look.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection

from scow.kernel import syscalls

# Of a bind: only links that were there when it was asked for are followed; none, or those named. With the second,
# directories that are missing are made.
CHECKED, MAKE, LINK = "scow.checked", "scow.make", "scow.link="
_MAX_LINKS = 40  # as many as the kernel follows
_PLACE = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


class UnexpectedLinkError(OSError):
    """A link where none is to be followed; `filename` is its path."""


def links(path: str) -> list[str]:
    """Return where an absolute path has symbolic links, each as a path without links, as far as the path is there.

    Raises:
        OSError: It cannot be looked up, for another reason than that its end is missing.
    """
    walk = _Walk(None, make=False)
    try:
        walk.go(path)
    except FileNotFoundError:
        pass
    finally:
        walk.close()
    return walk.followed


def options(allowed: Collection[str], *, make: bool = False) -> list[str]:
    """Return the options of a bind that say how its source is opened; arguments are those of `open_path`."""
    return [MAKE if make else CHECKED, *(f"{LINK}{link}" for link in allowed)]


def open_path(path: str, allowed: Collection[str] = (), *, make: bool = False) -> int:
    """Open an absolute path (O_PATH).

    Args:
        path: What to open; ".." in it is the parent of what was reached.
        allowed: Where links may be followed, as `links` tells.
        make: Make directories that are missing.

    Raises:
        UnexpectedLinkError: There is another link.
        OSError: It cannot be opened or made.
    """
    walk = _Walk(frozenset(allowed), make=make)
    try:
        walk.go(path)
        return os.dup(walk.place)
    finally:
        walk.close()


class _Walk:
    """A way through directories, one name at a time."""

    def __init__(self, allowed: frozenset[str] | None, *, make: bool) -> None:
        self.followed: list[str] = []
        self._allowed = allowed
        self._make = make
        self._names: list[str] = []
        self.place = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        os.close(self.place)

    def go(self, path: str) -> None:
        if not path.startswith("/"):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        left = path.split("/")[::-1]
        while left:
            name = left.pop()
            if name in ("", "."):
                continue
            if name == "..":
                self._names = self._names[:-1]
                self._step(name)
                continue
            target = self._enter(name)
            if target.startswith("/"):
                self._names = []
                self._move(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
            left.extend(target.split("/")[::-1])

    def _enter(self, name: str) -> str:
        """Go to a name; return the text of the link that it is, empty when it is none and one is there now."""
        found = self._open(name)
        if not stat.S_ISLNK(os.fstat(found).st_mode):
            self._move(found)
            self._names.append(name)
            return ""
        try:
            where = "/" + "/".join([*self._names, name])
            # Links of /proc lead where their text does not.
            of_proc = syscalls.fs_magic(self.place) == syscalls.PROC_MAGIC
            refused = self._allowed is not None and where not in self._allowed
            if of_proc or refused:
                raise UnexpectedLinkError(errno.ELOOP, os.strerror(errno.ELOOP), where)
            if len(self.followed) >= _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), where)
            self.followed.append(where)
            return os.readlink("", dir_fd=found)
        finally:
            os.close(found)

    def _open(self, name: str) -> int:
        while True:
            try:
                return os.open(name, _PLACE, dir_fd=self.place)
            except FileNotFoundError:
                if not self._make:
                    raise
            try:
                os.mkdir(name, 0o755, dir_fd=self.place)
            except FileExistsError:
                continue  # somebody else has just made it: what it is, is looked at

    def _step(self, name: str) -> None:
        self._move(os.open(name, _PLACE | os.O_DIRECTORY, dir_fd=self.place))

    def _move(self, place: int) -> None:
        os.close(self.place)
        self.place = place
