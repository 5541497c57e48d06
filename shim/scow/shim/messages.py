"""Records of the shim as messages."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from scow.api.shim.v1 import shim_pb2 as pb
from scow.contract.shim_files import Exit

_NANO = 1_000_000_000


def exit_message(record: Exit) -> pb.Exit:
    """Return how something ended."""
    return pb.Exit(
        code=record.code,
        signal=record.signal,
        time=Timestamp(seconds=record.time_ns // _NANO, nanos=record.time_ns % _NANO),
        oom_killed=record.oom_killed,
        error=record.error,
        oom_kills=record.oom_kills,
        limit_hit=record.limit_hit,
        peak_memory=record.peak_memory,
        cpu=record.cpu_ns,
        forks_refused=record.forks_refused,
    )
