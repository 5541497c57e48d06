"""Writing down what has arrived: images, manifests and names, in one transaction.

However it came (pulled, pushed to us, loaded, imported, committed), content is recorded here. Layers' blobs and rows
are the business of whoever fetched them; documents and configurations are stored here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from scow.core.journal import Journal
from scow.core.times import now_ns
from scow.image.catalog.description import description
from scow.image.content.blobs import Blobs
from scow.image.content.digests import algorithm_of, digest_of
from scow.image.gc.leases import Leases
from scow.image.metadata.tables import Image, ImageStore, Manifest, Name
from scow.image.oci import manifests
from scow.image.oci.manifests import Configuration, Document
from scow.image.oci.platforms import choose, host

Recorded = Callable[[sqlite3.Connection, str | None], None]


@dataclass(frozen=True)
class Content:
    """What a reference means.

    Attributes:
        documents: Manifests before the indexes that name them; the last one is what a reference means.
        configurations: Of the images among them, by digest. One that is stored may be left out.
        references: Names for the last document.
        repo_digests: "NAME@sha256:..." of the last document.
        blobs: Further small ones, by digest.
        origins: Repositories where the parts of documents are that did not come along, by the documents' digests.
        facts: For the journal.
    """

    documents: Sequence[Document]
    configurations: Mapping[str, bytes] = field(default_factory=dict)
    references: Sequence[str] = ()
    repo_digests: Sequence[str] = ()
    blobs: Mapping[str, bytes] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


class Records:
    """Records content."""

    def __init__(self, rows: ImageStore, blobs: Blobs, leases: Leases, journal: Journal) -> None:
        self._rows = rows
        self._blobs = blobs
        self._leases = leases
        self._journal = journal

    async def put(
        self, content: Content, action: str, recorded: Recorded | None = None
    ) -> str | None:
        """Record content; return the id of the image that it means on this machine, None when it means none.

        Args:
            content: What has arrived. Who calls holds leases on all that it names.
            action: "pull", "load", "import", "commit", "push", "create" or "build"; empty is not told in the journal.
            recorded: Called at the end of the transaction, with what is returned.

        Raises:
            InvalidManifest: A configuration is invalid.
            DiskFull: Nothing is recorded then.
        """
        return (await self.put_all([content], action, recorded))[0]

    async def put_all(
        self, contents: Sequence[Content], action: str, recorded: Recorded | None = None
    ) -> list[str | None]:
        """Record contents, all of them or none, as `put` does one; `recorded` is called for each."""
        small: dict[str, bytes] = {}
        for content in contents:
            small |= {document.digest: document.data for document in content.documents}
            for digest, data in (*content.configurations.items(), *content.blobs.items()):
                small[digest_of(data, algorithm_of(digest))] = data
        with self._leases.hold(list(small)):
            for digest, data in small.items():
                await self._blobs.write(data, algorithm_of(digest))
            known = [self._configurations(content) for content in contents]
            with self._rows.transaction() as tx:
                for digest, data in small.items():
                    self._rows.insert_blob(tx, digest, len(data))
                pairs = zip(contents, known, strict=True)
                images = [self._put(tx, content, configs, action) for content, configs in pairs]
                if recorded is not None:
                    for image in images:
                        recorded(tx, image)
        return images

    def _put(
        self,
        tx: sqlite3.Connection,
        content: Content,
        known: Mapping[str, Configuration],
        action: str,
    ) -> str | None:
        for document in content.documents:
            self._insert(tx, document, known)
        image = self._meaning(content, known)
        self._name(tx, content, image, action)
        return image

    def _configurations(self, content: Content) -> dict[str, Configuration]:
        """Return the configurations of the images among the documents, by digest, as far as they are here."""
        known = {}
        for document in content.documents:
            digest = document.parts[0].digest if document.is_image else ""
            if document.digest in content.origins and self._rows.image(digest) is None:
                continue  # a configuration alone is not an image
            data = content.configurations.get(digest)
            if data is None and digest and self._rows.blob_size(digest) is not None:
                data = self._blobs.read(digest)
            if data is not None:
                known[digest] = manifests.parse_configuration(data)
        return known

    def _insert(
        self, tx: sqlite3.Connection, document: Document, known: Mapping[str, Configuration]
    ) -> None:
        image = document.parts[0].digest if document.is_image else None
        if image is not None and image in known:
            now = now_ns()
            about = known[image]
            self._rows.insert_image(
                tx,
                Image(image, about.created_ns, now, now),
                about.diff_ids,
                description(image, about).SerializeToString(),
            )
        row = Manifest(
            document.digest,
            document.media_type,
            image if image in known else None,
            document.subject,
            document.artifact_type,
        )
        self._rows.insert_manifest(tx, row, [part.digest for part in document.parts])

    def _meaning(self, content: Content, known: Mapping[str, Configuration]) -> str | None:
        """Return the image that the last document means here: the host's, or else the first."""
        images = [
            digest
            for document in content.documents
            if (digest := document.parts[0].digest if document.is_image else "") in known
        ]
        if not content.documents[-1].is_index:
            return images[-1] if images and content.documents[-1].is_image else None
        best = choose([known[digest].platform for digest in images], host())
        if best is not None:
            return images[best]
        return images[0] if images else None

    def _name(
        self, tx: sqlite3.Connection, content: Content, image: str | None, action: str
    ) -> None:
        top = content.documents[-1].digest
        for digest, repository in content.origins.items():
            self._rows.add_origin(tx, digest, repository)
        for digest_reference in content.repo_digests:
            self._rows.add_repo_digest(tx, digest_reference, image)
        for reference in content.references:
            self._rows.set_name(tx, Name(reference, top, image))
        if not action:
            return
        name = next(iter((*content.references, *content.repo_digests)), "")
        self._journal.append(tx, "image", image or top, action, {"name": name, **content.facts})
