"""Points in time: integer nanoseconds since 1970 UTC in databases, Timestamp messages on the wire."""

from __future__ import annotations

import datetime
import re
import time

from google.protobuf.timestamp_pb2 import Timestamp

from scow.contract.errors import InvalidFilter

_NANO = 1_000_000_000
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": _NANO, "m": 60 * _NANO, "h": 3600 * _NANO}
_DURATION = re.compile(r"([0-9]{1,18}(?:\.[0-9]{0,18})?|\.[0-9]{1,18})(ns|us|ms|s|m|h)")
_STAMP = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,9}))?")


def now_ns() -> int:
    """Return the present time in nanoseconds since 1970 UTC."""
    return time.time_ns()


def to_proto(ns: int | None) -> Timestamp | None:
    """Return the message for a time; None (never) stays None, which an assignment leaves unset."""
    if ns is None:
        return None
    return Timestamp(seconds=ns // 1_000_000_000, nanos=ns % 1_000_000_000)


def now_proto() -> Timestamp:
    """Return the message for the present time."""
    now = now_ns()
    return Timestamp(seconds=now // _NANO, nanos=now % _NANO)


def from_proto(timestamp: Timestamp) -> int:
    """Return nanoseconds since 1970 UTC."""
    return timestamp.seconds * 1_000_000_000 + timestamp.nanos


def parse_moment(text: str, key: str) -> int:
    """Return the nanoseconds since 1970 UTC of a filter's value.

    Args:
        text: A date as RFC 3339 has it, also cut short (without an offset in local time); seconds since 1970; or how
            long ago, as Go writes durations ("1h30m").
        key: The filter.

    Raises:
        InvalidFilter: None of these.
    """
    if match := _STAMP.fullmatch(text):
        return int(match[1]) * _NANO + int((match[2] or "").ljust(9, "0"))
    pieces = list(_DURATION.finditer(text))
    if pieces and "".join(piece[0] for piece in pieces) == text:
        return now_ns() - int(sum(float(piece[1]) * _UNITS[piece[2]] for piece in pieces))
    try:
        # The basic format, without dashes, would take any long number for a date.
        moment = datetime.datetime.fromisoformat(text if text[4:5] == "-" else "")
        return int(moment.timestamp() * 1e6) * 1000
    except (ValueError, OverflowError):
        raise InvalidFilter(
            f"filter {key!r} has the value {text!r}",
            what="filter",
            which=key,
            do="use 2026-01-02T15:04:05Z, seconds since 1970, or a duration back from now like 10m",
        ) from None


def to_rfc3339(ns: int) -> str:
    """Return a time as RFC 3339 with nanoseconds."""
    seconds, rest = divmod(ns, _NANO)
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
