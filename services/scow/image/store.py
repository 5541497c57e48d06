"""The image service's tables.

::

    images          id (key) | created_ns | stored_ns | used_ns | pinned      id: digest of the configuration
    image_layers    image, position (key) | diff_id                           lowest first, unpacked or not
    manifests       digest (key) | media_type | image | subject | artifact_type    image: none for indexes and artifacts
    manifest_parts  manifest, position (key) | digest                         all that it names, here or not
    names           reference (key) | manifest | image                        image: what it means on this machine
    repo_digests    digest_reference (key) | image                            NAME@sha256:... of pulls and pushes
    blobs           digest (key) | size                                       files in blobs/sha256/
    layers          diff_id (key) | number | driver | blob | size | tar_size | inodes   folders layers/<number>
    snapshots       owner (key) | number | image | created_ns                 folders snapshots/<number>
    leases          id (key) | expires_ns | labels                            labels: JSON
    lease_content   lease, digest (key)                                       of blobs, manifests and images
    numbers         last                                                      the last number that was given out

A manifest or index is a blob too. What is held: names, repo digests, leases and images hold manifests, a manifest
holds its parts and what refers to it as its subject, an image its layers; the rest is collected.

A file or folder is there, complete, before its row is, and its row is gone before it is deleted: what has no
row is a leftover. Numbers are never used twice, so a leftover is never mistaken for something newer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterable
from dataclasses import dataclass

from scow.core.store import Store

MIGRATIONS = (
    """
    CREATE TABLE images (
        id TEXT PRIMARY KEY,
        created_ns INTEGER NOT NULL,
        stored_ns INTEGER NOT NULL,
        used_ns INTEGER NOT NULL,
        pinned INTEGER NOT NULL DEFAULT 0
    );
    CREATE TABLE image_layers (
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        diff_id TEXT NOT NULL,
        PRIMARY KEY (image, position)
    );
    CREATE INDEX image_layers_diff_id ON image_layers(diff_id);
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL
    );
    CREATE TABLE manifests (
        digest TEXT PRIMARY KEY REFERENCES blobs(digest),
        media_type TEXT NOT NULL,
        image TEXT REFERENCES images(id) ON DELETE CASCADE,
        subject TEXT,
        artifact_type TEXT NOT NULL
    );
    CREATE INDEX manifests_image ON manifests(image);
    CREATE INDEX manifests_subject ON manifests(subject);
    CREATE TABLE manifest_parts (
        manifest TEXT NOT NULL REFERENCES manifests(digest) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        digest TEXT NOT NULL,
        PRIMARY KEY (manifest, position)
    );
    CREATE INDEX manifest_parts_digest ON manifest_parts(digest);
    CREATE TABLE names (
        reference TEXT PRIMARY KEY,
        manifest TEXT NOT NULL,
        image TEXT REFERENCES images(id)
    );
    CREATE INDEX names_image ON names(image);
    CREATE INDEX names_manifest ON names(manifest);
    CREATE TABLE repo_digests (
        digest_reference TEXT PRIMARY KEY,
        image TEXT REFERENCES images(id) ON DELETE CASCADE
    );
    CREATE INDEX repo_digests_image ON repo_digests(image);
    CREATE TABLE layers (
        diff_id TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        driver TEXT NOT NULL,
        blob TEXT NOT NULL,
        size INTEGER NOT NULL,
        tar_size INTEGER NOT NULL,
        inodes INTEGER NOT NULL
    );
    CREATE TABLE snapshots (
        owner TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        image TEXT NOT NULL REFERENCES images(id),
        created_ns INTEGER NOT NULL
    );
    CREATE INDEX snapshots_image ON snapshots(image);
    CREATE TABLE leases (
        id TEXT PRIMARY KEY,
        expires_ns INTEGER NOT NULL,
        labels TEXT NOT NULL
    );
    CREATE TABLE lease_content (
        lease TEXT NOT NULL REFERENCES leases(id) ON DELETE CASCADE,
        digest TEXT NOT NULL,
        PRIMARY KEY (lease, digest)
    );
    CREATE TABLE numbers (last INTEGER NOT NULL);
    INSERT INTO numbers VALUES (0);
    """,
)

# Blobs that nothing holds. Images hold their manifests, so that one without a name stays.
_NOT_HELD = """
    WITH RECURSIVE held(digest) AS (
        SELECT manifest FROM names
        UNION SELECT digest FROM manifests WHERE image IS NOT NULL
        UNION SELECT substr(digest_reference, instr(digest_reference, '@') + 1) FROM repo_digests
        UNION SELECT digest FROM lease_content
        UNION SELECT manifests.digest FROM lease_content JOIN manifests ON image = lease_content.digest
        UNION SELECT layers.blob FROM layers
        UNION SELECT manifest_parts.digest FROM held JOIN manifest_parts ON manifest = held.digest
        UNION SELECT manifests.digest FROM held JOIN manifests ON subject = held.digest
    )
    SELECT digest FROM blobs WHERE digest NOT IN (SELECT digest FROM held)
"""


@dataclass(frozen=True)
class Layer:
    """A layer that can be mounted: `size` counts its files' bytes, `tar_size` those of its plain tar.

    `driver` names the form that it is in, `blob` is the digest of what it was made of.
    """

    diff_id: str
    number: int
    driver: str
    blob: str
    size: int
    tar_size: int
    inodes: int


@dataclass(frozen=True)
class Image:
    """An image as it is recorded; `id` is the digest of its configuration."""

    id: str
    created_ns: int
    stored_ns: int
    used_ns: int
    pinned: int = 0


@dataclass(frozen=True)
class Manifest:
    """A manifest, index or artifact as it is recorded; `image` is the id of the image that it describes."""

    digest: str
    media_type: str
    image: str | None
    subject: str | None = None
    artifact_type: str = ""


@dataclass(frozen=True)
class Name:
    """A complete reference: the document that it means, and the image that this means on this machine."""

    reference: str
    manifest: str
    image: str | None


@dataclass(frozen=True)
class Snapshot:
    """A writable snapshot of an image."""

    owner: str
    number: int
    image: str


class ImageStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.transaction = store.transaction

    def next_number(self) -> int:
        """Return a number that was never given out before."""
        with self._store.transaction() as tx:
            tx.execute("UPDATE numbers SET last = last + 1")
        row = self._store.one("SELECT last FROM numbers")
        assert row is not None
        return int(row["last"])

    def image(self, image_id: str) -> Image | None:
        """Return an image by its whole id."""
        row = self._store.one("SELECT * FROM images WHERE id = ?", (image_id,))
        return Image(**row) if row else None

    def image_named(self, reference: str) -> Image | None:
        """Return the image that has a complete reference, with tag or digest."""
        row = self._store.one(
            "SELECT images.* FROM images WHERE id IN (SELECT image FROM names WHERE reference = ?"
            " UNION SELECT image FROM repo_digests WHERE digest_reference = ?)",
            (reference, reference),
        )
        return Image(**row) if row else None

    def images_starting(self, digits: str) -> list[Image]:
        """Return the images whose ids start with these hexadecimal digits."""
        rows = self._store.all("SELECT * FROM images WHERE id GLOB ?", (f"sha256:{digits}*",))
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

    def size(self, image_id: str) -> int:
        """Return the bytes of an image's layers; where they are not unpacked, those of their blobs."""
        if len(self.layers(image_id)) == len(self.diff_ids(image_id)):
            return sum(layer.size for layer in self.layers(image_id))
        row = self._store.one(
            "SELECT sum(size) AS size FROM blobs WHERE digest IN (SELECT manifest_parts.digest"
            " FROM manifests JOIN manifest_parts ON manifest = manifests.digest WHERE image = ?)",
            (image_id,),
        )
        return int(row["size"] or 0) if row else 0

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

    @staticmethod
    def insert_image(tx: sqlite3.Connection, image: Image, diff_ids: Iterable[str]) -> None:
        """Record an image; one that is known stays as it is."""
        tx.execute(
            "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?)",
            (image.id, image.created_ns, image.stored_ns, image.used_ns, image.pinned),
        )
        tx.executemany(
            "INSERT OR IGNORE INTO image_layers VALUES (?, ?, ?)",
            [(image.id, position, diff_id) for position, diff_id in enumerate(diff_ids)],
        )

    @staticmethod
    def insert_manifest(tx: sqlite3.Connection, manifest: Manifest, parts: Iterable[str]) -> None:
        """Record a manifest, index or artifact whose blob is recorded, with all that it names."""
        tx.execute(
            "INSERT INTO manifests VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET image = coalesce(excluded.image, image)",
            (
                manifest.digest,
                manifest.media_type,
                manifest.image,
                manifest.subject,
                manifest.artifact_type,
            ),
        )
        tx.executemany(
            "INSERT OR IGNORE INTO manifest_parts VALUES (?, ?, ?)",
            [(manifest.digest, position, digest) for position, digest in enumerate(parts)],
        )

    @staticmethod
    def delete_image(tx: sqlite3.Connection, image_id: str) -> None:
        """Forget an image without references and snapshots."""
        tx.execute("DELETE FROM images WHERE id = ?", (image_id,))

    @staticmethod
    def delete_unused(
        tx: sqlite3.Connection, held: Container[str]
    ) -> tuple[list[Layer], list[str]]:
        """Forget the layers, manifests and blobs that nothing holds; return the layers and blobs.

        Args:
            tx: The transaction.
            held: What work under way holds.
        """
        found = tx.execute(
            "SELECT * FROM layers WHERE diff_id NOT IN (SELECT diff_id FROM image_layers)"
        )
        layers = [layer for row in found if (layer := Layer(**row)).diff_id not in held]
        tx.executemany("DELETE FROM layers WHERE diff_id = ?", [(x.diff_id,) for x in layers])
        found = tx.execute(_NOT_HELD)
        blobs = [row["digest"] for row in found if row["digest"] not in held]
        tx.executemany("DELETE FROM manifests WHERE digest = ?", [(digest,) for digest in blobs])
        tx.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest in blobs])
        return layers, blobs

    @staticmethod
    def set_name(tx: sqlite3.Connection, name: Name) -> None:
        """Give a reference a meaning, in place of the one that it had."""
        tx.execute(
            "INSERT OR REPLACE INTO names VALUES (?, ?, ?)",
            (name.reference, name.manifest, name.image),
        )

    @staticmethod
    def unname(tx: sqlite3.Connection, reference: str) -> None:
        """Drop a reference."""
        tx.execute("DELETE FROM names WHERE reference = ?", (reference,))

    @staticmethod
    def add_repo_digest(
        tx: sqlite3.Connection, digest_reference: str, image_id: str | None
    ) -> None:
        """Record that an image was pulled or pushed by this digest."""
        tx.execute(
            "INSERT OR REPLACE INTO repo_digests VALUES (?, ?)", (digest_reference, image_id)
        )

    @staticmethod
    def drop_repo_digest(tx: sqlite3.Connection, digest_reference: str) -> None:
        """Drop a digest reference."""
        tx.execute("DELETE FROM repo_digests WHERE digest_reference = ?", (digest_reference,))

    @staticmethod
    def insert_layer(tx: sqlite3.Connection, layer: Layer) -> None:
        """Record an unpacked layer."""
        tx.execute(
            "INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                layer.diff_id,
                layer.number,
                layer.driver,
                layer.blob,
                layer.size,
                layer.tar_size,
                layer.inodes,
            ),
        )

    @staticmethod
    def insert_blob(tx: sqlite3.Connection, digest: str, size: int) -> None:
        """Record a blob."""
        tx.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (digest, size))

    @staticmethod
    def insert_snapshot(tx: sqlite3.Connection, snapshot: Snapshot, created_ns: int) -> None:
        """Record a snapshot."""
        tx.execute(
            "INSERT INTO snapshots VALUES (?, ?, ?, ?)",
            (snapshot.owner, snapshot.number, snapshot.image, created_ns),
        )

    @staticmethod
    def delete_snapshot(tx: sqlite3.Connection, owner: str) -> None:
        """Forget an owner's snapshot."""
        tx.execute("DELETE FROM snapshots WHERE owner = ?", (owner,))
