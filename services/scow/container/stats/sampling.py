"""Measurements of many containers, one after the other in a thread, as often as somebody looks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from scow.api.container.v1 import container_pb2, stats_pb2
from scow.api.container.v1 import stats_pb2 as pb
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.container.spec import namespaces
from scow.container.stats.cgroups import Cgroup, interfaces
from scow.contract.errors import InvalidArgument
from scow.contract.shim_files import State

_FIRST_SECONDS = 0.25
_SECONDS = 1.0
_LEAST_MS = 100
_MOST = 4096
_NANO = 1_000_000_000


@dataclass
class _Known:
    """What is known of a container that runs.

    Attributes:
        run: Which of its runs.
        taken: When its processor time was read last, on the monotonic clock, in nanoseconds.
        usage: What it was.
    """

    run: tuple[int, int]
    cgroup: Cgroup
    taken: int = 0
    usage: int = 0


@dataclass
class _Looked:
    """What one caller looks at."""

    shared: Shared
    request: pb.StatsRequest
    known: dict[str, _Known] = field(default_factory=dict)

    def entries(self) -> Sequence[Entry]:
        """Return the containers; of those that were named, those that are still there."""
        containers = self.shared.containers
        if self.named:
            return [entry for entry in self.named if not entry.gone]
        found = [entry for entry in containers.all() if entry.alive or self.request.all]
        return sorted(found, key=_age)

    def __post_init__(self) -> None:
        find = self.shared.containers.find
        self.named = list(
            {id(entry): entry for entry in map(find, self.request.containers)}.values()
        )

    def measure(self, described: Sequence[container_pb2.Container]) -> pb.StatsResponse:
        """Measure containers."""
        response = pb.StatsResponse()
        for container in described:
            stats = response.containers.add(id=container.id, name=container.name)
            if container.status in (container_pb2.STATUS_RUNNING, container_pb2.STATUS_PAUSED):
                self._measure(container, stats)
        for gone in self.known.keys() - {container.id for container in described}:
            del self.known[gone]
        return response

    def _measure(self, container: container_pb2.Container, stats: stats_pb2.ContainerStats) -> None:
        known = self._find(container)
        if known is None:
            return
        stats.running = True
        stats.time.GetCurrentTime()
        known.cgroup.measure(stats)
        now = time.monotonic_ns()
        if known.taken and now > known.taken:
            used = max(0, stats.cpu_usage - known.usage)
            stats.cpu_percent = 100 * used / (now - known.taken)
        known.taken, known.usage = now, stats.cpu_usage
        if namespaces.network(container.config).kind != "host":
            stats.interfaces.extend(interfaces(container.pid))

    def _find(self, container: container_pb2.Container) -> _Known | None:
        run = (container.pid, container.started_at.ToNanoseconds())
        known = self.known.get(container.id)
        if known is None or known.run != run:
            state = State.read(self.shared.paths.state(container.id))
            if state is None:  # it has just ended
                return None
            known = self.known[container.id] = _Known(run, Cgroup(state.cgroups))
        return known


async def sample(
    shared: Shared, request: pb.StatsRequest
) -> AsyncGenerator[pb.StatsResponse, None]:
    """Give measurements until the caller leaves, or one.

    Raises:
        ContainerNotFound: One that is named is not there.
        InvalidArgument: Too many names, or too short an interval.
    """
    if len(request.containers) > _MOST or 0 < request.interval_ms < _LEAST_MS:
        raise InvalidArgument(
            "too many containers, or too short an interval",
            what="stats",
            do=f"name at most {_MOST}, and measure every {_LEAST_MS} ms at most",
        )
    looked = _Looked(shared, request)
    # Described messages are replaced, never changed: a thread may read them.
    await asyncio.to_thread(looked.measure, [entry.described for entry in looked.entries()])
    await asyncio.sleep(_FIRST_SECONDS)
    while True:
        described = [entry.described for entry in looked.entries()]
        began = time.monotonic()
        yield await asyncio.to_thread(looked.measure, described)
        if request.once:
            return
        seconds = request.interval_ms / 1000 or _SECONDS
        await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))


def _age(entry: Entry) -> int:
    return -entry.described.created_at.ToNanoseconds()
