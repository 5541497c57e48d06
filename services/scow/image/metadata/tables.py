"""The image service's tables.

::

    images          id (key) | created_ns | stored_ns | used_ns | pinned      id: digest of the configuration
    image_layers    image, position (key) | diff_id                           lowest first, unpacked or not
    descriptions    image (key) | message                                     what never changes of its pb.Image
    manifests       digest (key) | media_type | image | subject | artifact_type    image: none for indexes and artifacts
    manifest_parts  manifest, position (key) | digest                         all that it names, here or not
    origins         manifest, repository (key)                                where its parts are, if not here
    names           reference (key) | manifest | image                        image: what it means on this machine
    repo_digests    digest_reference (key) | image                            NAME@sha256:... of pulls and pushes
    blobs           digest (key) | size                                       files in blobs/sha256/
    layers          diff_id (key) | number | driver | blob | size | tar_size | inodes   folders layers/<number>
    snapshots       owner (key) | number | image | created_ns                 folders snapshots/<number>
    leases          id (key) | expires_ns | labels                            labels: JSON
    lease_content   lease, digest (key)                                       of blobs, manifests and images
    compressed      plain, kind (key) | digest                                a blob as it is, and as "gzip" or "zstd"
    transient       image (key)                                               images that only work under way needs
    faults          kind, digest (key) | fault | detail | found_ns            "blob"s and "layer"s that stayed damaged
    numbers         last                                                      the last number that was given out

A manifest or index is a blob too. What is held: names, repo digests, leases and images hold manifests, a manifest
holds its parts and what refers to it as its subject, an image its layers; the rest is collected.

A file or folder is there, complete, before its row is, and its row is gone before it is deleted: what has no
row is a leftover. Numbers are never used twice, so a leftover is never mistaken for something newer.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Container, Iterable

from scow.core.store import Store
from scow.image.metadata.queries import BELOW, BLOBS_NOT_HELD, LAYERS_NOT_HELD, UNNAMED
from scow.image.metadata.reader import Reader
from scow.image.metadata.rows import Fault, Image, Layer, Lease, Manifest, Name, Snapshot

__all__ = [
    "MIGRATIONS",
    "Fault",
    "Image",
    "ImageStore",
    "Layer",
    "Lease",
    "Manifest",
    "Name",
    "Snapshot",
]

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
    CREATE TABLE descriptions (
        image TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE,
        message BLOB NOT NULL
    );
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
    CREATE TABLE origins (
        manifest TEXT NOT NULL REFERENCES manifests(digest) ON DELETE CASCADE,
        repository TEXT NOT NULL,
        PRIMARY KEY (manifest, repository)
    );
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
    CREATE INDEX layers_blob ON layers(blob);
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
    CREATE TABLE faults (
        kind TEXT NOT NULL,
        digest TEXT NOT NULL,
        fault TEXT NOT NULL,
        detail TEXT NOT NULL,
        found_ns INTEGER NOT NULL,
        PRIMARY KEY (kind, digest)
    );
    CREATE TABLE numbers (last INTEGER NOT NULL);
    INSERT INTO numbers VALUES (0);
    """,
    """
    CREATE TABLE transient (
        image TEXT PRIMARY KEY REFERENCES images(id) ON DELETE CASCADE
    );
    """,
    """
    CREATE TABLE compressed (
        plain TEXT NOT NULL,
        kind TEXT NOT NULL,
        digest TEXT NOT NULL REFERENCES blobs(digest) ON DELETE CASCADE,
        PRIMARY KEY (plain, kind)
    );
    """,
)


class ImageStore(Reader):
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.transaction = store.transaction

    def next_number(self) -> int:
        """Return a number that was never given out before."""
        with self._store.transaction() as tx:
            tx.execute("UPDATE numbers SET last = last + 1")
        row = self._store.one("SELECT last FROM numbers")
        assert row is not None
        return int(row["last"])

    @staticmethod
    def insert_image(
        tx: sqlite3.Connection, image: Image, diff_ids: Iterable[str], description: bytes
    ) -> None:
        """Record an image; of one that is known only the time of its last use changes.

        Args:
            tx: The transaction.
            image: The image.
            diff_ids: Its layers, the lowest first.
            description: What never changes of its message, serialized.
        """
        tx.execute(
            "INSERT INTO images VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET used_ns = max(used_ns, excluded.used_ns)",
            (image.id, image.created_ns, image.stored_ns, image.used_ns, image.pinned),
        )
        tx.execute("INSERT OR REPLACE INTO descriptions VALUES (?, ?)", (image.id, description))
        tx.executemany(
            "INSERT OR IGNORE INTO image_layers VALUES (?, ?, ?)",
            [(image.id, position, diff_id) for position, diff_id in enumerate(diff_ids)],
        )

    @staticmethod
    def insert_manifest(tx: sqlite3.Connection, manifest: Manifest, parts: Iterable[str]) -> None:
        """Record a manifest, index or artifact whose blob is recorded, with all that it names."""
        tx.execute(
            "INSERT INTO manifests VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (digest) DO UPDATE SET image = coalesce(excluded.image, image),"
            " subject = coalesce(subject, excluded.subject)",
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
    def add_origin(tx: sqlite3.Connection, manifest: str, repository: str) -> None:
        """Record in which repository the parts of a manifest can be had."""
        tx.execute("INSERT OR IGNORE INTO origins VALUES (?, ?)", (manifest, repository))

    @staticmethod
    def delete_image(tx: sqlite3.Connection, image_id: str) -> None:
        """Forget an image without references and snapshots."""
        tx.execute("DELETE FROM images WHERE id = ?", (image_id,))

    @staticmethod
    def unnamed_below(tx: sqlite3.Connection, documents: Iterable[str]) -> list[str]:
        """Return the images below documents, through any depth of indexes, that no name leads to."""
        wanted = (json.dumps([*set(documents)]),)
        below = {row["image"] for row in tx.execute(BELOW, wanted)}
        return [row["id"] for row in tx.execute(UNNAMED) if row["id"] in below] if below else []

    @staticmethod
    def set_used(tx: sqlite3.Connection, image_id: str, now: int) -> None:
        """Note that an image was used at a time."""
        tx.execute("UPDATE images SET used_ns = max(used_ns, ?) WHERE id = ?", (now, image_id))

    @staticmethod
    def set_transient(tx: sqlite3.Connection, image_id: str, transient: bool) -> None:
        """Note that an image is needed for work under way alone, or that it is not."""
        if transient:
            tx.execute("INSERT OR IGNORE INTO transient VALUES (?)", (image_id,))
        else:
            tx.execute("DELETE FROM transient WHERE image = ?", (image_id,))

    @staticmethod
    def set_compressed(tx: sqlite3.Connection, plain: str, kind: str, digest: str) -> None:
        """Record that a blob is another one, compressed."""
        tx.execute("INSERT OR REPLACE INTO compressed VALUES (?, ?, ?)", (plain, kind, digest))

    @staticmethod
    def set_pinned(tx: sqlite3.Connection, image_id: str, pinned: bool) -> None:
        """Pin an image, or let it go."""
        tx.execute("UPDATE images SET pinned = ? WHERE id = ?", (int(pinned), image_id))

    @staticmethod
    def delete_unused(
        tx: sqlite3.Connection, held: Container[str]
    ) -> tuple[list[Layer], list[tuple[str, int]]]:
        """Forget the layers, manifests and blobs that nothing holds; return the layers and blobs, these with sizes.

        Args:
            tx: The transaction.
            held: What work under way holds.
        """
        found = tx.execute(LAYERS_NOT_HELD)
        layers = [layer for row in found if (layer := Layer(**row)).diff_id not in held]
        gone = [(layer.diff_id,) for layer in layers]
        tx.executemany("DELETE FROM layers WHERE diff_id = ?", gone)
        found = tx.execute(BLOBS_NOT_HELD)
        blobs = [(row["digest"], row["size"]) for row in found if row["digest"] not in held]
        gone = [(digest,) for digest, _ in blobs]
        tx.executemany("DELETE FROM manifests WHERE digest = ?", gone)
        tx.executemany("DELETE FROM blobs WHERE digest = ?", gone)
        tx.execute(
            "DELETE FROM faults WHERE kind = 'layer' AND digest NOT IN (SELECT diff_id FROM layers)"
            " OR kind = 'blob' AND digest NOT IN (SELECT digest FROM blobs)"
            " AND digest NOT IN (SELECT digest FROM manifest_parts)"
        )
        return layers, blobs

    @staticmethod
    def set_name(tx: sqlite3.Connection, name: Name) -> None:
        """Give a reference a meaning, in place of the one that it had."""
        tx.execute(
            "INSERT OR REPLACE INTO names VALUES (?, ?, ?)",
            (name.reference, name.manifest, name.image),
        )
        tx.execute("DELETE FROM transient WHERE image = ?", (name.image,))

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
        """Record an unpacked layer; whatever was wrong with an earlier one is forgotten."""
        tx.execute("DELETE FROM faults WHERE kind = 'layer' AND digest = ?", (layer.diff_id,))
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
        """Record a blob; whatever was wrong with an earlier one is forgotten."""
        tx.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (digest, size))
        tx.execute("DELETE FROM faults WHERE kind = 'blob' AND digest = ?", (digest,))

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

    @staticmethod
    def set_layer_driver(tx: sqlite3.Connection, diff_id: str, driver: str) -> None:
        """Record that a layer is made anew, perhaps in another form."""
        tx.execute("UPDATE layers SET driver = ? WHERE diff_id = ?", (driver, diff_id))

    @staticmethod
    def delete_blob(tx: sqlite3.Connection, digest: str) -> None:
        """Forget a blob whose file is lost. What names it stays: it may be fetched again."""
        tx.execute("DELETE FROM blobs WHERE digest = ?", (digest,))

    @staticmethod
    def set_lease(tx: sqlite3.Connection, lease: Lease, digests: Iterable[str]) -> None:
        """Record a lease or its new end; what it keeps is added to what it kept."""
        tx.execute(
            "INSERT INTO leases VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET expires_ns = excluded.expires_ns",
            (lease.id, lease.expires_ns, lease.labels),
        )
        tx.executemany(
            "INSERT OR IGNORE INTO lease_content VALUES (?, ?)",
            [(lease.id, digest) for digest in digests],
        )

    @staticmethod
    def delete_lease(tx: sqlite3.Connection, lease_id: str) -> bool:
        """Forget a lease; tell whether there was one."""
        return tx.execute("DELETE FROM leases WHERE id = ?", (lease_id,)).rowcount > 0

    @staticmethod
    def delete_expired(tx: sqlite3.Connection, now: int) -> list[str]:
        """Forget the leases that have ended; return their ids."""
        found = tx.execute("DELETE FROM leases WHERE expires_ns <= ? RETURNING id", (now,))
        return [row["id"] for row in found.fetchall()]

    @staticmethod
    def set_fault(tx: sqlite3.Connection, fault: Fault) -> None:
        """Record that a blob or layer is damaged."""
        tx.execute(
            "INSERT OR REPLACE INTO faults VALUES (?, ?, ?, ?, ?)",
            (fault.kind, fault.digest, fault.fault, fault.detail, fault.found_ns),
        )

    @staticmethod
    def clear_fault(tx: sqlite3.Connection, kind: str, digest: str) -> None:
        """Forget a fault: all is right again."""
        tx.execute("DELETE FROM faults WHERE kind = ? AND digest = ?", (kind, digest))
