r"""The records of a container's log, in the form of Docker's json-file.

    {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}

The shim writes them, the container service reads them. One record stands on a line of its own. A line of output longer
than 16 KiB becomes several records, of which only the last ends with a newline. What Docker does not have comes after
the time, where it is needed:

- `,"at":4711,"run":17673230450`: how many bytes of this stream came before since that start of the container, which
  has a number of its own; in a stream's first record of each file, and after a loss.
- `,"raw":"/wo="`: what was written, in base64, where it is not UTF-8; `log` then has U+FFFD in the place of such bytes.
- `,"notice":true`: the engine's own words, which are not output.

So the position of every byte of output is known, and a client that lost its connection goes on where it was.

Both directions work on many records at once: output comes in pieces of many lines, and what can be done for a whole
piece (escaping, the time, JSON) is not done for each line.
"""

from __future__ import annotations

import binascii
import calendar
import json
import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

STREAMS = ("stdout", "stderr")
# Bytes of output in one record; Docker has the same.
RECORD_BYTES = 16 << 10

_HEAD = b'{"log":"'
_TAIL = b'","stream":"%b","time":"%b"}'
_TAIL_SIZE = len(_TAIL % (b"stdout", b"2026-01-02T03:04:05.000000006Z"))
_tail_of = itemgetter(slice(-_TAIL_SIZE, None))
_TAIL_PATTERN = re.compile(
    rb'","stream":"(stdout|stderr)","time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z)"\}'
)

_ESCAPES = {number: b"\\u%04x" % number for number in range(0x20)} | {
    ord("\\"): b"\\\\",
    ord('"'): b'\\"',
    ord("\t"): b"\\t",
    ord("\r"): b"\\r",
}
# Bytes that stand for themselves; the newline is seen to apart from the others, since it ends records.
_PLAIN = bytes(set(range(256)) - set(_ESCAPES) | {ord("\n")})


class LogEncoder:
    """Makes records of the output of one container, from its start on.

    Attributes:
        run: Which start of the container that was.
    """

    def __init__(self) -> None:
        self.run = time.time_ns()
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
            *full, rest = _cut(rest)
            records += self._pieces(stream, full)
        self._unfinished[stream] = rest
        self._recorded[stream] += len(data) - len(rest)
        return records

    def finish(self, stream: str) -> bytes:
        """Return the record of an unfinished line after which nothing follows; empty when there is none."""
        rest, self._unfinished[stream] = self._unfinished[stream], b""
        self._recorded[stream] += len(rest)
        return self._pieces(stream, [rest]) if rest else b""

    def unfinished(self, stream: str) -> bytes:
        """Return what waits for the end of its line."""
        return self._unfinished[stream]

    def recorded(self, stream: str) -> int:
        """Return how many bytes of a stream are in records."""
        return self._recorded[stream]

    def notice(self, text: str) -> bytes:
        """Return a record of the engine's own words, on standard error."""
        return self._pieces("stderr", [text.encode()])[:-2] + b',"notice":true}\n'

    def _lines(self, stream: str, lines: bytes) -> bytes:
        """Return the records of whole lines."""
        escaped = None if _has_long(lines) else _escape(lines)
        if escaped is None:
            return self._pieces(
                stream, [piece for line in lines.split(b"\n")[:-1] for piece in _cut(line + b"\n")]
            )
        end = b"\\n" + self._tail(stream)
        return b"".join((_HEAD, escaped[:-1].replace(b"\n", end + _HEAD), end))

    def _pieces(self, stream: str, pieces: Iterable[bytes]) -> bytes:
        """Return a record for each piece."""
        tail = self._tail(stream)
        records: list[bytes] = []
        for piece in pieces:
            escaped, end = _escape(piece), tail
            if escaped is None:
                raw = binascii.b2a_base64(piece, newline=False)
                escaped = _escape(piece.decode("utf-8", "replace").encode()) or b""
                end = tail[:-2] + b',"raw":"%b"}\n' % raw
            records += (_HEAD, escaped.replace(b"\n", b"\\n"), end)
        return b"".join(records)

    def _tail(self, stream: str) -> bytes:
        return _TAIL % (stream.encode(), self._now().encode()) + b"\n"

    def _now(self) -> str:
        """Return the time as RFC 3339 with nanoseconds; formatting the seconds is what costs."""
        seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if seconds != self._second[0]:
            self._second = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
        return f"{self._second[1]}.{nanoseconds:09d}Z"


def with_position(records: bytes, position: int, run: int) -> bytes:
    """Return records of which the first says how many bytes of its stream came before it, in which run."""
    end = records.index(b"\n") - 1
    return b'%b,"at":%d,"run":%d%b' % (records[:end], position, run, records[end:])


def _has_long(lines: bytes) -> bool:
    """Tell whether a line, with its newline, needs more than one record."""
    start = 0
    while len(lines) - start > RECORD_BYTES:
        end = lines.rfind(b"\n", start, start + RECORD_BYTES)
        if end < 0:
            return True
        start = end + 1
    return False


def _escape(data: bytes) -> bytes | None:
    """Return output as it stands in a string of JSON, except for newlines; None when it is not UTF-8."""
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError:
            return None
    special = set(data.translate(None, _PLAIN))
    for number in sorted(
        special, reverse=True
    ):  # the backslash before those whose escapes have one
        data = data.replace(bytes((number,)), _ESCAPES[number])
    return data


def _cut(line: bytes) -> list[bytes]:
    """Cut a line into pieces of at most 16 KiB that do not split a UTF-8 character."""
    pieces = []
    while len(line) > RECORD_BYTES:
        end = RECORD_BYTES
        while end > RECORD_BYTES - 4 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[:end])
        line = line[end:]
    return [*pieces, line]


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


def decode(lines: bytes) -> list[Records]:
    """Return the records of whole lines of a log; lines that hold none are left out.

    A crash of the machine may leave such a line.
    """
    batch = lines.split(b"\n")
    if not batch[-1]:
        batch.pop()
    found: list[Records] = []
    plain: list[bytes] = []
    spans: list[tuple[str, int, int]] = []
    heads = lines.startswith(_HEAD) + lines.count(b"\n" + _HEAD)
    if heads != len(batch):
        return _decode_each(batch)
    for tail, group in groupby(batch, _tail_of):
        same = list(group)
        known = _parse_tail(tail)
        if known is None:
            found += _decode_plain(plain, spans)
            found += _decode_each(same)
            plain, spans = [], []
        else:
            plain += same
            spans.append((*known, len(same)))
    return found + _decode_plain(plain, spans)


def _decode_plain(lines: list[bytes], spans: list[tuple[str, int, int]]) -> list[Records]:
    """Decode lines in exactly the form in which they are written.

    Args:
        lines: Without their newlines.
        spans: Stream, time and number of lines of each part.
    """
    if not lines:
        return []
    start = len(_HEAD)
    try:
        strings = b'","'.join([line[start:-_TAIL_SIZE] for line in lines])
        texts: list[str] = json.loads(b'["%b"]' % strings)
    except ValueError:
        return _decode_each(lines)
    if len(texts) != len(lines):
        return _decode_each(lines)
    joined = "".join(texts)
    data = joined.encode("utf-8", "replace")
    if len(data) == len(joined):
        sizes = list(map(len, texts))
    else:
        sizes = [len(text.encode("utf-8", "replace")) for text in texts]
    found = []
    line = offset = 0
    for stream, parts in groupby(spans, itemgetter(0)):
        times: list[int] = []
        for _, moment, count in parts:
            times += [moment] * count
        own = sizes[line : line + len(times)]
        size = sum(own)
        found.append(Records(stream, data[offset : offset + size], own, times))
        line, offset = line + len(times), offset + size
    return found


def _decode_each(lines: Iterable[bytes]) -> list[Records]:
    return [record for line in lines if (record := _decode_one(line)) is not None]


def _decode_one(line: bytes) -> Records | None:
    """Decode a line in any form of JSON."""
    try:
        fields = json.loads(line)
        moment, stream, raw = time_ns(fields["time"]), fields["stream"], fields.get("raw")
        text = fields["log"].encode("utf-8", "replace")
        data = text if raw is None else binascii.a2b_base64(raw)
        position, run = (fields["at"], fields["run"]) if "at" in fields else (None, None)
        if stream not in STREAMS or {type(position), type(run)} not in ({int}, {type(None)}):
            return None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    notice = fields.get("notice") is True
    return Records(stream, data, (len(data),), (moment,), position, run, notice)


@lru_cache(maxsize=256)
def _parse_tail(tail: bytes) -> tuple[str, int] | None:
    """Return stream and time; None where a line does not end as those that are written here."""
    match = _TAIL_PATTERN.fullmatch(tail)
    try:
        return (match[1].decode(), time_ns(match[2].decode())) if match else None
    except ValueError:
        return None


def time_ns(text: str) -> int:
    """Read a time of RFC 3339 in UTC with up to nine digits of a second's fraction.

    Raises:
        ValueError: It is something else.
    """
    fraction = text[20:].rstrip("Z") if text[19:20] == "." else ""
    return _seconds(text[:19]) * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


@lru_cache(maxsize=64)
def _seconds(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
