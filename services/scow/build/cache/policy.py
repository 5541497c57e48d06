"""What of the cache goes by itself: down to a size, and where the disk is fuller than the high watermark.

What was used longest ago goes first; what was used a short while ago stays, and so does a result whose layer an image
has: it would free nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from scow.api.build.v1 import build_pb2 as pb
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.build.cache.prune import Item, Pruner
from scow.build.peers.layers import Layers
from scow.contract.errors import InvalidConfig
from scow.core.config import BuildSection
from scow.core.times import now_ns

_NANO = 1_000_000_000


class CachePolicy:
    """The policy.

    Args:
        base: The service's folder, whose file system counts.
        settings: The service's section of the configuration.
        pruner: Who deletes.
        layers: Who has the layers, and collects those that nothing holds.

    Raises:
        InvalidConfig: The low mark is not below the high one.
    """

    def __init__(self, base: Path, settings: BuildSection, pruner: Pruner, layers: Layers) -> None:
        high, low = settings.gc_high_percent, settings.gc_low_percent
        if high and not 0 <= low < high <= 100:
            raise InvalidConfig(
                f"build.gc_low_percent is {low:g} and build.gc_high_percent {high:g}",
                what="configuration key",
                which="build.gc_low_percent",
                do="use 0 <= low < high <= 100, or a high mark of 0 for no policy",
            )
        self._base = base
        self._settings = settings
        self._pruner = pruner
        self._layers = layers

    def _excess(self, percent: float) -> int:
        """Return how many bytes of the file system are used beyond so many percent, as df(1) counts."""
        about = os.statvfs(self._base)
        used = about.f_blocks - about.f_bfree
        return int((used - (used + about.f_bavail) * percent / 100) * about.f_frsize)

    async def collect(self) -> list[ReconcileAction]:
        """Delete what is too much; return what was done."""
        removed = await self._down_to_size()
        high, low = self._settings.gc_high_percent, self._settings.gc_low_percent
        if high and self._excess(high) >= 0:
            candidates = await self._candidates()
            while candidates and (excess := self._excess(low)) > 0:
                chosen = []
                while candidates and excess > 0:
                    chosen.append(candidates.pop(0))
                    # A result takes up to twice its size: as a blob, and unpacked.
                    excess -= 2 * chosen[-1].message.size
                removed += await self._remove(chosen)
        return [
            ReconcileAction(object=f"cache/{each.id[:12]}", action="released", detail="the policy")
            for each in removed
        ]

    async def _down_to_size(self) -> list[pb.CacheRecord]:
        most = self._settings.gc_max_bytes
        if not most:
            return []
        items = await self._pruner.items()
        total = sum(item.message.size for item in items if not item.message.shared)
        chosen = []
        for item in await self._candidates():
            if total <= most:
                break
            total -= item.message.size
            chosen.append(item)
        return await self._remove(chosen)

    async def _candidates(self) -> list[Item]:
        """Return what may go, the one that was used longest ago first."""
        newest = now_ns() - int(self._settings.gc_min_age_seconds * _NANO)
        items = reversed(await self._pruner.items())
        return [
            item
            for item in items
            if not (item.message.in_use or item.message.shared) and item.used_ns <= newest
        ]

    async def _remove(self, items: list[Item]) -> list[pb.CacheRecord]:
        removed = [item.message for item in items if await self._pruner.remove(item.message)]
        if removed:
            await self._layers.collect()
        return removed
