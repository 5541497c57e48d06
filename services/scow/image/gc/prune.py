"""Prune: the images that nothing uses go, those without a name or all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scow.api.image.v1 import image_pb2
from scow.api.image.v1 import store_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter
from scow.core import filters as filter_rules
from scow.core.times import parse_moment
from scow.image.catalog.images import Images
from scow.image.gc.collector import Collector

_FILTERS = frozenset({"dangling", "until", "label", "label!"})
# Images that are looked at, and removed, at once.
_AT_ONCE = 100


class Pruner:
    """Removes unused images.

    Args:
        images: Who describes them.
        collector: Who removes them.
    """

    def __init__(self, images: Images, collector: Collector) -> None:
        self._images = images
        self._collector = collector

    async def prune(self, filters: Sequence[Filter]) -> pb.PruneResponse:
        """Remove the unused images that meet the filters, one after the other; used and pinned ones stay.

        Args:
            filters: See `PruneRequest`.

        Raises:
            InvalidFilter: An unknown key, or a value that it does not take.
        """
        wanted = filter_rules.parse(filters, _FILTERS)
        dangling = not wanted.get("dangling") or filter_rules.boolean(
            "dangling", wanted["dangling"]
        )
        limits = [parse_moment(value, "until") for value in wanted.get("until", ())]
        candidates = [
            image
            for image in self._collector.unused()
            if all(image.created_ns < limit for limit in limits)
        ]
        chosen = [
            image.id
            for start in range(0, len(candidates), _AT_ONCE)
            for image in self._images.describe_all(candidates[start : start + _AT_ONCE])
            if not (dangling and image.references) and _labelled(image, wanted)
        ]
        response = pb.PruneResponse()
        for start in range(0, len(chosen), _AT_ONCE):
            untagged, gone = await self._collector.drop(chosen[start : start + _AT_ONCE])
            response.untagged.extend(untagged)
            response.deleted.extend(gone.digests)
            response.space_reclaimed += gone.size
        response.space_reclaimed += (await self._collector.sweep()).size
        return response


def _labelled(image: image_pb2.Image, wanted: Mapping[str, list[str]]) -> bool:
    labels = image.config.labels
    if not filter_rules.match_labels(labels, wanted.get("label", ())):
        return False
    return not any(filter_rules.match_labels(labels, [each]) for each in wanted.get("label!", ()))
