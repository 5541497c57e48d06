"""The image service's tables.

::

    images        id (key) | manifest | created_ns | stored_ns | size        id: digest of the configuration blob
    image_layers  image, position (key) | diff_id                            lowest first
    names         reference (key) | image                                    complete references
    repo_digests  digest_reference (key) | image                             NAME@sha256:... by which it was pulled
    blobs         digest (key) | size                                        files in blobs/sha256/
    image_blobs   image, digest (key)                                        which blobs an image consists of
    layers        diff_id (key) | number | blob | size | tar_size | inodes   folders layers/<number>
    snapshots     owner (key) | number | image | created_ns                  folders snapshots/<number>
    numbers       last                                                       the last number that was given out

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
        manifest TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        stored_ns INTEGER NOT NULL,
        size INTEGER NOT NULL
    );
    CREATE TABLE layers (
        diff_id TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        blob TEXT NOT NULL,
        size INTEGER NOT NULL,
        tar_size INTEGER NOT NULL,
        inodes INTEGER NOT NULL
    );
    CREATE TABLE image_layers (
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        diff_id TEXT NOT NULL REFERENCES layers(diff_id),
        PRIMARY KEY (image, position)
    );
    CREATE INDEX image_layers_diff_id ON image_layers(diff_id);
    CREATE TABLE names (
        reference TEXT PRIMARY KEY,
        image TEXT NOT NULL REFERENCES images(id)
    );
    CREATE INDEX names_image ON names(image);
    CREATE TABLE repo_digests (
        digest_reference TEXT PRIMARY KEY,
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE
    );
    CREATE INDEX repo_digests_image ON repo_digests(image);
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL
    );
    CREATE TABLE image_blobs (
        image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
        digest TEXT NOT NULL REFERENCES blobs(digest),
        PRIMARY KEY (image, digest)
    );
    CREATE INDEX image_blobs_digest ON image_blobs(digest);
    CREATE TABLE snapshots (
        owner TEXT PRIMARY KEY,
        number INTEGER NOT NULL UNIQUE,
        image TEXT NOT NULL REFERENCES images(id),
        created_ns INTEGER NOT NULL
    );
    CREATE INDEX snapshots_image ON snapshots(image);
    CREATE TABLE numbers (last INTEGER NOT NULL);
    INSERT INTO numbers VALUES (0);
    """,
)


@dataclass(frozen=True)
class Layer:
    """An unpacked layer: `size` counts its files' bytes, `tar_size` those of its plain tar."""

    diff_id: str
    number: int
    blob: str
    size: int
    tar_size: int
    inodes: int


@dataclass(frozen=True)
class Image:
    """An image as it is recorded; `manifest` is the digest of its manifest, `size` of its layers' files."""

    id: str
    manifest: str
    created_ns: int
    stored_ns: int
    size: int


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

    def layers(self, image_id: str) -> list[Layer]:
        """Return an image's layers, the lowest first."""
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
    def insert_image(
        tx: sqlite3.Connection, image: Image, diff_ids: Iterable[str], blobs: Iterable[str]
    ) -> None:
        """Record an image whose layers and blobs are recorded."""
        tx.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            (image.id, image.manifest, image.created_ns, image.stored_ns, image.size),
        )
        tx.executemany(
            "INSERT OR IGNORE INTO image_layers VALUES (?, ?, ?)",
            [(image.id, position, diff_id) for position, diff_id in enumerate(diff_ids)],
        )
        tx.executemany(
            "INSERT OR IGNORE INTO image_blobs VALUES (?, ?)",
            [(image.id, digest) for digest in set(blobs)],
        )

    @staticmethod
    def delete_image(tx: sqlite3.Connection, image_id: str) -> None:
        """Forget an image without references and snapshots."""
        tx.execute("DELETE FROM images WHERE id = ?", (image_id,))

    @staticmethod
    def delete_unused(
        tx: sqlite3.Connection, held: Container[str]
    ) -> tuple[list[Layer], list[str]]:
        """Forget the layers and blobs that no image has and nobody holds; return them."""
        found = tx.execute(
            "SELECT * FROM layers WHERE diff_id NOT IN (SELECT diff_id FROM image_layers)"
        )
        layers = [layer for row in found if (layer := Layer(**row)).diff_id not in held]
        found = tx.execute(
            "SELECT digest FROM blobs WHERE digest NOT IN (SELECT digest FROM image_blobs)"
        )
        blobs = [row["digest"] for row in found if row["digest"] not in held]
        tx.executemany("DELETE FROM layers WHERE diff_id = ?", [(x.diff_id,) for x in layers])
        tx.executemany("DELETE FROM blobs WHERE digest = ?", [(digest,) for digest in blobs])
        return layers, blobs

    @staticmethod
    def name(tx: sqlite3.Connection, reference: str, image_id: str) -> None:
        """Give an image a reference, taking it from another image."""
        tx.execute("INSERT OR REPLACE INTO names VALUES (?, ?)", (reference, image_id))

    @staticmethod
    def unname(tx: sqlite3.Connection, reference: str) -> None:
        """Drop a reference."""
        tx.execute("DELETE FROM names WHERE reference = ?", (reference,))

    @staticmethod
    def add_repo_digest(tx: sqlite3.Connection, digest_reference: str, image_id: str) -> None:
        """Record that an image was pulled by this digest."""
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
            "INSERT INTO layers VALUES (?, ?, ?, ?, ?, ?)",
            (layer.diff_id, layer.number, layer.blob, layer.size, layer.tar_size, layer.inodes),
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
