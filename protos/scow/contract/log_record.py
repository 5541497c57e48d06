r"""The records of a container's log in the form of Docker's json-file.

    {"log":"hello\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}
    {"log":"hello\n","stream":"stdout","attrs":{"tag":"web"},"time":"2026-01-02T03:04:05.000000006Z"}

The shim writes them, the container service reads them. One record stands on a line of its own. What Docker does not
have comes after the time, where it is needed:

- `,"at":4711,"run":17673230450`: how many bytes of this stream came before since that start of the container, which
  has a number of its own; in a stream's first record of each file, and after a loss.
- `,"raw":"/wo="`: what was written, in base64, where it is not UTF-8; `log` then has U+FFFD in the place of such bytes.
- `,"notice":true`: the engine's own words, which are not output.

Both directions work on many records at once: output comes in pieces of many lines, and what can be done for a whole
piece (escaping, the time, JSON) is not done for each line.
"""

from __future__ import annotations

import binascii
import calendar
import json
import re
import time
from collections.abc import Iterable
from functools import lru_cache
from itertools import groupby
from operator import itemgetter

from scow.contract.log_lines import STREAMS, Decoder, LineEncoder, Records, cut_lines, has_long

_HEAD = b'{"log":"'
_TAIL = b'","stream":"%b",%b"time":"%b"}'
_TAIL_START = b'","stream":"'
_TAIL_PATTERN = re.compile(
    rb'","stream":"(stdout|stderr)",(?:"attrs":\{.*\},)?"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z)"\}'
)

_ESCAPES = {number: b"\\u%04x" % number for number in range(0x20)} | {
    ord("\\"): b"\\\\",
    ord('"'): b'\\"',
    ord("\t"): b"\\t",
    ord("\r"): b"\\r",
}
# Bytes that stand for themselves; the newline is seen to apart from the others, since it ends records.
_PLAIN = bytes(set(range(256)) - set(_ESCAPES) | {ord("\n")})


class LogEncoder(LineEncoder):
    """Makes records.

    Args:
        run: Which start of the container this is: higher than that of any earlier one.
        attrs: What each record says of the container, as an object of JSON; empty: nothing.
    """

    def __init__(self, run: int = 0, attrs: str = "") -> None:
        super().__init__(run)
        self._attrs = f'"attrs":{attrs},'.encode() if attrs else b""

    def notice(self, text: str) -> bytes:
        """Return a record of the engine's own words, on standard error."""
        return self._pieces("stderr", [text.encode()])[:-2] + b',"notice":true}\n'

    def placed(self, records: bytes, position: int) -> bytes:
        """Return records of which the first says how many bytes of its stream came before it, in which run."""
        return with_position(records, position, self.run)

    def decoder(self) -> Decoder:
        """Return what reads such records."""
        return JsonDecoder()

    def _lines(self, stream: str, lines: bytes) -> bytes:
        escaped = None if has_long(lines) else _escape(lines)
        if escaped is None:
            return self._pieces(stream, cut_lines(lines))
        end = b"\\n" + self._tail(stream)
        return b"".join((_HEAD, escaped[:-1].replace(b"\n", end + _HEAD), end))

    def _pieces(self, stream: str, pieces: Iterable[bytes]) -> bytes:
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
        return _TAIL % (stream.encode(), self._attrs, self._now().encode()) + b"\n"


def with_position(records: bytes, position: int, run: int) -> bytes:
    """Return records of which the first says how many bytes of its stream came before it, in which run."""
    end = records.index(b"\n") - 1
    return b'%b,"at":%d,"run":%d%b' % (records[:end], position, run, records[end:])


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


class JsonDecoder:
    """Reads such records; it needs to remember nothing."""

    def decode(self, lines: bytes) -> list[Records]:
        """Return the records of whole lines; lines that hold none are left out."""
        return decode(lines)


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
    # It cannot be in what was written, whose quotes are escaped.
    start = batch[-1].find(_TAIL_START) if batch else -1
    if heads != len(batch) or start < 0:
        return _decode_each(batch)
    size = len(batch[-1]) - start
    for tail, group in groupby(batch, itemgetter(slice(-size, None))):
        same = list(group)
        known = _parse_tail(tail)
        if known is None:
            found += _decode_plain(plain, spans, size)
            found += _decode_each(same)
            plain, spans = [], []
        else:
            plain += same
            spans.append((*known, len(same)))
    return found + _decode_plain(plain, spans, size)


def _decode_plain(
    lines: list[bytes], spans: list[tuple[str, int, int]], tail_size: int
) -> list[Records]:
    """Decode lines in exactly the form in which they are written.

    Args:
        lines: Without their newlines.
        spans: Stream, time and number of lines of each part.
        tail_size: Bytes of what follows the output in each.
    """
    if not lines:
        return []
    start = len(_HEAD)
    try:
        strings = b'","'.join([line[start:-tail_size] for line in lines])
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
