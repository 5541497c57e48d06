"""Where the outputs of a build go: files, standard output, folders."""

from __future__ import annotations

import contextlib
import os
import sys
import threading

from scow.cli.flags.parser import Options, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, BinaryIO, Self

    from scow.api.build.v1 import build_pb2 as pb

# Those that the engine keeps for itself need no destination here.
_SENT = ("docker", "oci", "tar", "local")


class Sinks:
    """The outputs of one build; they are open within the block, and complete when it ends.

    Args:
        options: The command line.
        asked: What is built; the outputs are added.

    Attributes:
        takers: Take the bytes, by the numbers of outputs; within the block.

    Raises:
        Refused: When the block begins: a destination that cannot be. When it ends: a folder could not be written.
    """

    def __init__(self, options: Options, asked: pb.BuildOptions) -> None:
        self.takers: dict[int, Callable[[bytes], object]] = {}
        self._destinations: list[tuple[int, _Folder | _File]] = []
        self._opened = contextlib.ExitStack()
        if options.push:
            asked.outputs.add(type="registry")
        for kind, fields in options.output:
            number = len(asked.outputs)
            destination = fields.get("dest", "")
            attributes = {key: text for key, text in fields.items() if key != "dest"}
            rewritten = attributes.pop("rewrite-timestamp", "false").lower()
            asked.rewrite_timestamp |= rewritten in ("true", "1", "")
            asked.outputs.add(type=kind, attributes=attributes)
            if kind == "local":
                self._destinations.append((number, _Folder(destination)))
            elif kind in _SENT and (destination or kind != "docker"):
                self._destinations.append((number, _File(destination or "-")))

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opened:  # what is open is closed when another one cannot be
            for number, destination in self._destinations:
                opened.enter_context(destination)
                self.takers[number] = destination.write
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._opened.__exit__(*raised)


class _File:
    """A file, or with "-" the standard output."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._file = self._open()
        return self

    def __exit__(self, *_: object) -> None:
        if self._path != "-":
            self._file.close()

    def _open(self) -> BinaryIO:
        if self._path == "-":
            if sys.stdout.isatty():
                raise Refused("refusing to write an archive to a terminal: use dest= or redirect")
            return sys.stdout.buffer
        try:
            return open(self._path, "wb")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Refused(f"open {self._path}: {reason}") from None

    def write(self, data: bytes) -> None:
        self._file.write(data)


class _Folder:
    """A folder that a tar is written into by a thread while it arrives."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._error: Exception | None = None

    def __enter__(self) -> Self:
        read, self._write = os.pipe()
        self._thread = threading.Thread(target=self._extract, args=(read,))
        self._thread.start()
        return self

    def _extract(self, read: int) -> None:
        from scow.client._extract import extract

        with open(read, "rb") as source:
            try:
                extract(source, self._path)
            except Exception as error:  # noqa: BLE001  raised again when the block ends
                self._error = error
            while source.read(1 << 20):
                pass  # what follows the end of the archive, so that nobody waits

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._write, view) :]

    def __exit__(self, kind: object, *_: object) -> None:
        """Wait until all is written; tell why it could not be, unless something else went wrong before."""
        os.close(self._write)
        self._thread.join()
        if self._error is None or kind is not None:
            return
        if isinstance(self._error, OSError):
            reason = (self._error.strerror or str(self._error)).lower()
            raise Refused(f"the output cannot be written: {reason}")
        raise self._error
