"""What the parts of a build say about their progress: steps that begin and end, their output, warnings."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from scow.api.build.v1 import build_pb2 as pb
from scow.build.history.events import EventLog
from scow.contract.errors import Cancelled, ScowError
from scow.core.times import now_proto

# Bytes of a step's output that are kept; what follows is cut off.
LOG_MAX = 2 << 20
_CUT = b"\n[output clipped, log limit 2MiB reached]\n"


class Progress:
    """The progress of a build.

    Args:
        log: Where events go.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.steps: list[Step] = []

    def step(
        self,
        name: str,
        inputs: Sequence[Step] = (),
        *,
        stage: str = "",
        lines: tuple[int, int] = (0, 0),
    ) -> Step:
        """Make a step known, before it begins.

        Args:
            name: "[build 2/5] RUN make".
            inputs: The steps that it needs.
            stage: Name of its stage.
            lines: First and last line in the Dockerfile.
        """
        vertex = pb.Vertex(
            id=str(len(self.steps) + 1),
            name=name,
            inputs=[step.vertex.id for step in inputs],
            stage=stage,
            line=lines[0],
            last_line=lines[1],
        )
        step = Step(self._log, vertex)
        self.steps.append(step)
        return step

    def warn(self, warning: pb.Warning) -> None:
        """Tell a warning."""
        self._log.append(pb.BuildEvent(warning=warning))


class Step:
    """One step; made by `Progress.step`."""

    def __init__(self, log: EventLog, vertex: pb.Vertex) -> None:
        self._log = log
        self.vertex = vertex
        self._logged = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[Step]:
        """Begin the step, and end it with the block."""
        self.begin()
        try:
            yield self
        except asyncio.CancelledError:
            self.end(canceled=True)
            raise
        except Cancelled as error:
            self.end(error=str(error), canceled=True)
            raise
        except ScowError as error:
            self.end(error=str(error))
            raise
        except Exception as error:
            self.end(error=f"{type(error).__name__}: {error}")
            raise
        self.end()

    def begin(self) -> None:
        """Tell that it begins now."""
        if not self.vertex.HasField("started_at"):
            self.vertex.started_at.CopyFrom(now_proto())
            self._tell()

    def end(self, *, error: str = "", canceled: bool = False) -> None:
        """Tell that it has ended."""
        if self.vertex.HasField("completed_at"):
            return
        self.begin()
        self.vertex.error = error
        self.vertex.canceled = canceled
        self.vertex.completed_at.CopyFrom(now_proto())
        self._tell()

    def _tell(self) -> None:
        self._log.append(pb.BuildEvent(vertex=self.vertex))

    def cached(self) -> None:
        """Tell that its result is taken from the cache."""
        self.vertex.cached = True

    def log(self, data: bytes, stream: int = 1) -> None:
        """Tell output; what is too much is cut off."""
        if self._logged > LOG_MAX:
            return
        self._logged += len(data)
        if self._logged > LOG_MAX:
            data = data[: len(data) - (self._logged - LOG_MAX)] + _CUT
        log = pb.VertexLog(vertex=self.vertex.id, stream=stream, data=data)
        self._log.append(pb.BuildEvent(log=log))

    def status(self, name: str, current: int, total: int = 0, *, completed: bool = False) -> None:
        """Tell how far a part of it is."""
        status = pb.VertexStatus(
            vertex=self.vertex.id, id=name, current=current, total=total, completed=completed
        )
        self._log.append(pb.BuildEvent(status=status))
