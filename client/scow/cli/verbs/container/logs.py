"""`logs`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from google.protobuf.timestamp_pb2 import Timestamp

    from scow.api.container.v1.container_pb2 import LogRecords
    from scow.cli.context import Context


# What a count of lines on the wire may be.
_MOST_LINES = (1 << 31) - 1


def _time(text: str) -> int:
    """Return nanoseconds since 1970; 0 for an empty text, which sets no bound."""
    from scow.words.times import parse_time

    return parse_time(text) if text else 0


def _tail(text: str) -> int | None:
    """Return the number of lines; None means all, and so do a negative number and what is not one, as in Docker."""
    digits = text.removeprefix("+")
    if not digits.isascii() or not digits.isdigit():
        return None
    count = int(digits[:20])
    return count if count <= _MOST_LINES else None


def _cursor(text: str) -> str:
    from scow.client._log_place import parse_cursor

    if text:
        parse_cursor(text)
    return text


def _logs(options: Options, context: Context) -> int:
    logs = context.client.containers.logs(
        options.args[0],
        follow=options.follow,
        tail=options.tail if "tail" in options.given else None,
        since=_timestamp(options.since),
        until=_timestamp(options.until),
        after=options.cursor or None,
        places=options.show_cursor,
    )
    details = _details(options.args[0], context) if options.details else b""
    writers = (
        _Writer(sys.stdout.buffer, options.timestamps, details),
        _Writer(sys.stderr.buffer, options.timestamps, details),
    )
    with logs:
        for batch in logs.batches():
            for records in batch:
                writers[not records.stderr].flush()
                writers[records.stderr].write(records)
            if options.follow:
                for writer in writers:
                    writer.flush()
        if options.show_cursor:
            for writer in writers:
                writer.flush()
            context.warn(f"-- cursor: {logs.cursor}")
    return 0


def _details(container: str, context: Context) -> bytes:
    from scow.words.shapes.container import log_details

    return log_details(context.client.containers.get(container)).encode()


def _timestamp(nanoseconds: int) -> Timestamp | None:
    if not nanoseconds:
        return None
    from google.protobuf.timestamp_pb2 import Timestamp

    moment = Timestamp()
    moment.FromNanoseconds(nanoseconds)
    return moment


class _Writer:
    """Writes records to one stream, the time and details before each line where they are wanted."""

    def __init__(self, stream: BinaryIO, timestamps: bool, details: bytes) -> None:
        self._stream = stream
        self._timestamps = timestamps
        self._details = details
        self._at_start = True
        self._written = False

    def write(self, records: LogRecords) -> None:
        """Write records."""
        plain = not (self._timestamps or self._details)
        self._stream.write(records.data if plain else self._stamped(records))
        self._written = True

    def flush(self) -> None:
        """Pass on what was written, so that the other stream's records come after it."""
        if self._written:
            self._stream.flush()
            self._written = False

    def _stamped(self, records: LogRecords) -> bytes:
        from scow.words.times import format_time

        data, pieces = records.data, []
        start = shown = 0
        stamp = self._details
        for size, moment in zip(records.sizes, records.times, strict=True):
            if self._at_start:
                if self._timestamps and moment != shown:
                    shown = moment
                    stamp = format_time(moment).encode() + b" " + self._details
                pieces.append(stamp)
            pieces.append(data[start : start + size])
            start += size
            # A long line comes in several records.
            self._at_start = data[start - 1 : start] == b"\n"
        return b"".join(pieces)


VERBS = (
    Verb(
        "logs",
        "[OPTIONS] CONTAINER",
        "Fetch the logs of a container",
        _logs,
        flags=(
            Flag(
                "cursor",
                kind="string",
                parse=_cursor,
                help="Show what comes after a place that --show-cursor told (scow's own)",
            ),
            Flag("details", help="Show extra details provided to logs"),
            Flag("follow", "f", help="Follow log output"),
            Flag(
                "show-cursor",
                help="Tell on standard error the place after the last line, for --cursor (scow's own)",
            ),
            Flag(
                "since",
                kind="int",
                shows="string",
                parse=_time,
                help='Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")',
            ),
            Flag(
                "tail",
                "n",
                "string",
                "Number of lines to show from the end of the logs, or all",
                parse=_tail,
            ),
            Flag("timestamps", "t", help="Show timestamps"),
            Flag(
                "until",
                kind="int",
                shows="string",
                parse=_time,
                help='Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")',
            ),
        ),
        least=1,
        most=1,
    ),
)
