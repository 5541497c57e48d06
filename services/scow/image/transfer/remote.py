"""Manifests that are looked at without being fetched: at their registries, or an index that was made here."""

from __future__ import annotations

import json

from scow.api.image.v1 import registry_pb2 as pb
from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.core.config import ImageSection
from scow.image.catalog.description import platform_message
from scow.image.content.blobs import Blobs
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor, Document
from scow.image.oci.platforms import Platform
from scow.image.oci.reference import Reference
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.downloads import Registry
from scow.image.transfer.index import Resolver


class RemoteManifests:
    """Looks at manifests.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where indexes are that were made here.
        registries: Where all else is.
    """

    def __init__(
        self, settings: ImageSection, rows: ImageStore, blobs: Blobs, registries: Registries
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._registries = registries

    async def get(
        self, reference: Reference, platform: Platform | None, credentials: Credentials
    ) -> pb.GetManifestResponse:
        """Return a manifest or index. An index that was made here and not pushed yet is answered from here.

        Args:
            reference: Names it.
            platform: Of an index, the manifest of this platform.
            credentials: For the registry.

        Raises:
            ManifestNotFound, PlatformNotFound, RegistryDenied, RegistryRateLimited, RegistryUnavailable,
            InvalidManifest: See these classes.
        """
        registry = self._registries.pulling(reference, credentials)
        resolver = Resolver(registry, str(reference), self._settings)
        top = self._made_here(reference) or await resolver.top(reference.target)
        found = (await resolver.one(top, platform))[0] if platform is not None else top
        return await self._describe(reference, found, registry)

    def _made_here(self, reference: Reference) -> Document | None:
        known = self._rows.name(str(reference))
        row = self._rows.manifest(known.manifest) if known is not None else None
        if row is None or reference.repository in self._rows.repositories_of(row.digest):
            return None
        try:
            data = self._blobs.read(row.digest)
        except FileNotFoundError:
            return None
        document = manifests.parse_document(
            data, row.media_type, self._settings.max_layers, row.digest
        )
        return document if document.is_index else None

    async def _describe(
        self, reference: Reference, document: Document, registry: Registry
    ) -> pb.GetManifestResponse:
        response = pb.GetManifestResponse(
            reference=f"{reference.repository}@{document.digest}",
            digest=document.digest,
            media_type=document.media_type,
            content=document.data,
        )
        if document.is_index:
            for part, platform in zip(document.parts, document.platforms, strict=True):
                response.parts.append(_part(part, platform))
            return response
        config, *layers = document.parts
        response.configuration.MergeFrom(_part(config))
        response.parts.extend(map(_part, layers))
        if document.is_image:
            data = await registry.small_blob(config, self._settings.max_config_bytes)
            response.platform.MergeFrom(_written(data))
        return response


def _written(configuration: bytes) -> PlatformMessage:
    """Return the platform of an image as its configuration has it, "v8" of arm64 too."""
    manifests.parse_configuration(configuration)  # refuses what is none
    value = json.loads(configuration)
    keys = ("os", "architecture", "variant")
    return PlatformMessage(**{key: value.get(key) or "" for key in keys})


def _part(part: Descriptor, platform: Platform | None = None) -> pb.ManifestPart:
    about = platform_message(platform) if platform is not None else None
    return pb.ManifestPart(
        digest=part.digest, size=part.size, media_type=part.media_type, platform=about
    )
