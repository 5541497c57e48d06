"""What pulls, pushes and loads tell while they go on: where each layer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from scow.api.image.v1 import archive_pb2 as archive_pb
from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import registry_pb2 as registry_pb

Phase = pb.LayerProgress
# Between two reports of a layer's progress.
REPORT_SECONDS = 0.1
Response = TypeVar("Response", pb.PullResponse, registry_pb.PushResponse, archive_pb.LoadResponse)


@dataclass
class Progress:
    """What a pull, push or load tells those who wait for it."""

    resolved: str = ""
    layers: dict[str, pb.LayerProgress] = field(default_factory=dict)

    def set(self, digest: str, phase: Phase.Phase.ValueType, current: int, total: int) -> None:
        """Note where a layer is."""
        self.layers[digest] = pb.LayerProgress(
            digest=digest, phase=phase, current=current, total=total
        )


async def telling(
    work: asyncio.Task[Any], now: Progress, kind: type[Response]
) -> AsyncIterator[Response]:
    """Yield what changes until work is done; its result, or its error, is the caller's to get."""
    told, done = Progress(), False
    while not done:
        await asyncio.wait([work], timeout=REPORT_SECONDS)
        done = work.done()
        for message in _news(told, now, kind):
            yield message


def _news(told: Progress, now: Progress, kind: type[Response]) -> list[Response]:
    """Return what has changed since it was told last, and note that it is told."""
    found = []
    if now.resolved != told.resolved and kind is not archive_pb.LoadResponse:
        told.resolved = now.resolved
        found.append(kind(resolved=now.resolved))
    for digest, layer in now.layers.items():
        if told.layers.get(digest) != layer:
            told.layers[digest] = layer
            found.append(kind(layer=layer))
    return found
