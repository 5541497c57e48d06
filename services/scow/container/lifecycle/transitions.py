"""The transitions of a container's life.

This is the only place that records RUNNING, PAUSED and EXITED, and the only one that decides what an exit leads to.
Whoever finds that something happened (a start, an exit that was followed, recovery after a crash) tells it here, so
that the record is the same whoever was the first to know.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from scow.api.container.v1 import container_pb2 as pb
from scow.container.model.containers import Containers, Entry, stamp
from scow.container.model.states import KILLED
from scow.contract.errors import ScowError
from scow.contract.shim_files import Exit
from scow.core.requests import remember

# Makes the response that a repeated request gets.
Respond = Callable[[pb.Container], Message]

# Exit codes of containers whose process could not be executed, as shells and Docker have them.
_EXIT_CODES = {"COMMAND_NOT_FOUND": 127, "COMMAND_NOT_EXECUTABLE": 126}
_NOT_STARTED = 128


class Next(enum.Enum):
    """What an exit leads to."""

    NOTHING = enum.auto()
    REMOVE = enum.auto()


@dataclass(frozen=True, slots=True)
class Execution:
    """A process that was executed.

    Attributes:
        pid: Of the container's init.
        netns_path: Of its network namespace.
        started_ns: When it was executed.
        network: A container with the fields that say how the network is plugged in, and no others.
        warnings: What was asked for and could not be given.
    """

    pid: int
    netns_path: str
    started_ns: int
    network: pb.Container
    warnings: tuple[str, ...] = ()


class Transitions:
    """Records transitions."""

    def __init__(self, containers: Containers) -> None:
        self._containers = containers

    def started(
        self,
        entry: Entry,
        execution: Execution,
        *,
        paused: bool = False,
        respond: Respond | None = None,
    ) -> None:
        """Record that a container's process was executed.

        Args:
            entry: Which one.
            execution: The process.
            paused: It was frozen since.
            respond: Makes the response that a repeated request gets.
        """
        with self._containers.change(entry, ["start"]) as (tx, draft):
            for field in ("exit_code", "oom_killed", "error"):
                draft.ClearField(field)
            _clear(draft)
            draft.MergeFrom(execution.network)
            draft.warnings[:] = execution.warnings
            draft.pid, draft.netns_path = execution.pid, execution.netns_path
            stamp(draft, "started_at", execution.started_ns)
            draft.status = pb.STATUS_PAUSED if paused else pb.STATUS_RUNNING
            if respond is not None:
                remember(tx, respond(draft))

    def not_started(self, entry: Entry, error: ScowError) -> None:
        """Record why a container's process could not be executed."""
        code = _EXIT_CODES.get(error.reason, _NOT_STARTED)
        with self._containers.change(entry, ["die"], exitCode=str(code)) as (_, draft):
            _clear(draft)
            draft.exit_code = code
            draft.error = error.message

    def paused(self, entry: Entry) -> None:
        """Record that a running container was frozen; one that ended meanwhile is left alone."""
        self._freeze(entry, pb.STATUS_PAUSED, "pause")

    def unpaused(self, entry: Entry) -> None:
        """Record that a paused container was thawed; one that ended meanwhile is left alone."""
        self._freeze(entry, pb.STATUS_RUNNING, "unpause")

    def _freeze(self, entry: Entry, status: pb.Status.ValueType, action: str) -> None:
        if not entry.alive or entry.described.status == status:
            return  # it ended meanwhile, or someone else was faster
        with self._containers.change(entry, [action]) as (_, draft):
            draft.status = status

    def exited(self, entry: Entry, ending: Exit) -> None:
        """Record an exit, and that all exec sessions ended with it."""
        actions = ["oom", "die"] if ending.oom_killed else ["die"]
        with self._containers.change(entry, actions, exitCode=str(ending.code)) as (tx, draft):
            _clear(draft)
            draft.status = pb.STATUS_EXITED
            draft.exit_code = ending.code
            draft.oom_killed = ending.oom_killed
            draft.error = ending.error
            stamp(draft, "finished_at", ending.time_ns)
            self._containers.store.end_execs(tx, entry.id, KILLED, ending.time_ns)
            entry.exits += 1


def after_exit(entry: Entry) -> Next:
    """Decide what the exit of a container, or a start that failed, leads to."""
    if entry.described.config.auto_remove and not entry.restarting and not entry.alive:
        return Next.REMOVE
    return Next.NOTHING


def _clear(draft: pb.Container) -> None:
    """Clear what is on record only while a container runs."""
    for field in (
        *("pid", "netns_path", "endpoints", "ports"),
        *("resolv_conf_path", "hosts_path", "hostname_path"),
    ):
        draft.ClearField(field)
