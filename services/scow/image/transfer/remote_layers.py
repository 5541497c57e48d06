"""Layers of images at registries, one by one: what a pull would fetch, told without it, and single layers fetched."""

from __future__ import annotations

from collections.abc import Mapping

from scow.api.image.v1 import layer_pb2
from scow.image.gc.leases import KeptLeases, Leases
from scow.image.metadata.tables import ImageStore
from scow.image.oci.manifests import Descriptor
from scow.image.oci.reference import Reference
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials
from scow.image.transfer.fetch import Fetcher
from scow.image.transfer.progress import Progress
from scow.image.transfer.pull import Asked, Puller


class RemoteLayers:
    """Tells of layers, and fetches them.

    Args:
        rows: The tables.
        leases: What work under way needs.
        registries: Where layers come from.
        puller: Who finds out what a reference names, and whether it may come.
        fetcher: Who gets layers.
    """

    def __init__(
        self,
        rows: ImageStore,
        leases: Leases,
        registries: Registries,
        puller: Puller,
        fetcher: Fetcher,
    ) -> None:
        self._rows = rows
        self._leases = leases
        self._kept = KeptLeases(rows)
        self._registries = registries
        self._puller = puller
        self._fetcher = fetcher

    async def stack(self, asked: Asked) -> tuple[list[layer_pb2.Layer], bytes]:
        """Return the layers of an image, the lowest first, and its configuration.

        Raises:
            ScowError: As `Puller.pull`.
        """
        document, configuration, diff_ids = await self._puller.describe(asked)
        layers = [
            layer_pb2.Layer(
                diff_id=diff_id, digest=part.digest, size=part.size, media_type=part.media_type
            )
            for diff_id, part in zip(diff_ids, document.parts[1:], strict=True)
        ]
        return layers, configuration

    async def fetch(
        self,
        reference: Reference,
        credentials: Credentials,
        layer: layer_pb2.Layer,
        seconds: int,
        labels: Mapping[str, str],
    ) -> str:
        """Fetch a layer, unless it is here; return the lease that keeps it for so many seconds (0: a day).

        Raises:
            ScowError: As `Puller.pull`.
        """
        self._puller.check(reference)
        registry = self._registries.pulling(reference, credentials)
        blob = Descriptor(layer.digest, layer.size, layer.media_type)
        held = [layer.digest, layer.diff_id]
        with self._leases.hold(held):
            await self._fetcher.fetch(registry, {layer.diff_id: blob}, [blob], Progress())
            with self._rows.transaction() as tx:
                return self._kept.insert(tx, held, seconds, labels)
