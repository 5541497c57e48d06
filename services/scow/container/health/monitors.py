"""Monitors: one for each running container that is checked. A monitor makes its checks, each in its own rounds.

What a monitor needs is on record, so that a service which was killed goes on with the containers that it finds. The
status is recorded when it changes; results in between are in memory alone, for they cost a write each.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Mapping

import structlog

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import Health, HealthResult
from scow.container.health import command, state
from scow.container.health.checks import Check, Times, checks_of, times_of
from scow.container.health.prober import Prober
from scow.container.model.containers import Entry
from scow.container.runtime.shim import Shim
from scow.container.shared import Shared
from scow.contract.errors import ScowError
from scow.contract.shim_files import State
from scow.core.times import now_ns

# Commands at once, over all containers: each is a process.
_COMMANDS = 8
# The first round after this service was started: soon, and not of all containers at once.
_ADOPTED_SECONDS = 2.0
_log = structlog.get_logger()

Act = Callable[[Entry], Awaitable[None]]


class Monitors:
    """Keeps the monitors.

    Args:
        shared: What all parts share.
        actions: What is done with a container that is unhealthy, by the names of `HealthCheck.action`.
    """

    def __init__(self, shared: Shared, actions: Mapping[str, Act]) -> None:
        self._shared = shared
        self._actions = actions
        self._prober = Prober(shared.spawner)
        self._commands = asyncio.Semaphore(_COMMANDS)

    async def watch(self, entry: Entry, shim: Shim) -> None:
        """Check a container until this is cancelled, which its end does."""
        checks = checks_of(entry.described)
        if not checks:
            return
        monitor = _Monitor(self._shared, entry, shim, times_of(entry.described.health_check))
        probes = any(check.probe is not None for check in checks)
        with self._prober.used() if probes else contextlib.nullcontext():
            async with asyncio.TaskGroup() as tasks:
                for check in checks:
                    tasks.create_task(self._follow(monitor, check))

    async def _follow(self, monitor: _Monitor, check: Check) -> None:
        await asyncio.sleep(monitor.first_pause(check))
        while True:
            if monitor.is_due(check):
                await self._round(monitor, check)
            await asyncio.sleep(monitor.pause(check))

    async def _round(self, monitor: _Monitor, check: Check) -> None:
        start = now_ns()
        if check.probe is None:
            async with self._commands:
                code, output = await monitor.execute(check)
        else:
            try:
                code, output = await monitor.probe(self._prober, check)
            except (ScowError, TimeoutError) as error:  # the engine's own fault says nothing
                _log.warning("not probed", container=monitor.entry.id, error=str(error))
                return
        result = HealthResult(exit_code=code, output=output, check=check.name)
        result.start.FromNanoseconds(start)
        result.end.FromNanoseconds(now_ns())
        if monitor.take(check, result):
            self._shared.background.start(self._act(monitor.entry))

    async def _act(self, entry: Entry) -> None:
        act = self._actions.get(entry.described.health_check.action)
        if act is None or entry.acting:
            return
        entry.acting = True
        try:
            await act(entry)
        except ScowError as error:
            _log.warning("unhealthy, and nothing done", container=entry.id, error=str(error))
        finally:
            entry.acting = False


class _Monitor:
    """The checks of one container while it runs."""

    def __init__(self, shared: Shared, entry: Entry, shim: Shim, times: Times) -> None:
        self._shared = shared
        self.entry = entry
        self._shim = shim
        self._times = times
        described = entry.described
        self._started_ns = described.started_at.ToNanoseconds()
        entry.health = Health()
        entry.health.CopyFrom(described.health)
        record = State.read(shared.paths.state(entry.id))
        self._process = (record.pid, record.pid_start_ticks) if record is not None else (0, 0)

    def first_pause(self, check: Check) -> float:
        """Return the seconds to the first round."""
        pause = self.pause(check)
        if now_ns() - self._started_ns > 2 * 10**9 * pause:  # it ran before this service did
            return min(pause, random.uniform(0, _ADOPTED_SECONDS))
        return pause

    def pause(self, check: Check) -> float:
        """Return the seconds to the next round."""
        times = self._times
        young = now_ns() - self._started_ns < times.start_period
        starting = young and state.is_starting(self.entry.health, check)
        return (min(times.start_interval, times.interval) if starting else times.interval) / 1e9

    def is_due(self, check: Check) -> bool:
        """Tell whether a round is made: not while it is paused, as with Docker."""
        running = self.entry.described.status == pb.STATUS_RUNNING
        return running and state.is_due(self.entry.health, check)

    async def execute(self, check: Check) -> tuple[int, str]:
        """Execute a command; return its exit code and output."""
        return await command.run(self.entry.described, self._shim, check, self._times.timeout)

    async def probe(self, prober: Prober, check: Check) -> tuple[int, str]:
        """Make a probe; return 0 or 1, and what was answered."""
        assert check.probe is not None
        answer = await prober.probe(*self._process, check.probe, self._times.timeout)
        if answer.timed_out:
            return command.NONE, answer.output
        return int(not answer.healthy), answer.output

    def take(self, check: Check, result: HealthResult) -> bool:
        """Take a result; return whether something is to be done about it."""
        entry = self.entry
        if not entry.alive:
            return False
        after = state.after(entry.health, check, result, self._times, self._started_ns)
        entry.health = after
        recorded = entry.described.health.checks
        if [c.status for c in after.checks] != [c.status for c in recorded]:
            try:
                self._shared.transitions.health(entry, after)
            except ScowError as error:  # the disk is full: a later round records it
                _log.warning("health not recorded yet", container=entry.id, error=str(error))
        return result.exit_code != 0 and state.demands_action(after)
