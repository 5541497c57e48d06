"""The transitions of a container's life.

This is the only place that records RUNNING, PAUSED and EXITED, and the only one that decides what an exit leads to.
Whoever finds that something happened (a start, an exit that was followed, recovery after a crash) tells it here, so
that the record is the same whoever was the first to know.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import Message

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import (
    EndRequest,
    ExitReport,
    Health,
    RestartState,
    Timings,
)
from scow.container.health import state
from scow.container.health.checks import checks_of
from scow.container.model import restart_policy
from scow.container.model.containers import Containers, Entry, stamp
from scow.container.model.states import KILLED
from scow.contract.errors import DependencyNotReady, ScowError, Unavailable
from scow.contract.shim_files import Exit
from scow.core.actor import current_actor
from scow.core.config import ContainerSection
from scow.core.requests import current_request_id, remember
from scow.core.times import now_ns, to_proto

# Makes the response that a repeated request gets.
Respond = Callable[[pb.Container], Message]

# Exit codes of containers whose process could not be executed, as shells and Docker have them.
_EXIT_CODES = {"COMMAND_NOT_FOUND": 127, "COMMAND_NOT_EXECUTABLE": 126}
_NOT_STARTED = 128
_KILL = 9
# Of restarts: another service, or a container that it depends on, is not there yet.
_NO_FAULT = (Unavailable, DependencyNotReady)


class Next(enum.Enum):
    """What an exit leads to."""

    NOTHING = enum.auto()
    REMOVE = enum.auto()
    RESTART = enum.auto()


@dataclass(frozen=True, slots=True)
class Execution:
    """A process that was executed.

    Attributes:
        pid: Of the container's init.
        netns_path: Of its network namespace.
        started_ns: When it was executed.
        network: A container with the fields that say how the network is plugged in, and no others.
        warnings: What was asked for and could not be given.
        timings: How long the start took; None when nobody has seen all of it.
    """

    pid: int
    netns_path: str
    started_ns: int
    network: pb.Container
    warnings: tuple[str, ...] = ()
    timings: Timings | None = None


class Transitions:
    """Records transitions."""

    def __init__(
        self,
        containers: Containers,
        section: ContainerSection | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._containers = containers
        self._section = section or ContainerSection()
        self._chance = chance

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
            for field in ("exit_code", "oom_killed", "error", "end_request", "exit_report"):
                draft.ClearField(field)
            if draft.status == pb.STATUS_RESTARTING:
                draft.restart.ClearField("due_at")
            else:
                draft.ClearField("restart")
                draft.restart_count = 0
            _clear(draft)
            draft.MergeFrom(execution.network)
            draft.warnings[:] = execution.warnings
            draft.pid, draft.netns_path = execution.pid, execution.netns_path
            stamp(draft, "started_at", execution.started_ns)
            draft.ClearField("start_timings")
            if execution.timings is not None:
                draft.start_timings.CopyFrom(execution.timings)
            draft.health.CopyFrom(state.begun(checks_of(draft)))
            draft.status = pb.STATUS_PAUSED if paused else pb.STATUS_RUNNING
            if respond is not None:
                remember(tx, respond(draft))

    def not_started(self, entry: Entry, error: ScowError) -> None:
        """Record why a container's process could not be executed."""
        if entry.awaits_restart and isinstance(error, _NO_FAULT) and _is_supervised(entry):
            self._postponed(entry, error)
            return
        code = _EXIT_CODES.get(error.reason, _NOT_STARTED)
        with self._containers.change(entry, ["die"], exitCode=str(code)) as (_, draft):
            _clear(draft)
            draft.exit_code = code
            draft.error = error.message
            if draft.status == pb.STATUS_RESTARTING:
                draft.status = pb.STATUS_EXITED
                if restart_policy.restarts(draft, code):
                    self._again(draft, now_ns())

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

    def health(self, entry: Entry, health: Health) -> None:
        """Record that a check of a container has another status."""
        actions = []
        if health.status != entry.described.health.status:
            actions = [f"health_status: {health.status}"]
        with self._containers.change(entry, actions) as (_, draft):
            draft.health.CopyFrom(health)

    def exited(self, entry: Entry, ending: Exit) -> None:
        """Record an exit, and that all exec sessions ended with it."""
        actions = ["oom", "die"] if ending.oom_killed else ["die"]
        with self._containers.change(entry, actions, exitCode=str(ending.code)) as (tx, draft):
            _clear(draft)
            draft.status = pb.STATUS_EXITED
            if draft.health.status:
                draft.health.CopyFrom(entry.health)
                draft.health.status = state.UNHEALTHY  # as with Docker, whatever it was
            draft.exit_code = ending.code
            draft.oom_killed = ending.oom_killed
            draft.error = ending.error
            draft.exit_report.CopyFrom(_report(draft, ending))
            stamp(draft, "finished_at", ending.time_ns)
            if _restart_asked(draft):
                _due(draft, ending.time_ns)
            elif not entry.restarting and restart_policy.restarts(draft, ending.code):
                ran_ns = ending.time_ns - draft.started_at.ToNanoseconds()
                self._again(draft, ending.time_ns, ran_ns)
            self._containers.store.end_execs(tx, entry.id, KILLED, ending.time_ns)
            entry.exits += 1

    def ended_with_machine(self, entry: Entry, ending: Exit) -> None:
        """Record the end of a container that the machine took with it; one that starts with the machine does so now."""
        with self._containers.change(entry, ["die"], exitCode=str(ending.code)) as (tx, draft):
            _clear(draft)
            draft.status = pb.STATUS_EXITED
            draft.exit_code, draft.error = ending.code, ending.error
            stamp(draft, "finished_at", ending.time_ns)
            if restart_policy.starts_at_boot(draft):
                _due(draft, ending.time_ns)
            self._containers.store.end_execs(tx, entry.id, KILLED, ending.time_ns)
            entry.exits += 1

    def boot(self, entry: Entry) -> None:
        """Have a container that had ended before the machine was started start with it, if its policy says so."""
        if entry.described.status != pb.STATUS_EXITED:
            return
        if restart_policy.starts_at_boot(entry.described):
            with self._containers.change(entry) as (_, draft):
                _due(draft, now_ns())

    def end_asked(self, entry: Entry, action: str, signal: int, *, stops: bool) -> None:
        """Record that a user asks for the end of a container, before it is sent a signal, and tell of the signal.

        Whatever is killed from here on, its restart policy will know.

        Args:
            entry: Which one.
            action: "stop", "kill", "restart" or "remove".
            signal: Number of the signal.
            stops: It is not to be started again.
        """
        with self._containers.change(entry, ["kill"], signal=str(signal)) as (_, draft):
            draft.end_request.CopyFrom(_end_request(action, signal))
            draft.restart.stopped = stops or draft.restart.stopped

    def given_up(self, entry: Entry, action: str, signal: int) -> None:
        """Record that a container which was to be restarted is not, since a user asked for its end."""
        if not entry.awaits_restart:
            return
        with self._containers.change(entry) as (_, draft):
            draft.status = pb.STATUS_EXITED
            draft.end_request.CopyFrom(_end_request(action, signal))
            draft.restart.ClearField("due_at")
            draft.restart.stopped = True

    def _postponed(self, entry: Entry, error: ScowError) -> None:
        """Record that a restart is tried again later: what was missing is no fault of the container."""
        with self._containers.change(entry) as (_, draft):
            _clear(draft)
            draft.error = error.message
            count = draft.restart_count
            self._again(draft, now_ns())
            draft.restart_count = count

    def _again(self, draft: pb.Container, ended_ns: int, ran_ns: int = 0) -> None:
        """Have a container that has ended restarted after a pause.

        Args:
            draft: It.
            ended_ns: When it ended.
            ran_ns: How long it ran.
        """
        pauses = restart_policy.backoff(draft.config.restart_policy, self._section)
        pause = pauses.next_ns(draft.restart.delay, ran_ns)
        draft.restart.delay = pause
        draft.restart_count += 1
        draft.status = pb.STATUS_RESTARTING
        due = ended_ns + restart_policy.jittered(pause, pauses.jitter, self._chance)
        draft.restart.due_at.FromNanoseconds(due)


def after_exit(entry: Entry) -> Next:
    """Decide what the exit of a container, or a start that failed, leads to."""
    if entry.described.config.auto_remove and not entry.restarting and not entry.alive:
        return Next.REMOVE
    if entry.awaits_restart and not entry.restarting:
        return Next.RESTART
    return Next.NOTHING


def _restart_asked(draft: pb.Container) -> bool:
    """Tell whether who asked for the end asked for a start after it: that follows also when this service is killed."""
    action = draft.end_request.action
    return action == "restart" or (action == "health" and draft.health_check.action == "restart")


def _is_supervised(entry: Entry) -> bool:
    return entry.described.config.restart_policy.name not in ("", "no")


def _due(draft: pb.Container, now: int) -> None:
    """Have a container start now, as if its user had started it."""
    draft.status = pb.STATUS_RESTARTING
    draft.restart_count = 0
    draft.restart.CopyFrom(RestartState(due_at=to_proto(now)))


def _report(draft: pb.Container, ending: Exit) -> ExitReport:
    report = ExitReport(
        signal=ending.signal,
        oom_kills=ending.oom_kills,
        peak_memory=ending.peak_memory,
        cpu=ending.cpu_ns,
        forks_refused=ending.forks_refused,
        duration=max(0, ending.time_ns - draft.started_at.ToNanoseconds()),
    )
    if ending.oom_killed:
        report.oom_level = "container" if ending.limit_hit else "host"
        report.oom_victim = "init" if ending.signal == _KILL else "other"
    return report


def _end_request(action: str, signal: int) -> EndRequest:
    return EndRequest(
        action=action,
        actor=current_actor.get(),
        request_id=current_request_id(),
        signal=signal,
        time=to_proto(now_ns()),
    )


def _clear(draft: pb.Container) -> None:
    """Clear what is on record only while a container runs."""
    for field in (
        *("pid", "netns_path", "endpoints", "ports"),
        *("resolv_conf_path", "hosts_path", "hostname_path"),
    ):
        draft.ClearField(field)
