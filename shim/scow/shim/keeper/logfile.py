r"""The container's log: one JSON record a line, rotated by size, in the form of Docker's json-file.

    {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}

A line longer than 16 KiB becomes several records, of which only the last ends with a newline.
The file holds `max_size` bytes at most; when full it becomes `path.1`, `path.1` becomes `path.2`,
and so on up to `max_files` files in all.

A full disk must not stop a container: records that cannot be written are dropped, and the first record
after that says how many bytes were lost.
"""

from __future__ import annotations

import json
import os
import time

MAX_SIZE = 10 << 20
MAX_FILES = 3
_PARTIAL = 16 << 10


class LogFile:
    """Appends what a container writes; opened at the first record."""

    def __init__(self, path: str, max_size: int = MAX_SIZE, max_files: int = MAX_FILES) -> None:
        self._path = path
        self._max_size = max(max_size, 4096)
        self._max_files = max(max_files, 1)
        self._fd = -1
        self._size = 0
        self._lost = 0
        self._partial = {"stdout": b"", "stderr": b""}
        self._second = (0, "")

    def write(self, stream: str, data: bytes) -> None:
        """Log a piece of output; an unfinished line waits for its end."""
        lines = (self._partial[stream] + data).split(b"\n")
        rest = lines.pop()
        records: list[bytes] = []
        for line in lines:
            pieces = _cut(line + b"\n")
            records += (self._record(stream, piece) for piece in pieces)
        if len(rest) > _PARTIAL:
            *full, rest = _cut(rest)
            records += (self._record(stream, piece) for piece in full)
        self._partial[stream] = rest
        self._append(records)

    def close(self) -> None:
        """Write unfinished lines and close the file."""
        for stream, rest in self._partial.items():
            if rest:
                self._append([self._record(stream, rest)])
                self._partial[stream] = b""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _record(self, stream: str, piece: bytes) -> bytes:
        text = json.dumps(piece.decode("utf-8", "replace"), ensure_ascii=False)
        return f'{{"log":{text},"stream":"{stream}","time":"{self._now()}"}}\n'.encode()

    def _now(self) -> str:
        """Return the time as RFC 3339 with nanoseconds; formatting the seconds is what costs."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second[0]:
            self._second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
        return f"{self._second[1]}.{nanoseconds:09d}Z"

    def _append(self, records: list[bytes]) -> None:
        """Write records, as many at once as fit into the file."""
        start = 0
        while start < len(records):
            self._open()
            end, total = start, self._size
            while end < len(records) and (
                total == 0 or total + len(records[end]) <= self._max_size
            ):
                total += len(records[end])
                end += 1
            if end == start:
                self._rotate()
            else:
                self._write(b"".join(records[start:end]))
                start = end

    def _open(self) -> None:
        if self._fd >= 0:
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o640)
            self._size = os.fstat(self._fd).st_size
        except OSError:
            self._size = 0

    def _write(self, data: bytes) -> None:
        """Write all of it or nothing: a record that was cut would break the reader's line."""
        if self._fd < 0:
            self._lost += len(data)
            return
        if self._lost:
            notice = f"[scow: {self._lost} bytes of log were lost: the disk was full]\n"
            data = self._record("stderr", notice.encode()) + data
        try:
            written = os.write(self._fd, data)
            if written < len(data):
                os.ftruncate(self._fd, self._size)
                raise OSError
            self._size += written
            self._lost = 0
        except OSError:
            self._lost += len(data)

    def _rotate(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._size = 0
        names = [self._path, *(f"{self._path}.{n}" for n in range(1, self._max_files))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if os.path.exists(newer):
                os.rename(newer, older)
        if self._max_files == 1:
            os.unlink(self._path)


def _cut(line: bytes) -> list[bytes]:
    """Cut a line into pieces of at most 16 KiB that do not split a UTF-8 character."""
    pieces = []
    while len(line) > _PARTIAL:
        end = _PARTIAL
        while end > _PARTIAL - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]
