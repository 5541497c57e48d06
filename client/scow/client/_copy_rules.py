"""Docker's rules for where a copy goes: what the name of the destination means depends on what is there.

- A directory is copied into a directory that is there; its content alone, where "/." follows its name.
- Into one that is not there it is copied as that directory.
- A file is copied into a directory, or as the file that the destination names, whose directory must be there.

Paths are texts, as the operating system has them (os.fsencode gives the bytes).
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass

from scow.contract.errors import FileNotFound, InvalidArgument

# As many links as Docker follows to a destination.
_LINKS_MAX = 10


@dataclass(frozen=True)
class Info:
    """An end of a copy.

    Attributes:
        path: Absolute.
        exists: Whether something is there.
        is_directory: Whether that is a directory.
        name: What the copy is called in place of the path's last component, or empty.
    """

    path: str
    exists: bool = False
    is_directory: bool = False
    name: str = ""


def split(path: str) -> tuple[str, str]:
    """Return the directory and the last component; "." at the end of a path is one."""
    clean = posixpath.normpath(path)
    if posixpath.basename(path) == "." and clean != "/":
        return clean, "."
    folder, name = posixpath.split(clean)
    return folder, name or "/"


def says_directory(path: str) -> bool:
    """Tell whether a path can only mean a directory."""
    return path.endswith("/") or posixpath.basename(path) == "."


def absolute(path: str) -> str:
    """Return a local path from the root on, with the slash or "/." at its end, which means something."""
    end = "/." if posixpath.basename(path) == "." else "/" if path.endswith("/") else ""
    found = os.path.abspath(path)
    return found if found == "/" else found + end


def source(path: str, *, follow: bool) -> Info:
    """Look at a local source.

    Args:
        path: The source.
        follow: Copy what a link leads to, under the link's name.

    Raises:
        OSError: It is not there.
    """
    path = absolute(path)
    os.lstat(path)
    folder, name = split(path)
    if follow:
        real = os.path.realpath(path)
        renamed = posixpath.basename(real) != name
        if name == ".":
            real, renamed = real + "/.", False
        return Info(real, True, os.path.isdir(real), name if renamed else "")
    if name in (".", "/") or path.endswith("/"):
        real = os.path.realpath(path)
        renamed = name not in (".", "/") and posixpath.basename(real) != name
        return Info(
            real + "/." if name == "." else real, True, os.path.isdir(real), name if renamed else ""
        )
    path = posixpath.join(os.path.realpath(folder), name)
    return Info(path, True, stat.S_ISDIR(os.lstat(path).st_mode))


def destination(path: str) -> Info:
    """Look at a local destination; links are followed to where the copy goes.

    Raises:
        OSError: The directory that it is to be in is not there.
    """
    found = absolute(path)
    for _ in range(_LINKS_MAX + 1):
        try:
            status = os.lstat(found)
        except FileNotFoundError:
            folder, _ = split(found)
            if not os.path.isdir(folder):
                raise FileNotFound(
                    f'invalid output path: directory "{folder}" does not exist',
                    what="path",
                    which=path,
                    do="make it first",
                ) from None
            return Info(found)
        if not stat.S_ISLNK(status.st_mode):
            refuse_device(path, status.st_mode)
            return Info(found, True, stat.S_ISDIR(status.st_mode))
        found = posixpath.normpath(posixpath.join(split(found)[0], os.readlink(found)))
    raise InvalidArgument(
        f"too many symlinks in {path}", what="path", which=path, do="name what they lead to"
    )


def refuse_device(path: str, mode: int) -> None:
    """Refuse a destination that is a device.

    Raises:
        InvalidArgument: It is one.
    """
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        raise InvalidArgument(
            f'destination "{path}" must be a directory or a regular file',
            what="path",
            which=path,
            do="choose another destination",
        )


def plan(source: Info, target: Info) -> tuple[str, str]:
    """Return the directory that an archive is extracted in, and what its first component is called there.

    Raises:
        InvalidArgument: A directory cannot take the place of a file.
        FileNotFound: A file cannot be copied into a directory that is not there.
    """
    name = split(source.path)[1]
    folder, wanted = split(target.path)
    if target.exists and target.is_directory:
        return target.path, "." if name in (".", "/") else source.name or name
    if target.exists and source.is_directory:
        raise InvalidArgument(
            "cannot copy directory",
            what="path",
            which=target.path,
            do="name a directory, or what is not there yet",
        )
    if not target.exists and not source.is_directory and says_directory(target.path):
        raise FileNotFound(
            "no such directory", what="path", which=target.path, do="make the directory first"
        )
    return folder, wanted
