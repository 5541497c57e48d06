"""Reading the image service's tables (see `store`)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from sqlite3 import Row

from scow.core.store import Store
from scow.image.metadata.queries import (
    ANY_UNNAMED,
    CONTENT,
    DESCRIBED,
    FAULTS,
    IMAGES_WITH,
    IN_INDEXES_ONLY,
    LAYER_SIZES,
    LEASED_IMAGES,
    NAMES,
    REPO_DIGESTS,
    SHARED,
)
from scow.image.metadata.rows import Fault, Image, Layer, Lease, Manifest, Name, Snapshot


class Reader:
    """Reads the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def image(self, image_id: str) -> Image | None:
        """Return an image by its whole id."""
        row = self._store.one("SELECT * FROM images WHERE id = ?", (image_id,))
        return Image(**row) if row else None

    def image_named(self, reference: str) -> Image | None:
        """Return the image that has a complete reference, with tag or digest."""
        row = self._store.one(
            "SELECT * FROM images WHERE id IN (SELECT image FROM names WHERE reference = ?"
            " UNION SELECT image FROM repo_digests WHERE digest_reference = ?)",
            (reference, reference),
        )
        return Image(**row) if row else None

    def images_starting(self, digits: str) -> list[Image]:
        """Return the images whose ids start with these hexadecimal digits."""
        rows = self._store.all(
            "SELECT * FROM images WHERE id GLOB ? OR id GLOB ?",
            (f"sha256:{digits}*", f"sha512:{digits}*"),
        )
        return [Image(**row) for row in rows]

    def images(self) -> list[Image]:
        """Return all images, the newest first."""
        rows = self._store.all("SELECT * FROM images ORDER BY created_ns DESC, id")
        return [Image(**row) for row in rows]

    def name(self, reference: str) -> Name | None:
        """Return what a complete reference means."""
        row = self._store.one("SELECT * FROM names WHERE reference = ?", (reference,))
        return Name(**row) if row else None

    def all_names(self) -> list[Name]:
        """Return all names."""
        return [Name(**row) for row in self._store.all("SELECT * FROM names ORDER BY reference")]

    def names(self, image_id: str) -> list[str]:
        """Return an image's references."""
        rows = self._store.all(
            "SELECT reference FROM names WHERE image = ? ORDER BY reference", (image_id,)
        )
        return [row["reference"] for row in rows]

    def repo_digests(self, image_id: str) -> list[str]:
        """Return the digest references by which an image was pulled."""
        rows = self._store.all(
            "SELECT digest_reference FROM repo_digests WHERE image = ? ORDER BY 1", (image_id,)
        )
        return [row["digest_reference"] for row in rows]

    def repositories_of(self, digest: str) -> list[str]:
        """Return the repositories from which a manifest came, or to which it was pushed."""
        rows = self._store.all(
            "SELECT digest_reference FROM repo_digests WHERE digest_reference LIKE ? ORDER BY 1",
            (f"%@{digest}",),
        )
        return [row["digest_reference"].partition("@")[0] for row in rows]

    def origins(self, digest: str) -> list[str]:
        """Return the repositories where the parts of a manifest that are not here can be had."""
        rows = self._store.all(
            "SELECT repository FROM origins WHERE manifest = ? ORDER BY 1", (digest,)
        )
        return [row["repository"] for row in rows]

    def manifest(self, digest: str) -> Manifest | None:
        """Return a manifest, index or artifact."""
        row = self._store.one("SELECT * FROM manifests WHERE digest = ?", (digest,))
        return Manifest(**row) if row else None

    def manifests_of(self, image_id: str) -> list[Manifest]:
        """Return the manifests of an image, the one that came first at the head."""
        rows = self._store.all(
            "SELECT * FROM manifests WHERE image = ? ORDER BY rowid", (image_id,)
        )
        return [Manifest(**row) for row in rows]

    def parts(self, manifest: str) -> list[str]:
        """Return the digests that a manifest or index names: of a manifest the configuration, then the layers."""
        rows = self._store.all(
            "SELECT digest FROM manifest_parts WHERE manifest = ? ORDER BY position", (manifest,)
        )
        return [row["digest"] for row in rows]

    def indexes_with(self, manifest: str) -> list[str]:
        """Return the documents that name a manifest."""
        rows = self._store.all(
            "SELECT DISTINCT manifest FROM manifest_parts WHERE digest = ? ORDER BY 1", (manifest,)
        )
        return [row["manifest"] for row in rows]

    def referrers(self, subject: str) -> list[Manifest]:
        """Return the manifests that refer to another one."""
        rows = self._store.all(
            "SELECT * FROM manifests WHERE subject = ? ORDER BY rowid", (subject,)
        )
        return [Manifest(**row) for row in rows]

    def diff_ids(self, image_id: str) -> list[str]:
        """Return the digests of an image's layers, unpacked or not, the lowest first."""
        rows = self._store.all(
            "SELECT diff_id FROM image_layers WHERE image = ? ORDER BY position", (image_id,)
        )
        return [row["diff_id"] for row in rows]

    def layers(self, image_id: str) -> list[Layer]:
        """Return those of an image's layers that are unpacked, the lowest first."""
        rows = self._store.all(
            "SELECT layers.* FROM image_layers JOIN layers USING (diff_id)"
            " WHERE image = ? ORDER BY position",
            (image_id,),
        )
        return [Layer(**row) for row in rows]

    def layer(self, diff_id: str) -> Layer | None:
        """Return a layer."""
        row = self._store.one("SELECT * FROM layers WHERE diff_id = ?", (diff_id,))
        return Layer(**row) if row else None

    def all_layers(self) -> list[Layer]:
        """Return all layers."""
        return [Layer(**row) for row in self._store.all("SELECT * FROM layers")]

    def blob_size(self, digest: str) -> int | None:
        """Return the size of a blob, None when it is not here."""
        row = self._store.one("SELECT size FROM blobs WHERE digest = ?", (digest,))
        return int(row["size"]) if row else None

    def all_blobs(self) -> set[str]:
        """Return the digests of all blobs."""
        return {row["digest"] for row in self._store.all("SELECT digest FROM blobs")}

    def snapshot(self, owner: str) -> Snapshot | None:
        """Return an owner's snapshot."""
        row = self._store.one(
            "SELECT owner, number, image FROM snapshots WHERE owner = ?", (owner,)
        )
        return Snapshot(**row) if row else None

    def snapshots(self) -> list[Snapshot]:
        """Return all snapshots."""
        rows = self._store.all("SELECT owner, number, image FROM snapshots")
        return [Snapshot(**row) for row in rows]

    def owners_of(self, image_id: str) -> list[str]:
        """Return who has a snapshot of an image."""
        rows = self._store.all(
            "SELECT owner FROM snapshots WHERE image = ? ORDER BY owner", (image_id,)
        )
        return [row["owner"] for row in rows]

    def image_rows(self, ids: Sequence[str]) -> list[Row]:
        """Return id, message, size, snapshots and manifest of these images, in any order.

        The size is that of the layers' files; of a layer that is not unpacked, that of its blob.
        """
        return self._store.all(DESCRIBED, (json.dumps(ids),))

    def names_of(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the references of these images."""
        return _grouped(self._store.all(NAMES, (json.dumps(ids),)))

    def repo_digests_of(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the digest references of these images."""
        return _grouped(self._store.all(REPO_DIGESTS, (json.dumps(ids),)))

    def faults_of(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """Return the digests of these images' blobs and layers that are damaged."""
        if self._store.one("SELECT 1 FROM faults") is None:
            return {}
        return _grouped(self._store.all(FAULTS, (json.dumps(ids),)))

    def shared_sizes(self, ids: Sequence[str]) -> dict[str, int]:
        """Return how many bytes of these images' layers other images have too."""
        rows = self._store.all(SHARED, (json.dumps(ids),))
        return {row["image"]: row["size"] for row in rows}

    def layer_sizes(self, image_id: str) -> list[int]:
        """Return the bytes of an image's layers, the lowest first, as `image_rows` counts them."""
        return [row["size"] for row in self._store.all(LAYER_SIZES, (image_id,))]

    def content_of_images(self) -> dict[str, set[str]]:
        """Return what each image has, here or not: "layer/DIFF_ID", and "blob/DIGEST" of documents too."""
        found: dict[str, set[str]] = {}
        for image, item in self._store.all(CONTENT):
            found.setdefault(image, set()).add(item)
        return found

    def images_with(self, digest: str) -> list[str]:
        """Return the images that a layer, document or blob belongs to; that of an image's own id too."""
        return [row["image"] for row in self._store.all(IMAGES_WITH, (digest,))]

    def names_meaning(self, digest: str) -> list[str]:
        """Return the references that stand for a document."""
        rows = self._store.all("SELECT reference FROM names WHERE manifest = ?", (digest,))
        return [row["reference"] for row in rows]

    def snapshots_before(self, diff_id: str, since_ns: int) -> list[str]:
        """Return who has a snapshot with a layer that was made before a time."""
        rows = self._store.all(
            "SELECT owner FROM snapshots WHERE created_ns <= ?"
            " AND image IN (SELECT image FROM image_layers WHERE diff_id = ?)",
            (since_ns, diff_id),
        )
        return [row["owner"] for row in rows]

    def in_indexes_only(self) -> set[str]:
        """Return the images that have no name: only an index that is kept whole holds them."""
        if self._store.one(ANY_UNNAMED) is None:
            return set()
        return {row["image"] for row in self._store.all(IN_INDEXES_ONLY)}

    def compressed(self, plain: str, kind: str) -> tuple[str, int] | None:
        """Return digest and size of a plain blob as it is compressed, if that is here."""
        row = self._store.one(
            "SELECT blobs.digest, size FROM compressed JOIN blobs USING (digest)"
            " WHERE plain = ? AND kind = ?",
            (plain, kind),
        )
        return (row["digest"], row["size"]) if row else None

    def transient_images(self) -> set[str]:
        """Return the images that only work under way needs."""
        return {row["image"] for row in self._store.all("SELECT image FROM transient")}

    def used_images(self) -> set[str]:
        """Return the images of which there are snapshots."""
        return {row["image"] for row in self._store.all("SELECT DISTINCT image FROM snapshots")}

    def leased_images(self) -> set[str]:
        """Return the images that clients' leases keep, by their ids or by their manifests."""
        return {row["image"] for row in self._store.all(LEASED_IMAGES)}

    def names_without_image(self) -> list[Name]:
        """Return the names of what is not an image on this machine: artifacts, and indexes of others' images."""
        rows = self._store.all("SELECT * FROM names WHERE image IS NULL ORDER BY reference")
        return [Name(**row) for row in rows]

    def size_of_parts(self, manifest: str) -> int:
        """Return the bytes of a document and of what it names, as far as that is here."""
        row = self._store.one(
            "SELECT sum(size) AS size FROM blobs WHERE digest = ? OR digest IN"
            " (SELECT digest FROM manifest_parts WHERE manifest = ?)",
            (manifest, manifest),
        )
        return int(row["size"] or 0) if row else 0

    def blobs(self) -> dict[str, int]:
        """Return the sizes of all blobs by digest."""
        return {row["digest"]: row["size"] for row in self._store.all("SELECT * FROM blobs")}

    def all_manifests(self) -> list[Manifest]:
        """Return all manifests, indexes and artifacts."""
        return [Manifest(**row) for row in self._store.all("SELECT * FROM manifests")]

    def snapshot_ages(self) -> dict[str, int]:
        """Return when each snapshot was made, in nanoseconds since 1970, by owner."""
        rows = self._store.all("SELECT owner, created_ns FROM snapshots")
        return {row["owner"]: row["created_ns"] for row in rows}

    def lease(self, lease_id: str) -> Lease | None:
        """Return a lease."""
        row = self._store.one("SELECT * FROM leases WHERE id = ?", (lease_id,))
        return Lease(**row) if row else None

    def leases(self) -> list[Lease]:
        """Return all leases, the one that ends first at the head."""
        rows = self._store.all("SELECT * FROM leases ORDER BY expires_ns, id")
        return [Lease(**row) for row in rows]

    def lease_content(self, lease_id: str) -> list[str]:
        """Return the digests that a lease keeps."""
        rows = self._store.all(
            "SELECT digest FROM lease_content WHERE lease = ? ORDER BY digest", (lease_id,)
        )
        return [row["digest"] for row in rows]

    def faults(self) -> list[Fault]:
        """Return what stayed damaged."""
        return [
            Fault(**row) for row in self._store.all("SELECT * FROM faults ORDER BY kind, digest")
        ]


def _grouped(rows: Iterable[Row]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image, value in rows:
        found.setdefault(image, []).append(value)
    return found
