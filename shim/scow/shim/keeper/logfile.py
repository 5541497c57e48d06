"""The files of a container's log, rotated by size; what stands in them is described in `scow.contract.log_lines`.

The file holds `max_size` bytes at most; when full it becomes `path.1`, `path.1` becomes `path.2`,
and so on up to `max_files` files in all. With `compress` a child, which the writer does not wait for, makes `path.1.gz`
of `path.1`; under a name of its own, which becomes this one once the child has ended, wherever the file is by then. A
child that another rotation overtakes goes on; the files that come meanwhile stay as they are.

A full disk must not stop a container: records that cannot be written are dropped, and the first record
after that says how many bytes were lost.
"""

from __future__ import annotations

import os
import time

from scow.contract.log_formats import ENCODERS
from scow.contract.log_lines import STREAMS
from scow.kernel import syscalls

MAX_SIZE = 10 << 20
MAX_FILES = 3
# What a file is called while it is being compressed, after the log's path; and what it is called then.
COMPRESSING = ".compressing"
_GZ = ".gz"


class LogFile:
    """Appends what a container writes; opened at the first record.

    Args:
        path: Of the newest file.
        max_size: Bytes of one file.
        max_files: How many files there are, the newest included.
        form: One of `scow.contract.log_formats`.
        attrs: What each record says of the container, as an object of JSON, where the form can say it.
        compress: Compress older files.
    """

    def __init__(
        self,
        path: str,
        max_size: int = MAX_SIZE,
        max_files: int = MAX_FILES,
        *,
        form: str = "json",
        attrs: str = "",
        compress: bool = False,
    ) -> None:
        self._path = path
        self._compress = compress
        self._compressor = 0
        # How far the file that is being compressed was moved on since.
        self._moved = 0
        self._max_size = max(max_size, 1)
        self._max_files = max(max_files, 1)
        self._fd = -1
        self._size = 0
        self._lost = 0
        self._encoder = ENCODERS[form](_run(path), attrs)
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
            lines = records if placed else self._encoder.placed(records, position)
            end = self._fitting(lines)
            if end == 0:
                self._rotate()
                continue
            if self._write(lines[:end]):
                self._placed.add(stream)
            if end < len(lines):
                written = self._encoder.decoder().decode(lines[:end])
                position += sum(len(part.data) for part in written if not part.notice)
            records = lines[end:]

    def _fitting(self, records: bytes) -> int:
        """Return the length of those that fit into the file; a file has one record at least."""
        room = self._max_size - self._size
        if len(records) <= room:
            return len(records)
        end = records.rfind(b"\n", 0, max(room, 0)) + 1
        least = self._encoder.first(records)
        if end >= least:
            return end
        return least if self._size == 0 else 0

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
        if self._max_files == 1:
            os.unlink(self._path)
            return
        number = 1  # of the first name that is free, or the last there may be
        while number < self._max_files - 1 and any(map(os.path.exists, self._names(number))):
            number += 1
        for older in range(number, 0, -1):
            self._move(older - 1, older)
        self._moved += 1
        if self._compress and not self._compressor:
            self._start_compressor()

    def _names(self, number: int) -> tuple[str, str]:
        """Return the names that a file may have: compressed, and as it was written."""
        name = f"{self._path}.{number}" if number else self._path
        return name + _GZ, name

    def _move(self, newer: int, older: int) -> None:
        """Move a file to the next name, over what has that name."""
        for name, target, other in zip(
            self._names(newer), self._names(older), reversed(self._names(older)), strict=True
        ):
            if os.path.exists(name):  # when it is there in both forms, its compression was complete
                os.rename(name, target)
                if os.path.exists(other):
                    os.unlink(other)
                return

    def _start_compressor(self) -> None:
        try:
            # Opened here: another file may have this name before the child runs.
            source = os.open(f"{self._path}.1", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            self._compressor = syscalls.fork_bare()
        except OSError:  # no memory, no more processes: it stays as it is
            os.close(source)
            return
        if self._compressor == 0:
            from scow.shim.keeper import compressor

            compressor.main(source, self._path + COMPRESSING)
        os.close(source)
        self._moved = 0

    def collected(self, pid: int, status: int) -> bool:
        """Take the end of a child of the keeper; tell whether it was the compressor."""
        if not self._compressor or pid != self._compressor:
            return False
        self._compressor = 0
        older = f"{self._path}.{self._moved + 1}"
        try:
            if status or self._moved + 1 >= self._max_files:
                os.unlink(self._path + COMPRESSING)
            else:
                os.rename(self._path + COMPRESSING, older + _GZ)
                os.unlink(older)
        except OSError:  # the folder was deleted
            pass
        return True


def _run(path: str) -> int:
    """Return the number of a run: the time, but higher than that of any earlier run, whatever the clock was set to."""
    try:
        last = os.stat(path).st_mtime_ns
    except OSError:
        last = 0
    return max(time.time_ns(), last + 1)
