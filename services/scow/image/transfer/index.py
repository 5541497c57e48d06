"""Indexes at registries: the image of one platform, or all that an index names.

Indexes may name indexes. A digest stands for bytes that were there before it, so a cycle cannot be made; one that a
registry pretends is found as wrong bytes, and depth and number are bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from scow.contract.errors import InvalidManifest, LimitExceeded
from scow.core.config import ImageSection
from scow.core.tasks import together
from scow.image.oci import manifests
from scow.image.oci.manifests import Descriptor, Document, no_variant
from scow.image.oci.platforms import Platform, choose
from scow.image.registry_client.downloads import Registry

# Indexes above an image.
DEPTH_MAX = 3
# Of all that an index names, together: manifests, and bytes as multiples of the largest manifest.
DOCUMENTS_MAX = 1000
_BYTES_FACTOR = 16


class Resolver:
    """Finds out what a reference names.

    Args:
        registry: Where it is asked for.
        name: The reference, for messages.
        settings: The service's section of the configuration.
    """

    def __init__(self, registry: Registry, name: str, settings: ImageSection) -> None:
        self._registry = registry
        self._name = name
        self._settings = settings
        self._asked = 0

    async def top(self, target: str) -> Document:
        """Get what a tag or digest names.

        Raises:
            ManifestNotFound, InvalidManifest, DigestMismatch, and those of the registry: See these classes.
        """
        self._asked += 1
        self._check_number(self._asked)
        data, media_type = await self._registry.manifest(target)
        return manifests.parse_document(data, media_type, self._settings.max_layers, target)

    async def one(self, top: Document, platform: Platform) -> list[Document]:
        """Return the manifest for a platform, after it the index that names it, and so on up to the top.

        Raises:
            PlatformNotFound: No index has it.
            InvalidManifest, LimitExceeded: The index is wrong, or too deep.
        """
        seen: list[Platform] = []
        found = await self._search(top, platform, seen, 0)
        if found is None:
            raise no_variant(self._name, platform, seen)
        return found

    async def _search(
        self, document: Document, platform: Platform, seen: list[Platform], depth: int
    ) -> list[Document] | None:
        if not document.is_index:
            return [document]
        self._check_depth(depth)
        with_platform = [
            (found, part)
            for found, part in zip(document.platforms, document.parts, strict=True)
            if found is not None
        ]
        seen += [found for found, _ in with_platform]
        best = choose([found for found, _ in with_platform], platform)
        # An index within needs no platform of its own.
        entries = [with_platform[best][1]] if best is not None else _nested(document)
        for entry in entries:
            child = await self._child(entry)
            below = await self._search(child, platform, seen, depth + 1)
            if below is not None:
                return [*below, document]
        return None

    async def everything(
        self, top: Document, here: Callable[[str], Document | None] = lambda _: None
    ) -> list[Document]:
        """Return all that an index names, its artifacts too, children before what names them.

        Args:
            top: The index, or a manifest, which is all then.
            here: Gives what need not be asked for.

        Raises:
            InvalidManifest, LimitExceeded: The index is wrong, too deep or too large.
        """
        found = {top.digest: top}
        level = [top]
        for depth in range(DEPTH_MAX + 1):
            indexes = [document for document in level if document.is_index]
            if not indexes:
                break
            self._check_depth(depth)
            wanted = {part.digest: part for index in indexes for part in index.parts}
            new = [part for digest, part in wanted.items() if digest not in found]
            self._check_number(len(found) + len(new))
            known = [document for part in new if (document := here(part.digest)) is not None]
            ready = {document.digest for document in known}
            level = [
                *known,
                *await together(*(self._child(x) for x in new if x.digest not in ready)),
            ]
            found |= {document.digest: document for document in level}
            self._check_size(found.values())
        ordered: dict[str, Document] = {}
        _put_in_order(top, found, ordered)
        return list(ordered.values())

    async def _child(self, entry: Descriptor) -> Document:
        document = await self.top(entry.digest)
        if len(document.data) != entry.size:
            raise InvalidManifest(
                f"the index of {self._name} gives {entry.size} bytes for {entry.digest}, which has"
                f" {len(document.data)}",
                what="index",
                which=self._name,
                do="tell who made the image",
            )
        return document

    def _check_depth(self, depth: int) -> None:
        if depth >= DEPTH_MAX:
            raise InvalidManifest(
                f"the index of {self._name} has indexes within indexes, more than {DEPTH_MAX} deep",
                what="index",
                which=self._name,
                do="tell who made the image",
            )

    def _check_number(self, number: int) -> None:
        if number > DOCUMENTS_MAX:
            raise LimitExceeded(
                f"the index of {self._name} names {number} manifests or more",
                what="index",
                which=self._name,
                do=f"pull single platforms: at most {DOCUMENTS_MAX} are kept together",
            )

    def _check_size(self, documents: Iterable[Document]) -> None:
        limit = _BYTES_FACTOR * self._settings.max_manifest_bytes
        if sum(len(document.data) for document in documents) > limit:
            raise LimitExceeded(
                f"the manifests of {self._name} have more than {limit} bytes together",
                what="index",
                which=self._name,
                do="pull single platforms, or raise image.max_manifest_bytes",
            )


def _nested(index: Document) -> list[Descriptor]:
    """Return the entries that are indexes without a platform."""
    return [
        part
        for part, platform in zip(index.parts, index.platforms, strict=True)
        if platform is None and part.media_type in manifests.INDEXES
    ]


def _put_in_order(
    document: Document, found: dict[str, Document], ordered: dict[str, Document]
) -> None:
    """Add a document, its children first; depth is bounded by who found them."""
    if document.is_index:
        for part in document.parts:
            if part.digest not in ordered:
                _put_in_order(found[part.digest], found, ordered)
    ordered[document.digest] = document
