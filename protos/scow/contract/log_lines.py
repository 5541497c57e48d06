"""What all forms of a container's log have in common: how output is cut into records, and what a record tells.

One record is one line of output. A line longer than 16 KiB becomes several records, of which only the last ends with a
newline. The forms are in `log_record` (Docker's json-file), `log_compact` and `log_cri`; `log_formats` names them.

In each form a file's first record of a stream says how many bytes of that stream came before it, and in which run of
the container. So the position of every byte of output is known: a reader that lost its connection goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

STREAMS = ("stdout", "stderr")
# Bytes of output in one record; Docker has the same.
RECORD_BYTES = 16 << 10


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one stream that follow each other.

    Attributes:
        stream: "stdout" or "stderr".
        data: What was written, of all of them. A record ends with a newline unless its line goes on in the next one.
        sizes: Bytes of each record.
        times: When each was written, nanoseconds since 1970 UTC.
        position: Bytes of the stream that came before in this run, where the log says so.
        run: Which run, where the log says so.
        notice: They are the engine's own words.
    """

    stream: str
    data: bytes
    sizes: Sequence[int]
    times: Sequence[int]
    position: int | None = None
    run: int | None = None
    notice: bool = False

    def after(self, count: int) -> Records:
        """Return them without the first so many."""
        skipped = sum(self.sizes[:count])
        position = None if self.position is None else self.position + skipped
        return replace(
            self,
            data=self.data[skipped:],
            sizes=self.sizes[count:],
            times=self.times[count:],
            position=position,
        )


class Decoder(Protocol):
    """Reads the whole lines of a log, from the beginning of a file on."""

    def decode(self, lines: bytes) -> list[Records]:
        """Return the records of whole lines; lines that hold none are left out."""


class LineEncoder:
    """Makes records of the output of one container, from its start on. Each form has a subclass.

    Args:
        run: Which start of the container this is: higher than that of any earlier one.

    Attributes:
        run: That.
    """

    def __init__(self, run: int = 0) -> None:
        self.run = run or time.time_ns()
        self._unfinished = dict.fromkeys(STREAMS, b"")
        self._recorded = dict.fromkeys(STREAMS, 0)
        self._second = (0, "")

    def encode(self, stream: str, data: bytes) -> bytes:
        """Return the records of a piece of output; an unfinished line waits for its end.

        They have one time, since one read of a pipe or terminal gave them.
        """
        data = self._unfinished[stream] + data
        end = data.rfind(b"\n") + 1
        records = self._lines(stream, data[:end]) if end else b""
        rest = data[end:]
        if len(rest) > RECORD_BYTES:
            *full, rest = cut(rest)
            records += self._pieces(stream, full)
        self._unfinished[stream] = rest
        self._recorded[stream] += len(data) - len(rest)
        return records

    def finish(self, stream: str) -> bytes:
        """Return the record of an unfinished line after which nothing follows; empty when there is none."""
        rest, self._unfinished[stream] = self._unfinished[stream], b""
        records = self._pieces(stream, [rest]) if rest else b""
        self._recorded[stream] += len(rest)
        return records

    def unfinished(self, stream: str) -> bytes:
        """Return what waits for the end of its line."""
        return self._unfinished[stream]

    def recorded(self, stream: str) -> int:
        """Return how many bytes of a stream are in records."""
        return self._recorded[stream]

    def placed(self, records: bytes, position: int) -> bytes:
        """Return records of which the first says how many bytes of its stream came before it, in which run."""
        raise NotImplementedError

    def first(self, records: bytes) -> int:
        """Return the length of the first of records."""
        return records.index(b"\n") + 1

    def notice(self, text: str) -> bytes:
        """Return a record of the engine's own words, on standard error."""
        raise NotImplementedError

    def decoder(self) -> Decoder:
        """Return what reads such records."""
        raise NotImplementedError

    def _lines(self, stream: str, lines: bytes) -> bytes:
        """Return the records of whole lines."""
        raise NotImplementedError

    def _pieces(self, stream: str, pieces: Iterable[bytes]) -> bytes:
        """Return a record for each piece."""
        raise NotImplementedError

    def _now(self) -> str:
        """Return the time as RFC 3339 with nanoseconds; formatting the seconds is what costs."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second[0]:
            self._second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
        return f"{self._second[1]}.{nanoseconds:09d}Z"


def has_long(lines: bytes) -> bool:
    """Tell whether a line, with its newline, needs more than one record."""
    start = 0
    while len(lines) - start > RECORD_BYTES:
        end = lines.rfind(b"\n", start, start + RECORD_BYTES)
        if end < 0:
            return True
        start = end + 1
    return False


def cut(line: bytes) -> list[bytes]:
    """Cut a line into pieces of at most 16 KiB that do not split a UTF-8 character."""
    pieces = []
    while len(line) > RECORD_BYTES:
        end = RECORD_BYTES
        while end > RECORD_BYTES - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


def cut_lines(lines: bytes) -> list[bytes]:
    """Cut whole lines into pieces of at most 16 KiB."""
    return [piece for line in lines.split(b"\n")[:-1] for piece in cut(line + b"\n")]
