"""`logs`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from google.protobuf.timestamp_pb2 import Timestamp

    from scow.cli.context import Context


def _time(text: str) -> int:
    from scow.words.times import parse_time

    return parse_time(text)


def _tail(text: str) -> int | None:
    """Return the number of lines, or None for all."""
    if text == "all":
        return None
    try:
        count = int(text)
    except ValueError:
        raise ValueError(f'invalid value "{text}": use a number or all') from None
    return None if count < 0 else count


def _logs(options: Options, context: Context) -> int:
    logs = context.client.containers.logs(
        options.args[0],
        follow=options.follow,
        tail=options.tail if "tail" in options.given else None,
        since=_timestamp(options.since),
        until=_timestamp(options.until),
    )
    writers = {
        "stdout": _Writer(sys.stdout.buffer, options.timestamps),
        "stderr": _Writer(sys.stderr.buffer, options.timestamps),
    }
    with logs:
        for record in logs:
            kind = record.WhichOneof("record")
            if kind is not None:
                writers[kind].write(getattr(record, kind), record.time, flush=options.follow)
    return 0


def _timestamp(nanoseconds: int) -> Timestamp | None:
    if not nanoseconds:
        return None
    from google.protobuf.timestamp_pb2 import Timestamp

    moment = Timestamp()
    moment.FromNanoseconds(nanoseconds)
    return moment


class _Writer:
    """Writes records to one stream, the time before each line where that is wanted."""

    def __init__(self, stream: BinaryIO, timestamps: bool) -> None:
        self._stream = stream
        self._timestamps = timestamps
        self._at_start = True

    def write(self, data: bytes, moment: Timestamp, *, flush: bool) -> None:
        """Write a record."""
        if self._timestamps and self._at_start:
            from scow.words.times import format_time

            self._stream.write(format_time(moment.ToNanoseconds()).encode() + b" ")
        self._stream.write(data)
        # A long line comes in several records.
        self._at_start = data.endswith(b"\n")
        if flush:
            self._stream.flush()


VERBS = (
    Verb(
        "logs",
        "[OPTIONS] CONTAINER",
        "Fetch the logs of a container",
        _logs,
        flags=(
            Flag("follow", "f", help="Follow log output"),
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
