"""Copies of what an image has at the places of volumes, made before the container is: the volumes' first content.

The source is a read-only view of the root file system, in which no program runs and no file system of the kernel is
mounted. The target is in a directory of the volume service's that no container can reach, and appears there whole or
not at all: a process that is killed leaves names beside it that the next copy deletes.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Iterable
from dataclasses import dataclass

from scow.api.shim.v1 import spawner_pb2 as pb
from scow.contract.errors import InvalidArgument
from scow.kernel import rootpath, syscalls, tree_copy, trees
from scow.shim.errors import from_os_error

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PART = ".part"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy.

    Attributes:
        source: A path in the root file system; its symbolic links are followed inside of it.
        target: The absolute path of the directory that is made, in an existing one.
    """

    source: str
    target: str


def copy_up(root: int, copies: Iterable[Copy], connection: socket.socket) -> list[str]:
    """Make copies of directories; a source that is none is left out.

    Several copies to one target: the first that has content counts.

    Args:
        root: Descriptor of the root file system.
        copies: What to copy.
        connection: Of the client; the copying ends when it goes away.

    Returns:
        The targets that are there.

    Raises:
        ScowError: Something cannot be read or written.
    """
    made: dict[str, bool] = {}
    for each in copies:
        if made.get(each.target):
            continue
        try:
            found = _copy(root, each, connection)
        except OSError as error:
            doing = f"copy what the image has at {each.source} into the volume"
            raise from_os_error(error, doing, what="volume", which=each.source) from error
        if found is not None:
            made[each.target] = found
    return list(made)


def _copy(root: int, wanted: Copy, connection: socket.socket) -> bool | None:
    """Make one copy; tell whether it has entries, None when there is nothing to copy."""
    folder, name = os.path.split(wanted.target)
    try:
        source = rootpath.open_in(root, wanted.source, _FOLDER & ~os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        place = os.open(folder, _FOLDER)
        try:
            return _make(source, place, name, connection)
        finally:
            os.close(place)
    finally:
        os.close(source)


def _make(source: int, place: int, name: str, connection: socket.socket) -> bool:
    for left in (name, name + _PART, tree_copy.LINKS):  # of an attempt that was cut short
        trees.remove_tree(left, dir_fd=place)
    os.mkdir(name + _PART, 0o700, dir_fd=place)
    part = os.open(name + _PART, _FOLDER, dir_fd=place)
    try:
        tree_copy.copy_tree(source, part, place, lambda: _expect(connection))
        filled = bool(os.listdir(part))
        if filled:
            # Before the name: a volume that is known to be filled must have its data after a power cut.
            syscalls.syncfs(part)
    finally:
        os.close(part)
    os.rename(name + _PART, name, src_dir_fd=place, dst_dir_fd=place)
    return filled


def _expect(connection: socket.socket) -> None:
    """Go on only while the client waits for the answer."""
    poll = select.poll()
    poll.register(connection, select.POLLRDHUP)
    if poll.poll(0):
        raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED))


def parse(items: Iterable[pb.Copy.Item]) -> list[Copy]:
    """Read the copies of a request.

    Raises:
        InvalidArgument.
    """
    copies = [Copy(item.source, item.target) for item in items]
    for each in copies:
        for path in (each.source, each.target):
            if not os.path.isabs(path):
                text = f"a path of the request's copies is not absolute: {path!r}"
                raise InvalidArgument(text, what="request", which="items")
    return copies
