"""Paths of a container's root, looked up by descriptor: whatever links it plants, or swaps meanwhile, stay inside."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from dataclasses import dataclass

from scow.api.container.v1 import files_pb2 as pb
from scow.contract.errors import ContainerNotRunning, FileNotFound, InvalidArgument
from scow.kernel import syscalls

_RESOLVE = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
_FOLDER = os.O_PATH | os.O_DIRECTORY
# What the kernel shows for ids that have none here.
_NOBODY = 65534
_PATH_MAX = 4095
# File systems that show the kernel and not what a container has.
KERNELS = frozenset((syscalls.PROC_MAGIC, syscalls.SYSFS_MAGIC))
_MISSING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Root:
    """The root of a container.

    Attributes:
        descriptor: Of it.
        first_id: The host's id for the container's id 0, as files below the descriptor have it.
        absent: Paths from it on, free of links, where something is mounted only while the container runs.
        running: It is that of a container that runs: what is mounted goes with its end.
    """

    descriptor: int
    first_id: int
    absent: tuple[bytes, ...] = ()
    running: bool = False


@dataclass(frozen=True)
class Place:
    """What a path leads to.

    Attributes:
        directory: Descriptor of the directory that it is in, the caller's to close.
        name: In that; "." is the directory itself.
        title: What an archive calls it.
    """

    directory: int
    name: bytes
    title: bytes


def find(root: int, path: bytes) -> Place:
    """Look a path up; the last component is followed only where a slash or "/." follows.

    Args:
        root: Descriptor of the container's root.
        path: From there on.

    Raises:
        FileNotFound: What leads there is missing, or belongs to the kernel.
        InvalidArgument: It is empty or too long.
    """
    if not path or len(path) > _PATH_MAX or b"\0" in path:
        raise InvalidArgument(
            "the path is empty or too long", what="path", which="", do="give an absolute path"
        )
    clean = posixpath.normpath(b"/" + path.lstrip(b"/"))
    folder, name = posixpath.split(clean)
    last = path.rpartition(b"/")[2]
    if not name or last in (b"", b"."):
        title = b"." if last == b"." or not name else name
        folder, name = clean, b"."
    else:
        title = name
    return Place(directory(root, folder, path), name, title)


def directory(root: int, path: bytes, asked: bytes = b"") -> int:
    """Open a directory of a container, following links.

    Raises:
        FileNotFound: It is missing, or belongs to the kernel.
    """
    try:
        found = syscalls.openat2(root, path.lstrip(b"/") or b".", _FOLDER, resolve=_RESOLVE)
    except OSError as error:
        if error.errno not in _MISSING:
            raise
        raise missing(asked or path) from error
    if syscalls.fs_magic(found) in KERNELS:
        os.close(found)
        raise missing(asked or path)
    return found


def describe(root: Root, place: Place, path: bytes) -> pb.PathStat:
    """Describe what a path leads to.

    Raises:
        FileNotFound: There is nothing.
    """
    try:
        found = os.stat(place.name, dir_fd=place.directory, follow_symlinks=False)
    except FileNotFoundError as error:
        raise missing(path) from error
    return pb.PathStat(
        name=place.title,
        mode=found.st_mode,
        uid=inner(found.st_uid, root.first_id),
        gid=inner(found.st_gid, root.first_id),
        size=found.st_size if stat.S_ISREG(found.st_mode) else 0,
        mtime_ns=found.st_mtime_ns,
        link_target=_target(root.descriptor, place, path) if stat.S_ISLNK(found.st_mode) else b"",
    )


def _target(root: int, place: Place, path: bytes) -> bytes:
    """Return where a link leads to, from the root on; its text where that is nowhere."""
    try:
        found = syscalls.openat2(root, path.lstrip(b"/"), os.O_PATH, resolve=_RESOLVE)
    except OSError:
        try:
            return os.fsencode(os.readlink(place.name, dir_fd=place.directory))
        except OSError as error:  # it is no link any more
            raise missing(path) from error
    try:
        top, inner = (os.readlink(b"/proc/self/fd/%d" % each) for each in (root, found))
    finally:
        os.close(found)
    return inner.removeprefix(top.rstrip(b"/"))


def path_within(root: int, found: int) -> bytes:
    """Return the path of a directory from the root on; empty for the root."""
    top, below = (os.readlink(b"/proc/self/fd/%d" % each) for each in (root, found))
    return below.removeprefix(top.rstrip(b"/")).rstrip(b"/")


def check_mounted(root: Root, place: Place, path: bytes, *, whole: bool = False) -> None:
    """Refuse a place where other files are mounted while the container runs.

    Args:
        root: Of the container.
        place: What is looked at.
        path: That was asked for.
        whole: Also look at what is below the place.

    Raises:
        ContainerNotRunning: There are some.
    """
    if not root.absent:
        return
    found = path_within(root.descriptor, place.directory) + b"/"
    if place.name != b".":
        found += place.name + b"/"
    for absent in (each + b"/" for each in root.absent):
        if found.startswith(absent) or (whole and absent.startswith(found)):
            where = absent.rstrip(b"/").decode(errors="replace")
            raise ContainerNotRunning(
                f"what is mounted at {where} is there only while the container runs",
                what="path",
                which=path.decode(errors="replace"),
                do="start the container first",
            )


def refuse_missing(root: Root, path: bytes) -> None:
    """Refuse a path that leads to nothing now and may lead to something while the container runs.

    Raises:
        ContainerNotRunning: It leads to where something is mounted then.
    """
    folder = posixpath.normpath(b"/" + path.lstrip(b"/")) if root.absent else b"/"
    while folder != b"/":
        folder = posixpath.dirname(folder)
        try:
            found = directory(root.descriptor, folder)
        except FileNotFound:
            continue
        try:
            check_mounted(root, Place(found, b".", b"."), path)
        finally:
            os.close(found)
        return


def inner(number: int, first: int) -> int:
    """Return a container's id for one of the host's; first is the host's for its id 0."""
    return number - first if number >= first else _NOBODY


def missing(path: bytes) -> FileNotFound:
    """Return the error of a path that leads to nothing."""
    text = path.decode(errors="replace")
    return FileNotFound(
        f"Could not find the file {text}", what="file", which=text, do="give a path that is there"
    )
