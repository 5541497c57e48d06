"""Root file systems that snapshots describe, mounted as the shim mounts them."""

from __future__ import annotations

import os
import pickle
import tempfile
import traceback
from collections.abc import Callable, Iterable
from typing import TypeVar

from scow.api.types.v1.types_pb2 import Mount
from scow.kernel import syscalls
from scow.shim.oci import config
from scow.shim.rootfs import root

T = TypeVar("T")


def look(mounts: Iterable[Mount], act: Callable[[int], T]) -> T:
    """Mount a root file system in a process of its own; return what `act` returns of its descriptor."""
    entries = [config.Mount("/", m.type, m.source, tuple(m.options)) for m in mounts]
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory() as place:
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            _answer(writer, entries, place, act)
        os.close(writer)
        with open(reader, "rb") as file:
            answer = pickle.loads(file.read())
        os.waitpid(pid, 0)
    if isinstance(answer, BaseException):
        raise answer
    result: T = answer
    return result


def _answer(
    writer: int, entries: list[config.Mount], place: str, act: Callable[[int], object]
) -> None:
    """Send the result, or the error, and end this child."""
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("", "/", "", syscalls.MS_SLAVE | syscalls.MS_REC, None)
        root.mount_entries(place, entries, {})
        answer: object = act(os.open(place, os.O_RDONLY | os.O_DIRECTORY))
    except BaseException as error:
        answer = AssertionError("".join(traceback.format_exception(error)))
    try:
        with open(writer, "wb") as file:
            pickle.dump(answer, file)
    finally:
        os._exit(0)
