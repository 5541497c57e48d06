"""Rows of the tables, as plain data (see `store`)."""

from __future__ import annotations

from dataclasses import dataclass


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


@dataclass(frozen=True)
class Lease:
    """What somebody keeps until a time, by digest."""

    id: str
    expires_ns: int
    labels: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with a "blob" or "layer", by its digest: found by a check and not repaired."""

    kind: str
    digest: str
    fault: str
    detail: str
    found_ns: int
