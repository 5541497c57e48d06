"""What pulls, pushes and loads tell while they go on: where each layer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from scow.api.image.v1 import archive_pb2 as archive_pb
from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import registry_pb2 as registry_pb

Phase = pb.LayerProgress
# Two reports are at least so far apart.
REPORT_SECONDS = 0.1
Response = TypeVar("Response", pb.PullResponse, registry_pb.PushResponse, archive_pb.LoadResponse)


class Progress:
    """What a pull, push or load tells those who wait for it.

    Attributes:
        resolved: The digest that the reference stands for, once that is known.
        layers: Where each layer is, by digest.
    """

    def __init__(self) -> None:
        self.resolved = ""
        self.layers: dict[str, pb.LayerProgress] = {}
        self._changes = 0
        self._changed = asyncio.Event()

    def resolve(self, digest: str) -> None:
        """Note what the reference stands for."""
        self.resolved = digest
        self._tell()

    def set(self, digest: str, phase: Phase.Phase.ValueType, current: int, total: int) -> None:
        """Note where a layer is."""
        self.layers[digest] = pb.LayerProgress(
            digest=digest, phase=phase, current=current, total=total
        )
        self._tell()

    def merge(self, other: Progress) -> None:
        """Note where the layers of other work are."""
        self.layers.update(other.layers)
        self._tell()

    def _tell(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def reports(self, work: asyncio.Task[Any]) -> AsyncIterator[None]:
        """Yield when something has changed, not too often, and once more when the work is done."""
        seen = -1
        while not work.done():
            if self._changes == seen:
                change = asyncio.ensure_future(self._changed.wait())
                try:
                    await asyncio.wait([work, change], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    change.cancel()
                continue
            seen = self._changes
            yield
            await asyncio.wait([work], timeout=REPORT_SECONDS)
        yield


async def telling(
    work: asyncio.Task[Any], now: Progress, kind: type[Response]
) -> AsyncIterator[Response]:
    """Yield what changes until work is done; its result, or its error, is the caller's to get."""
    told = Progress()
    async for _ in now.reports(work):
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
