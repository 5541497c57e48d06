"""The files of a container's log, rotated by size; what stands in them is described in `scow.contract.log_record`.

The file holds `max_size` bytes at most; when full it becomes `path.1`, `path.1` becomes `path.2`,
and so on up to `max_files` files in all.

A full disk must not stop a container: records that cannot be written are dropped, and the first record
after that says how many bytes were lost.
"""

from __future__ import annotations

import os

from scow.contract.log_record import STREAMS, LogEncoder, decode, with_position

MAX_SIZE = 10 << 20
MAX_FILES = 3


class LogFile:
    """Appends what a container writes; opened at the first record."""

    def __init__(self, path: str, max_size: int = MAX_SIZE, max_files: int = MAX_FILES) -> None:
        self._path = path
        self._max_size = max(max_size, 1)
        self._max_files = max(max_files, 1)
        self._fd = -1
        self._size = 0
        self._lost = 0
        self._encoder = LogEncoder()
        # Streams whose place is known to a reader of the present file.
        self._placed: set[str] = set()

    @property
    def run(self) -> int:
        """Which start of the container this is."""
        return self._encoder.run

    def write(self, stream: str, data: bytes) -> None:
        """Log a piece of output; an unfinished line waits for its end."""
        position = self._encoder.recorded(stream)
        self._append(stream, self._encoder.encode(stream, data), position)

    def unfinished(self, stream: str) -> bytes:
        """Return what waits for the end of its line."""
        return self._encoder.unfinished(stream)

    def recorded(self, stream: str) -> int:
        """Return how many bytes of a stream were logged."""
        return self._encoder.recorded(stream)

    def close(self) -> None:
        """Write unfinished lines and close the file."""
        for stream in STREAMS:
            position = self._encoder.recorded(stream)
            self._append(stream, self._encoder.finish(stream), position)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def forget(self) -> None:
        """Close the file without a word in it."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, stream: str, records: bytes, position: int) -> None:
        """Write records, as many at once as fit into the file.

        Args:
            stream: Theirs.
            records: Whole lines.
            position: Bytes of the stream that came before.
        """
        while records:
            self._open()
            if self._lost:
                self._tell_loss()
            placed = stream in self._placed
            lines = records if placed else with_position(records, position, self.run)
            end = self._fitting(lines)
            if end == 0:
                self._rotate()
                continue
            if self._write(lines[:end]):
                self._placed.add(stream)
            if end < len(lines):
                position += sum(len(part.data) for part in decode(lines[:end]))
            records = lines[end:]

    def _fitting(self, records: bytes) -> int:
        """Return the length of those that fit into the file; a file has one record at least."""
        room = self._max_size - self._size
        if len(records) <= room:
            return len(records)
        end = records.rfind(b"\n", 0, max(room, 0)) + 1
        return records.index(b"\n") + 1 if end == 0 and self._size == 0 else end

    def _open(self) -> None:
        if self._fd >= 0:
            return
        try:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o640)
            self._size = os.fstat(self._fd).st_size
            self._end_cut_record()
        except OSError:
            self.forget()
            self._size = 0

    def _end_cut_record(self) -> None:
        """End the line of a record that a killed keeper had half written: readers leave out what is no record."""
        if self._size and os.pread(self._fd, 1, self._size - 1) != b"\n":
            self._size += os.write(self._fd, b"\n")

    def _tell_loss(self) -> None:
        lost, self._lost = self._lost, 0
        notice = self._encoder.notice(f"[scow: {lost} bytes of log were lost: the disk was full]\n")
        if not self._write(notice):
            self._lost = lost

    def _write(self, data: bytes) -> bool:
        """Write all of it or nothing: a record that was cut would break the reader's line."""
        try:
            if self._fd < 0:
                raise OSError
            written = os.write(self._fd, data)
            if written < len(data):
                os.ftruncate(self._fd, self._size)
                raise OSError
        except OSError:
            self._lost += len(data)
            self._placed.clear()
            return False
        self._size += written
        return True

    def _rotate(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._size = 0
        self._placed.clear()
        names = [self._path, *(f"{self._path}.{n}" for n in range(1, self._max_files))]
        for older, newer in zip(reversed(names[1:]), reversed(names[:-1]), strict=True):
            if os.path.exists(newer):
                os.rename(newer, older)
        if self._max_files == 1:
            os.unlink(self._path)
