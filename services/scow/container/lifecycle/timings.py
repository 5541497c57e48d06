"""How long the parts of creations and starts take: on the container's record, and as a metric."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from scow.api.container.v1.supervision_pb2 import Stage, Timings
from scow.api.shim.v1 import spawner_pb2 as shim_pb
from scow.core.times import now_ns
from scow.core.trace import current_traceparent, new_traceparent

T = TypeVar("T")
# Tells a metric: the name of a part and its seconds.
Observe = Callable[[str, float], None]


class Stopwatch:
    """Times one creation or start."""

    def __init__(self) -> None:
        trace = current_traceparent.get() or new_traceparent()
        self._timings = Timings(trace_id=trace.split("-")[1])
        self._timings.began_at.FromNanoseconds(now_ns())
        self._began = time.monotonic_ns()

    @contextlib.contextmanager
    def part(self, name: str, *, last: bool = False) -> Iterator[list[shim_pb.Stage]]:
        """Time the block. Parts of it that the shim has timed are put into the list, and taken off.

        Args:
            name: What remains.
            last: What remains comes after those parts.
        """
        began = time.monotonic_ns()
        inner: list[shim_pb.Stage] = []
        yield inner
        took = time.monotonic_ns() - began
        rest = Stage(name=name, duration=max(0, took - sum(each.duration for each in inner)))
        stages = [Stage(name=each.name, duration=each.duration) for each in inner]
        if last and stages and stages[-1].name == name:
            stages[-1].duration += rest.duration
        else:
            stages.insert(0, rest)
        self._timings.stages.extend(stages)

    async def timed(self, name: str, work: Coroutine[Any, Any, T]) -> T:
        """Time what goes on beside other things."""
        with self.part(name):
            return await work

    def stop(self, observe: Observe | None = None) -> Timings:
        """Return what was timed.

        Args:
            observe: Told of each part, and of "total".
        """
        self._timings.duration = time.monotonic_ns() - self._began
        if observe is not None:
            for stage in self._timings.stages:
                observe(stage.name, stage.duration / 1e9)
            observe("total", self._timings.duration / 1e9)
        return self._timings
