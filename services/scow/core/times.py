"""Points in time: integer nanoseconds since 1970 UTC in databases, Timestamp messages on the wire."""

from __future__ import annotations

import time

from google.protobuf.timestamp_pb2 import Timestamp


def now_ns() -> int:
    """Return the present time in nanoseconds since 1970 UTC."""
    return time.time_ns()


def to_proto(ns: int | None) -> Timestamp | None:
    """Return the message for a time; None (never) stays None, which an assignment leaves unset."""
    if ns is None:
        return None
    return Timestamp(seconds=ns // 1_000_000_000, nanos=ns % 1_000_000_000)


def from_proto(timestamp: Timestamp) -> int:
    """Return nanoseconds since 1970 UTC."""
    return timestamp.seconds * 1_000_000_000 + timestamp.nanos
