"""Where the outputs of a build go: files, standard output, folders."""

from __future__ import annotations

import os
import sys
import threading

from scow.cli.flags.parser import Options, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO, Self

    from scow.api.build.v1 import build_pb2 as pb

# Those that the engine keeps for itself need no destination here.
_SENT = ("docker", "oci", "tar", "local")


class Sinks:
    """The outputs of one build; they are complete when the block ends.

    Args:
        options: The command line.
        asked: What is built; the outputs are added.

    Attributes:
        takers: Take the bytes, by the numbers of outputs.

    Raises:
        Refused: A destination that cannot be.
    """

    def __init__(self, options: Options, asked: pb.BuildOptions) -> None:
        self.takers: dict[int, Callable[[bytes], object]] = {}
        self._files: list[BinaryIO] = []
        self._folders: list[_Folder] = []
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
                folder = _Folder(destination)
                self._folders.append(folder)
                self.takers[number] = folder.write
            elif kind in _SENT and (destination or kind != "docker"):
                self.takers[number] = self._file(destination or "-").write

    def _file(self, path: str) -> BinaryIO:
        if path == "-":
            if sys.stdout.isatty():
                raise Refused("refusing to write an archive to a terminal: use dest= or redirect")
            return sys.stdout.buffer
        try:
            file = open(path, "wb")  # noqa: SIM115  closed when the build has ended
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Refused(f"open {path}: {reason}") from None
        self._files.append(file)
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for file in self._files:
            file.close()
        errors = [folder.close() for folder in self._folders]
        for error in errors:
            if error is not None and kind is None:
                raise error


class _Folder:
    """A folder that a tar is written into by a thread while it arrives."""

    def __init__(self, path: str) -> None:
        read, write = os.pipe()
        self._write = write
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._extract, args=(read, path))
        self._thread.start()

    def _extract(self, read: int, path: str) -> None:
        from scow.client._extract import extract

        with open(read, "rb") as source:
            try:
                extract(source, path)
            except Exception as error:  # noqa: BLE001  raised again by `close`
                self._error = error
            while source.read(1 << 20):
                pass  # what follows the end of the archive, so that nobody waits

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._write, view) :]

    def close(self) -> Exception | None:
        """Wait until all is written; return why it could not be."""
        os.close(self._write)
        self._thread.join()
        if isinstance(self._error, OSError):
            reason = (self._error.strerror or str(self._error)).lower()
            return Refused(f"the output cannot be written: {reason}")
        return self._error
