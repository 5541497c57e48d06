"""How long the parts of a container's creation and start took, as lines."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.api.container.v1 import container_pb2 as pb
    from scow.api.container.v1.supervision_pb2 import Timings

_WIDTH = 30


def timing_lines(container: pb.Container) -> Iterator[str]:
    """Yield the lines of a container: for each part its milliseconds, and a bar."""
    for title, found in (
        ("created", container.create_timings),
        ("started", container.start_timings),
    ):
        if found.trace_id:
            yield f"{container.name} {title} in {_ms(found.duration)} ms, trace {found.trace_id}"
            yield from _stages(found)


def _stages(found: Timings) -> Iterator[str]:
    longest = max((each.duration for each in found.stages), default=0) or 1
    for each in found.stages:
        bar = "#" * round(_WIDTH * each.duration / longest)
        yield f"  {each.name:<12} {_ms(each.duration):>9} ms  {bar}".rstrip()


def _ms(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:.2f}"
