"""The files of a container's log, read across rotations, compression and restarts of whoever reads.

The shim writes one record a line to `path`; when that is full it becomes `path.1`, that becomes `path.2`, and the
oldest is deleted. What `path.1` has may be in `path.1.gz` instead. A reader keeps its file open; when that is read to
its end and is not the newest any more, the next one is found by what stands first in each: that is different in any two
files of a log, and stays what it is under every name. So it loses nothing while the names move on, and reads nothing
twice.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Protocol

from isal import isal_zlib

from scow.contract.log_formats import DECODERS
from scow.contract.log_lines import Decoder, Records

_BLOCK = 256 << 10
# A line that is longer holds no record: what a record takes at most is a few times 16 KiB.
_LONGEST_LINE = 1 << 20
_MOST_FILES = 1000
# Rotations that may happen while names are looked up.
_MOVES = 4
_GZIP = 31
# Lines at the beginning of a file of which one tells its place.
_FIRST_LINES = 8
# Forms in which each line is a record.
_RECORD_A_LINE = ("json", "cri")


class Place(NamedTuple):
    """A place in the output of a container: before it come so many bytes of each stream in a run, and earlier runs."""

    run: int
    stdout: int
    stderr: int

    def has(self, first: First) -> bool:
        """Tell whether a record comes before the place."""
        if first.run != self.run:
            return first.run < self.run
        return first.position < (self.stdout if first.stream == "stdout" else self.stderr)


class First(NamedTuple):
    """Where a record is in its stream."""

    run: int
    stream: str
    position: int


class _File(Protocol):
    """A file that is read from its beginning."""

    def read(self) -> bytes:
        """Return the next bytes; empty at the present end."""

    def rewind(self) -> None:
        """Begin again."""

    def close(self) -> None:
        """Close it."""

    @property
    def inode(self) -> int:
        """Of the file; 0 when it is not the one that was written."""


class _Plain:
    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.inode = os.fstat(fd).st_ino

    def read(self) -> bytes:
        return os.read(self.fd, _BLOCK)

    def rewind(self) -> None:
        os.lseek(self.fd, 0, os.SEEK_SET)

    def close(self) -> None:
        os.close(self.fd)


class _Packed:
    inode = 0

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.rewind()

    def rewind(self) -> None:
        os.lseek(self._fd, 0, os.SEEK_SET)
        self._unpacker = isal_zlib.decompressobj(wbits=_GZIP)

    def read(self) -> bytes:
        while not self._unpacker.eof:
            rest = self._unpacker.unconsumed_tail
            data = rest or os.read(self._fd, _BLOCK)
            if not data:
                return b""
            try:
                found = self._unpacker.decompress(data, _BLOCK)
            except isal_zlib.error:  # type: ignore[misc]  # an exception, which the stubs do not tell
                return b""  # it is damaged: what follows cannot be read
            if found:
                return bytes(found)
        return b""

    def close(self) -> None:
        os.close(self._fd)


class Cursor:
    """A place in a log that moves forward.

    Args:
        path: The log's newest file.
        form: Of its records, one of `scow.contract.log_formats`.
        tail: Begin so many records before the present end; None means at the beginning.
        after: Begin there, or at the oldest record when that is gone; `tail` means nothing then.
        places: Know the place of each record, also with `tail`: it takes longer.
    """

    def __init__(
        self,
        path: Path,
        form: str = "json",
        *,
        tail: int | None = None,
        after: Place | None = None,
        places: bool = False,
    ) -> None:
        self._path = path
        self._form = form
        self._places = places
        self._file: _File | None = None
        self._first: First | None = None
        self._decoder: Decoder = DECODERS[form]()
        self._rest = b""
        self._skip = 0  # records of the file that are not wanted
        self._after = after
        self._run = 0
        self._reached: dict[str, int] = {}
        if after is not None:
            self._seek(after)
        elif tail is not None:
            self._seek_tail(tail)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def place(self) -> Place | None:
        """Where the next record will be; None before anything is known."""
        if not self._run:
            return self._after
        return Place(self._run, self._reached.get("stdout", 0), self._reached.get("stderr", 0))

    def records(self) -> list[Records]:
        """Return the next records; none at the present end."""
        while lines := self._lines():
            found = self._wanted(self._placed(self._decoder.decode(lines)))
            if found:
                return found
        return []

    def _placed(self, found: list[Records]) -> Iterator[Records]:
        """Give records their positions, as far as those are known."""
        for records in found:
            if records.notice:
                yield records
                continue
            stream = records.stream
            if records.run is not None and records.run != self._run:
                self._run, self._reached = records.run, {}
            if records.position is not None:
                self._reached[stream] = records.position
            position = self._reached.get(stream)
            if position is None or not self._run:
                yield records
                continue
            if self._first is None:
                self._first = First(self._run, stream, position)
            self._reached[stream] = position + len(records.data)
            yield replace(records, position=position, run=self._run)

    def _wanted(self, found: Iterator[Records]) -> list[Records]:
        """Return what is neither to be skipped nor before the place that was to be begun at."""
        wanted = []
        for records in found:
            if self._skip:
                count = min(self._skip, len(records.sizes))
                self._skip -= count
                if count == len(records.sizes):
                    continue
                records = records.after(count)
            if self._after is not None:
                rest = _beyond(records, self._after)
                if rest is None:
                    continue
                records = rest
                self._after = None
            wanted.append(records)
        return wanted

    def _lines(self) -> bytes:
        """Return the next whole lines; empty at the present end."""
        while True:
            if self._file is None and not self._take_oldest():
                return b""
            assert self._file is not None
            data = self._file.read()
            if data:
                end = data.rfind(b"\n") + 1
                if end:
                    whole, self._rest = self._rest + data[:end], data[end:]
                    return whole
                self._rest = (self._rest + data)[-_LONGEST_LINE:]
            elif not self._next_file():
                return b""

    def _take_oldest(self) -> bool:
        with self._opened() as files:
            return bool(files) and self._take(files[-1][1])

    def _next_file(self) -> bool:
        """Move to the file after the present one, if that is full; tell whether there may be more to read."""
        file = self._file
        assert file is not None
        if file.inode and _inode(self._path) in (file.inode, None):
            return False  # it is the newest, or is just being renamed
        if isinstance(file, _Plain):
            more = os.fstat(file.fd).st_size > os.lseek(file.fd, 0, os.SEEK_CUR)
            if more:
                return True  # it was renamed after the end was seen: what was written in between comes first
        with self._opened() as files:
            mine = [
                index
                for index, (first, other) in enumerate(files)
                if (other.inode and other.inode == file.inode)
                or (first is not None and first == self._first)
            ]
            # One that is gone already is followed by the oldest there is.
            place = mine[0] if mine else len(files)
            return place > 0 and self._take(files[place - 1][1])

    def _take(self, file: _File) -> bool:
        """Read from a file from now on."""
        self.close()
        self._file, self._first, self._rest = file, None, b""
        self._decoder = DECODERS[self._form]()
        return True

    @contextlib.contextmanager
    def _opened(self) -> Iterator[list[tuple[First | None, _File]]]:
        """Open the files there are, the newest first, each once; close those that were not taken.

        Names are looked up in the order in which files move through them, so that a rotation hides none; it may
        show one twice.
        """
        found: list[tuple[First | None, _File]] = []
        known: set[First | int] = set()
        try:
            for name in self._names():
                file = _open(name)
                if file is None:
                    continue
                first = self._first_of(name)
                if {first, file.inode or first} & known:
                    file.close()
                    continue
                known |= {each for each in (first, file.inode) if each}
                found.append((first, file))
            yield found
        finally:
            for _, file in found:
                if file is not self._file:
                    file.close()

    def _first_of(self, name: Path) -> First | None:
        """Return where the first record of a file is, whose place is known."""
        file = _open(name)
        if file is None:
            return None
        with contextlib.closing(file):
            data = file.read()
        lines = data[: data.rfind(b"\n") + 1].splitlines(keepends=True)[:_FIRST_LINES]
        run = None
        for records in DECODERS[self._form]().decode(b"".join(lines)):
            run = records.run or run
            if records.position is not None and run is not None and not records.notice:
                return First(run, records.stream, records.position)
        return None

    def _names(self) -> list[Path]:
        """Return the names that files may have, the newest file's first."""
        pattern = re.compile(re.escape(self._path.name) + r"\.(\d{1,4})(?:\.gz)?", re.ASCII)
        numbers = [0]
        with contextlib.suppress(FileNotFoundError), os.scandir(self._path.parent) as entries:
            numbers += [
                min(int(match[1]), _MOST_FILES)
                for entry in entries
                if (match := pattern.fullmatch(entry.name))
            ]
        # And those to which the oldest may move meanwhile.
        older = range(1, max(numbers) + _MOVES + 1)
        ends = [f".{number}{end}" for number in older for end in ("", ".gz")]
        return [self._path, *(self._path.with_name(self._path.name + end) for end in ends)]

    def _seek(self, after: Place) -> None:
        """Begin in the newest file that begins before a place, or in the oldest."""
        with self._opened() as files:
            for first, file in files:
                if first is not None and after.has(first):
                    self._take(file)
                    return
        self._take_oldest()

    def _seek_tail(self, count: int) -> None:
        """Place the cursor before the last `count` records."""
        with self._opened() as files:
            for index, (first, file) in enumerate(files):
                quick = self._form in _RECORD_A_LINE and not self._places
                skip = 0
                if quick and isinstance(file, _Plain):
                    offset, found = _tail_offset(file.fd, count)
                    os.lseek(file.fd, offset, os.SEEK_SET)
                else:
                    total = self._count(file)
                    found = min(total, count)
                    skip = total - found
                    file.rewind()
                count -= found
                # When there is no older file, this one is where the tail begins.
                if count <= 0 or index == len(files) - 1:
                    self._take(file)
                    self._first, self._skip = first, skip
                    return

    def _count(self, file: _File) -> int:
        """Return how many records a file has."""
        decoder, count, rest = DECODERS[self._form](), 0, b""
        while data := file.read():
            end = data.rfind(b"\n") + 1
            if end:
                whole, rest = rest + data[:end], data[end:]
                count += sum(len(records.sizes) for records in decoder.decode(whole))
            else:
                rest = (rest + data)[-_LONGEST_LINE:]
        return count


def _beyond(records: Records, place: Place) -> Records | None:
    """Return those of records that are not before a place."""
    if records.notice:
        return None
    if records.run is None or records.position is None:
        return records
    if records.run != place.run:
        return records if records.run > place.run else None
    reached = place.stdout if records.stream == "stdout" else place.stderr
    position, count = records.position, 0
    for size in records.sizes:
        if position >= reached:
            break
        position, count = position + size, count + 1
    return records.after(count) if count < len(records.sizes) else None


def _open(name: Path) -> _File | None:
    try:
        fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    return _Packed(fd) if name.suffix == ".gz" else _Plain(fd)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _tail_offset(fd: int, count: int) -> tuple[int, int]:
    """Return where the last `count` lines of a file begin, and how many there are of them."""
    end = os.lseek(fd, 0, os.SEEK_END)
    if count <= 0:
        return end, 0
    found = 0  # ends of lines, the last one of the file included
    position = end
    while position > 0:
        start = max(0, position - _BLOCK)
        block = os.pread(fd, position - start, start)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == count + 1:
                return start + at + 1, count
        position = start
    return 0, found
