r"""The records of a container's log in a compact form: one byte for each line, and a head for each piece of output.

    @18a5f3c2b1d40000 1267 18a5f3c2b0000000
    ohello
    oworld

A head has the time (nanoseconds since 1970 UTC), how many bytes of the stream came before in this run, and in a
stream's first head of a file the run; all in hexadecimal. The lines after it were read at once, from one stream. Their
first byte says what they are: `o` a line of standard output and `e` of standard error, `p` and `f` the same without a
newline at the end (the line goes on in the next record, or was the last), `n` the engine's own words.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from scow.contract.log_lines import Decoder, LineEncoder, Records, cut_lines, has_long

_HEAD = b"@"
_NOTICE = b"n"
_KINDS = {"stdout": (b"o", b"p"), "stderr": (b"e", b"f")}
_STREAMS = {b"o": "stdout", b"p": "stdout", b"e": "stderr", b"f": "stderr", b"n": "stderr"}
_WHOLE = b"oen"
_LONGEST_HEAD = 80


class CompactEncoder(LineEncoder):
    """Makes records.

    Args:
        run: Which start of the container this is: higher than that of any earlier one.
        attrs: What records of other forms say of the container; nothing here.
    """

    def __init__(self, run: int = 0, attrs: str = "") -> None:
        super().__init__(run)
        self._moment = 0

    def notice(self, text: str) -> bytes:
        """Return a record of the engine's own words, on standard error."""
        return self._head("stderr") + _NOTICE + text.encode()

    def placed(self, records: bytes, position: int) -> bytes:
        """Return records of which the first says how many bytes of its stream came before it, in which run."""
        if records.startswith(_HEAD):
            records = records[records.index(b"\n") + 1 :]
        return b"@%x %x %x\n" % (self._moment, position, self.run) + records

    def first(self, records: bytes) -> int:
        """Return the length of the first of records, with its head."""
        end = records.index(b"\n") + 1
        return records.index(b"\n", end) + 1 if records.startswith(_HEAD) else end

    def decoder(self) -> Decoder:
        """Return what reads such records."""
        return CompactDecoder()

    def _head(self, stream: str) -> bytes:
        self._moment = time.time_ns()
        return b"@%x %x\n" % (self._moment, self._recorded[stream])

    def _lines(self, stream: str, lines: bytes) -> bytes:
        if has_long(lines):
            return self._pieces(stream, cut_lines(lines))
        kind = _KINDS[stream][0]
        return b"".join((self._head(stream), kind, lines[:-1].replace(b"\n", b"\n" + kind), b"\n"))

    def _pieces(self, stream: str, pieces: Iterable[bytes]) -> bytes:
        """Return a record for each piece; those of whole lines came before them in the same read."""
        whole, partial = _KINDS[stream]
        records = [self._head(stream)]
        records += [
            whole + piece if piece.endswith(b"\n") else partial + piece + b"\n" for piece in pieces
        ]
        return b"".join(records)


class CompactDecoder:
    """Reads such records."""

    def __init__(self) -> None:
        self._moment = 0
        self._run: int | None = None
        # Where the next record of the present head is.
        self._position: int | None = None

    def decode(self, lines: bytes) -> list[Records]:
        """Return the records of whole lines; lines that hold none are left out."""
        found: list[Records] = []
        for section in _sections(lines):
            found += self._section(section)
        return found

    def _section(self, section: bytes) -> list[Records]:
        """Decode a head and what follows it, or what follows a head that came before."""
        if section.startswith(_HEAD):
            head, _, section = section.partition(b"\n")
            if not self._read(head):
                return []
        if not section or not self._moment:
            return []
        kind = section[:1]
        if kind in (b"o", b"e") and section.count(b"\n" + kind) + 1 == section.count(b"\n"):
            data = section[1:].replace(b"\n" + kind, b"\n")
            return [self._records(kind, data, [len(line) + 1 for line in data.split(b"\n")[:-1]])]
        return [
            self._records(line[:1], data, [len(data)])
            for line in section.split(b"\n")[:-1]
            if line[:1] in _STREAMS and (data := line[1:] + (b"\n" if line[:1] in _WHOLE else b""))
        ]

    def _read(self, head: bytes) -> bool:
        fields = head[1:].split(b" ")
        try:
            numbers = [int(field, 16) for field in fields if len(head) <= _LONGEST_HEAD]
            self._moment, self._position, *runs = numbers
        except ValueError:
            self._moment = 0
            return False
        self._run = runs[0] if runs else None
        return True

    def _records(self, kind: bytes, data: bytes, sizes: list[int]) -> Records:
        times = [self._moment] * len(sizes)
        if kind == _NOTICE:
            return Records("stderr", data, sizes, times, notice=True)
        position, run = self._position, self._run
        self._position = (position or 0) + len(data)
        self._run = None
        return Records(_STREAMS[kind], data, sizes, times, position, run)


def _sections(lines: bytes) -> list[bytes]:
    """Split lines before each head."""
    first, *rest = lines.split(b"\n@")
    sections = [first + b"\n" if rest else first]
    sections += [_HEAD + each + b"\n" for each in rest[:-1]]
    if rest:
        sections.append(_HEAD + rest[-1])
    return sections
