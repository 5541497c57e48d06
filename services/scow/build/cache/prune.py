"""What the cache holds, and what of it may go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from scow.api.build.v1 import build_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.build.cache.mounts import CacheMounts
from scow.build.cache.records import Cache
from scow.build.context.directory import Directories
from scow.build.peers.images import Images
from scow.build.peers.layers import Layers
from scow.build.store import BuildStore
from scow.core import disk
from scow.core import filters as filter_rules
from scow.core.times import now_ns, parse_moment, to_proto

_FILTERS = frozenset({"type", "id", "description", "inuse", "shared", "until", "unused-for"})
_REGULAR, _CONTEXT, _MOUNT = "regular", "source.local", "exec.cachemount"
_NANO = 1_000_000_000


@dataclass(frozen=True)
class Item:
    """A part of the cache, and when it was used last."""

    message: pb.CacheRecord
    used_ns: int


class Pruner:
    """Counts and prunes.

    Args:
        rows: The tables.
        cache: Results of steps.
        directories: What clients sent of directories.
        mounts: Caches that RUN mounts.
        layers: Who has the layers, and collects those that nothing holds.
        images: Who knows which layers images have.
    """

    def __init__(
        self,
        rows: BuildStore,
        cache: Cache,
        directories: Directories,
        mounts: CacheMounts,
        layers: Layers,
        images: Images,
    ) -> None:
        self._layers = layers
        self._images = images
        self._rows = rows
        self._cache = cache
        self._directories = directories
        self._mounts = mounts

    async def usage(self, filters: Sequence[Filter]) -> list[pb.CacheRecord]:
        """Return what there is, the one that was used last first.

        Raises:
            InvalidFilter: See this class.
        """
        return [item.message for item in await self.items(filters)]

    async def prune(self, request: pb.PruneRequest) -> pb.PruneResponse:
        """Delete what nobody uses, the one that was used longest ago first, until enough is gone.

        Raises:
            InvalidFilter: See this class.
        """
        response = pb.PruneResponse()
        items = await self.items(request.filters)
        total = sum(item.message.size for item in items)
        keep = _kept(request, total, disk.free(self._mounts.folder))
        limit = now_ns() - request.keep_seconds * _NANO
        for item in reversed(items):
            if keep is not None and total <= keep:
                break
            if item.message.in_use or (request.keep_seconds and item.used_ns > limit):
                continue
            if item.message.shared and not request.all:
                continue
            if not await self.remove(item.message):
                continue
            total -= item.message.size
            response.space_reclaimed += item.message.size
            response.removed.append(item.message)
        if response.removed:
            await self._layers.collect()
        return response

    async def remove(self, record: pb.CacheRecord) -> bool:
        """Delete one; False when it has come into use meanwhile."""
        if record.type == _CONTEXT:
            if self._directories.is_busy(record.id):
                return False
            with self._rows.transaction() as tx:
                self._rows.delete_context(tx, record.id)
            await self._directories.remove(record.id)
            return True
        if record.type == _MOUNT:
            return await self._mounts.remove(record.id)
        found = self._rows.record(record.id)
        if found is None or record.id in self._cache.used:
            return False
        await self._cache.remove(found)
        return True

    async def items(self, filters: Sequence[Filter] = ()) -> list[Item]:
        """Return what there is, the one that was used last first.

        Raises:
            InvalidFilter: See this class.
        """
        wanted = filter_rules.parse(filters, _FILTERS)
        items = [*await self._results(), *self._contexts(), *await self._cache_mounts()]
        chosen = [item for item in items if _matches(item, wanted)]
        return sorted(chosen, key=lambda item: -item.used_ns)

    async def _results(self) -> list[Item]:
        items = []
        layers = await self._images.layers()
        for record in self._rows.records():
            message = pb.CacheRecord(
                id=record.key,
                type=record.type,
                description=record.description,
                size=record.layer.size if record.layer else 0,
                created_at=to_proto(record.created_ns),
                used_at=to_proto(record.used_ns),
                usage_count=record.uses,
                in_use=record.key in self._cache.used,
                shared=record.layer is not None and record.layer.diff_id in layers,
            )
            items.append(Item(message, record.used_ns))
        return items

    def _contexts(self) -> list[Item]:
        items = []
        for number, (used_ns, size) in self._rows.contexts().items():
            message = pb.CacheRecord(
                id=number,
                type=_CONTEXT,
                description="files of a build context",
                size=size,
                used_at=to_proto(used_ns),
                in_use=self._directories.is_busy(number),
            )
            items.append(Item(message, used_ns))
        return items

    async def _cache_mounts(self) -> list[Item]:
        items = []
        for name, (created_ns, used_ns, uses) in self._rows.mounts().items():
            size, _ = await asyncio.to_thread(disk.usage, self._mounts.path(name))
            message = pb.CacheRecord(
                id=name,
                type=_MOUNT,
                description="a cache that RUN mounts",
                size=size,
                created_at=to_proto(created_ns),
                used_at=to_proto(used_ns),
                usage_count=uses,
                in_use=self._mounts.is_busy(name),
            )
            items.append(Item(message, used_ns))
        return items


def _kept(request: pb.PruneRequest, total: int, free: int) -> int | None:
    """Return down to how many bytes the cache is pruned; None where size does not count.

    Of the sizes, the smallest counts, but `keep_size` stays in any case, as with BuildKit.
    """
    if not (request.keep_size or request.max_used_size or request.min_free_size):
        return None
    wanted = total if request.max_used_size or request.min_free_size else 0
    if request.max_used_size:
        wanted = min(wanted, request.max_used_size)
    if request.min_free_size > free:
        wanted = min(wanted, total - (request.min_free_size - free))
    return max(wanted, request.keep_size)


def _matches(item: Item, wanted: dict[str, list[str]]) -> bool:
    message = item.message
    for key in ("until", "unused-for"):
        if key in wanted and item.used_ns > min(parse_moment(v, key) for v in wanted[key]):
            return False
    if "type" in wanted and message.type not in wanted["type"]:
        return False
    if "id" in wanted and not any(message.id.startswith(v) for v in wanted["id"]):
        return False
    for key, value in (("inuse", message.in_use), ("shared", message.shared)):
        if key in wanted and filter_rules.boolean(key, wanted[key]) != value:
            return False
    return "description" not in wanted or any(
        v in message.description for v in wanted["description"]
    )
