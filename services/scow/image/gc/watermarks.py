"""The watermark policy: when the disk is fuller than the high mark, unused images go until it is below the low one.

Those that were used last stay longest; pinned ones, and so many of the last ones as `gc_keep` says, stay always, and
one that was used less than `gc_min_age_seconds` ago is not touched.
"""

from __future__ import annotations

import os
from pathlib import Path

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import InvalidConfig
from scow.core.config import ImageSection
from scow.core.times import now_ns
from scow.image.catalog.lists import fits
from scow.image.gc.collector import Collector, Gone
from scow.image.metadata.tables import Image, ImageStore
from scow.image.reconcile import action, collected

_NANO = 1_000_000_000


class Watermarks:
    """The policy.

    Args:
        base: The service's folder, whose file system counts.
        settings: The service's section of the configuration.
        rows: The tables.
        collector: Who removes images.

    Raises:
        InvalidConfig: The low mark is not below the high one.
    """

    def __init__(
        self, base: Path, settings: ImageSection, rows: ImageStore, collector: Collector
    ) -> None:
        high, low = settings.gc_high_percent, settings.gc_low_percent
        if high and not 0 <= low < high <= 100:
            raise InvalidConfig(
                f"image.gc_low_percent is {low:g} and image.gc_high_percent {high:g}",
                what="configuration key",
                which="image.gc_low_percent",
                do="use 0 <= low < high <= 100, or a high mark of 0 for no policy",
            )
        self._base = base
        self._settings = settings
        self._rows = rows
        self._collector = collector

    def used_percent(self) -> float:
        """Return how full the file system is, as df(1) counts."""
        about = os.statvfs(self._base)
        used = about.f_blocks - about.f_bfree
        return 100.0 * used / max(used + about.f_bavail, 1)

    async def collect(self) -> tuple[list[ReconcileAction], int]:
        """Remove unused images if the disk is too full; return what was done, and the bytes that were freed."""
        high, low = self._settings.gc_high_percent, self._settings.gc_low_percent
        before = self.used_percent()
        if not high or before < high:
            return [], 0
        actions, size = [], 0
        for image in self._candidates():
            if self.used_percent() <= low:
                break
            _, gone = await self._collector.drop([image.id])
            actions += collected(gone)
            size += gone.size
        after = self.used_percent()
        if after >= high:
            actions.append(
                action(
                    f"disk/{self._base}",
                    "full",
                    f"{after:.0f}% are used and no unused image is left to go: free some space",
                )
            )
        return actions, size

    def _candidates(self) -> list[Image]:
        """Return the images that may go, the one that was used longest ago first."""
        newest = now_ns() - int(self._settings.gc_min_age_seconds * _NANO)
        found = sorted(self._collector.unused(), key=lambda image: (image.used_ns, image.id))
        found = [image for image in found if not self._is_pinned(image)]
        found = found[: max(len(found) - self._settings.gc_keep, 0)]
        return [image for image in found if image.used_ns <= newest]

    def _is_pinned(self, image: Image) -> bool:
        patterns = self._settings.gc_pinned
        if not patterns:
            return False
        names = [*self._rows.names(image.id), *self._rows.repo_digests(image.id)]
        return any(fits(name, patterns) for name in names)


def together(
    gone: Gone, policy: tuple[list[ReconcileAction], int]
) -> tuple[list[ReconcileAction], int]:
    """Return what a sweep and the policy did together."""
    actions, size = policy
    return [*collected(gone), *actions], gone.size + size
