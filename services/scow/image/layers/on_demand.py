"""Layers on demand: an image that is here as blobs alone is unpacked when it is first needed."""

from __future__ import annotations

from collections.abc import Mapping

from scow.contract.errors import ContentMissing
from scow.core.flights import Flights
from scow.core.tasks import together
from scow.image.gc.leases import Leases
from scow.image.layers.store import Layers
from scow.image.metadata.tables import ImageStore, Layer


class LayersOnDemand:
    """Sees to it that images are unpacked.

    Args:
        rows: The tables.
        layers: Who unpacks.
        leases: What work under way needs.
    """

    def __init__(self, rows: ImageStore, layers: Layers, leases: Leases) -> None:
        self._rows = rows
        self._layers = layers
        self._leases = leases
        self._flights: Flights[str, None, Layer] = Flights()

    async def ensure(self, image_id: str) -> list[Layer]:
        """Return an image's layers, the lowest first; those that are missing are unpacked.

        Raises:
            ContentMissing: A blob is not here.
            LayerCorrupt, InvalidArchive, LimitExceeded, DigestMismatch, DiskFull: See these classes.
        """
        diff_ids = self._rows.diff_ids(image_id)
        found = self._rows.layers(image_id)
        if len(found) == len(diff_ids):
            return found
        blobs = self._blobs_of(image_id, len(diff_ids))
        with self._leases.hold([*diff_ids, *blobs]):
            distinct = dict(zip(diff_ids, blobs, strict=True))
            await together(*(self._add(blob, diff_id) for diff_id, blob in distinct.items()))
            return self._rows.layers(image_id)

    async def ensure_all(self, blobs: Mapping[str, str]) -> list[Layer]:
        """Return layers, given by diff id with their blobs, in their order; those that are missing are unpacked.

        Raises:
            As `ensure`.
        """
        with self._leases.hold([*blobs, *blobs.values()]):
            missing = {
                diff_id: blob for diff_id, blob in blobs.items() if not self._rows.layer(diff_id)
            }
            for blob in missing.values():
                if self._rows.blob_size(blob) is None:
                    raise ContentMissing(
                        f"the layer {blob} is not here",
                        what="layer",
                        which=blob,
                        do="build or pull again what has it",
                    )
            await together(*(self._add(blob, diff_id) for diff_id, blob in missing.items()))
            found = [self._rows.layer(diff_id) for diff_id in blobs]
            return [layer for layer in found if layer is not None]

    async def _add(self, blob: str, diff_id: str) -> None:
        async def work(_: None) -> Layer:
            return await self._layers.add(blob, diff_id)

        async with self._flights.join(diff_id, lambda: None, work) as flight:
            await flight.result()

    def _blobs_of(self, image_id: str, count: int) -> list[str]:
        """Return the blobs of an image's layers, by the first of its manifests that has all of them."""
        for row in self._rows.manifests_of(image_id):
            _, *layers = self._rows.parts(row.digest)
            here = all(self._rows.blob_size(blob) is not None for blob in layers)
            if here and len(layers) == count:
                return layers
        raise ContentMissing(
            f"layers of image {image_id} are not here",
            what="image",
            which=image_id,
            do="pull or load it again; layers that may not be distributed are to be had from their maker alone",
        )
