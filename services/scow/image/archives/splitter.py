"""The worker's part of loading: an archive's files are written down, and hashed, while they pass.

Nothing is written where the archive says: each file gets a number. What becomes of them is the service's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from scow.core.archive.read import headers
from scow.core.archive.read.faults import LIMIT, Fault, hostile
from scow.core.archive.read.headers import Entry
from scow.core.archive.read.streams import TarStream
from scow.image.archives.names import clean, target
from scow.image.content.digests import SHA256, SHA512, new_hash
from scow.kernel import syscalls

# Between two reports of a large file, and between two requests to the kernel to write it out.
_STRIDE = 16 << 20
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC

Tell = Callable[[dict[str, Any]], None]


class Pipe:
    """An archive that comes through a pipe (`unpack.streams.Readable`).

    Args:
        descriptor: The pipe's end.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, size: int = 1 << 18) -> bytes:
        """Return some bytes, none at the end."""
        return os.read(self._descriptor, size)


class Splitter:
    """Splits an archive into files `<prefix>.<number>`.

    Args:
        stream: The archive.
        prefix: Path of the files, without the number.
        max_entries: How many entries the archive may have.
        max_file_bytes: How large a file may be.
        tell: Sends a message to the service.
    """

    def __init__(
        self, stream: TarStream, prefix: str, max_entries: int, max_file_bytes: int, tell: Tell
    ) -> None:
        self._stream = stream
        self._prefix = prefix
        self._max_entries = max_entries
        self._max_file_bytes = max_file_bytes
        self._tell = tell

    def run(self) -> None:
        """Split it all.

        Raises:
            Fault: With the name of the entry that is wrong.
        """
        for number, entry in enumerate(headers.entries(self._stream)):
            if number >= self._max_entries:
                raise Fault(LIMIT, f"the archive has more than {self._max_entries} entries")
            name = clean(entry.name)
            if entry.kind == headers.FILE:
                self._write(name, number, entry)
            elif entry.kind in (headers.LINK, headers.SYMLINK):
                leads = target(entry.name, entry.link, is_symlink=entry.kind == headers.SYMLINK)
                self._tell({"link": name, "target": leads})

    def _write(self, name: str, number: int, entry: Entry) -> None:
        if entry.sparse is not None:
            raise hostile("an entry is a sparse file", entry.name)
        if entry.size > self._max_file_bytes:
            text = f"a file in the archive is larger than {self._max_file_bytes} bytes"
            raise Fault(LIMIT, text, entry.name)
        algorithm = SHA512 if name.startswith("blobs/sha512/") else SHA256
        digest = new_hash(algorithm)
        descriptor = os.open(f"{self._prefix}.{number}", _CREATE, 0o600)
        try:
            for part in self._parts(name, descriptor, entry.size):
                digest.update(part)
                while part:
                    part = part[os.write(descriptor, part) :]
        finally:
            os.close(descriptor)
        about = {
            "number": number,
            "size": entry.size,
            "digest": f"{algorithm}:{digest.hexdigest()}",
        }
        self._tell({"file": name, **about})

    def _parts(self, name: str, descriptor: int, size: int) -> Iterator[memoryview]:
        """Yield a file's data; of a large one tell the progress, and let its pages go to the disk meanwhile."""
        done = told = 0
        for part in self._stream.parts(size):
            if done - told >= _STRIDE:
                self._tell({"passing": name, "current": done, "size": size})
                syscalls.start_writing(descriptor, told, done - told)
                told = done
            done += len(part)
            yield part
