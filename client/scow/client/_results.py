"""What the conveniences return."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scow.api.types.v1.types_pb2 import Compacted, Event


class ExecResult(NamedTuple):
    """The outcome of a process in a container.

    Attributes:
        exit_code: Its exit code; 128+n when signal n ended it.
        stdout: What it wrote, all of it when there is a terminal.
        stderr: What it wrote to standard error.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes


class RunResult(NamedTuple):
    """The outcome of a container.

    Attributes:
        id: The container's id; it may be removed already.
        exit_code: As of ExecResult.
        stdout: What it wrote, all of it when there is a terminal.
        stderr: What it wrote to standard error.
        warnings: What was asked for and could not be given.
    """

    id: str
    exit_code: int
    stdout: bytes
    stderr: bytes
    warnings: tuple[str, ...] = ()


class EngineEvent(NamedTuple):
    """What the stream of all services' events gives: an event, or that some are missing.

    Attributes:
        service: Whose it is: "container".
        event: The event.
        compacted: Instead of one: those before this revision are no longer known.
    """

    service: str
    event: Event | None
    compacted: Compacted | None


class PruneResult(NamedTuple):
    """What a prune of containers removed.

    Attributes:
        removed: Ids.
        space_reclaimed: Bytes that their writable layers had.
    """

    removed: list[str]
    space_reclaimed: int
