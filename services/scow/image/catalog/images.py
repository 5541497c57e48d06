"""Images as records: finding, describing, naming."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Platform
from scow.contract.errors import (
    AmbiguousId,
    ContentMissing,
    ImageNotFound,
    InvalidReference,
    PlatformNotFound,
)
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.image.catalog.description import history, platform_message
from scow.image.content.blobs import Blobs
from scow.image.content.digests import digits_of, is_digest
from scow.image.metadata.tables import Image, ImageStore, Manifest, Name
from scow.image.oci import platforms
from scow.image.oci.manifests import parse_configuration
from scow.image.oci.reference import Reference

_DIGITS = re.compile(r"[0-9a-f]{1,128}")


class Images:
    """All images of one engine.

    Args:
        rows: The tables.
        blobs: Where their documents are.
        journal: Of changes.
    """

    def __init__(self, rows: ImageStore, blobs: Blobs, journal: Journal) -> None:
        self._rows = rows
        self._blobs = blobs
        self._journal = journal

    def find(self, name: str) -> Image:
        """Return the image of a reference, id, or unique beginning of an id.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference: See these classes.
        """
        digits = digits_of(name)
        image = self._rows.image(name) if is_digest(name) else self._named(name)
        if image is None and _DIGITS.fullmatch(digits):
            image = self._starting(name, digits)
        if image is None:
            raise ImageNotFound(
                f"there is no image {name}",
                what="image",
                which=name,
                do="see `scow images` for those there are",
            )
        return image

    def find_for(self, name: str, platform: platforms.Platform) -> Image:
        """Return the image of a name for a platform: of an index that is kept whole, the one that fits best.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference: See these classes.
            PlatformNotFound: The name means images of other platforms alone.
        """
        image = self.find(name)
        below = manifests_below(self._rows, self.meaning(name, image))
        ids = list(dict.fromkeys([image.id, *(row.image for row in below if row.image)]))
        found = [parse_configuration(self._read(each)).platform for each in ids]
        best = platforms.choose(found, platform)
        chosen = self._rows.image(ids[best]) if best is not None else None
        if chosen is None:
            have = ", ".join(map(str, found))
            raise PlatformNotFound(
                f"image {name} is here for {have}, not for {platform}",
                what="platform",
                which=str(platform),
                do=f"pull it with --platform {platform}",
            )
        return chosen

    def _named(self, name: str) -> Image | None:
        try:
            return self._rows.image_named(str(Reference.parse(name)))
        except InvalidReference:
            if _DIGITS.fullmatch(digits_of(name)):
                return None
            raise

    def _starting(self, name: str, digits: str) -> Image | None:
        found = self._rows.images_starting(digits)
        if len(found) > 1:
            raise AmbiguousId(
                f"{name} is the beginning of several ids",
                what="image",
                which=name,
                do="give more digits: " + ", ".join(image.id[7:19] for image in found[:5]),
            )
        return found[0] if found else None

    def describe(self, image: Image) -> pb.Image:
        """Return the message of an image.

        Raises:
            ImageNotFound: It was removed meanwhile.
        """
        found = self.describe_all([image])
        if not found:
            raise ImageNotFound(
                f"there is no image {image.id}",
                what="image",
                which=image.id,
                do="see `scow images` for those there are",
            )
        return found[0]

    def describe_all(self, images: Sequence[Image], *, sizes: bool = False) -> list[pb.Image]:
        """Return the messages of images, with a handful of queries for all of them.

        Args:
            images: The images; those that are gone meanwhile are left out.
            sizes: Also count the bytes that other images share.
        """
        ids = [image.id for image in images]
        rows = {row["id"]: row for row in self._rows.image_rows(ids)}
        names, digests = self._rows.names_of(ids), self._rows.repo_digests_of(ids)
        faults = self._rows.faults_of(ids)
        shared = self._rows.shared_sizes(ids) if sizes else None
        messages = []
        for image in images:
            row = rows.get(image.id)
            if row is None:
                continue
            message = pb.Image.FromString(row["message"])
            message.references.extend(names.get(image.id, ()))
            message.repo_digests.extend(digests.get(image.id, ()))
            message.size = row["size"]
            message.pulled_at.FromNanoseconds(image.stored_ns)
            message.used_at.FromNanoseconds(image.used_ns)
            message.pinned = bool(image.pinned)
            message.manifest_digest = row["manifest"] or ""
            message.shared_size = -1 if shared is None else shared.get(image.id, 0)
            message.snapshots = row["snapshots"]
            message.damaged.extend(faults.get(image.id, ()))
            messages.append(message)
        return messages

    def details(self, name: str, platform: platforms.Platform | None = None) -> pb.GetResponse:
        """Describe one image with its documents and its history.

        Args:
            name: Of the image.
            platform: Which image of an index; None means what the name means on this machine.

        Raises:
            ImageNotFound, PlatformNotFound, AmbiguousId, InvalidReference: See these classes.
            ContentMissing: A document is damaged.
        """
        meant = self.find(name)
        image = self.find_for(name, platform) if platform is not None else meant
        manifest, index = self._documents(self.meaning(name, meant), image)
        configuration = self._read(image.id)
        response = pb.GetResponse(
            image=self.describe(image),
            configuration=configuration,
            manifest=self._read(manifest),
            history=history(configuration, self._rows.layer_sizes(image.id)),
        )
        if index:
            response.index = self._read(index)
            response.platforms.extend(self._platforms(index))
        return response

    def _documents(self, top: str, image: Image) -> tuple[str, str]:
        """Return the manifest of an image, and the index by which a name means it, or an empty string."""
        own = [row.digest for row in self._rows.manifests_of(image.id)]
        if top in own or not own:
            return top, ""
        below = set(self._rows.parts(top))
        return next((digest for digest in own if digest in below), own[0]), top

    def _platforms(self, index: str) -> list[Platform]:
        """Return the platforms of an index whose images are here."""
        found = []
        for digest in self._rows.parts(index):
            row = self._rows.manifest(digest)
            if row is not None and row.image is not None:
                configuration = parse_configuration(self._read(row.image))
                found.append(platform_message(configuration.platform))
        return found

    def _read(self, digest: str) -> bytes:
        try:
            return self._blobs.read(digest)
        except FileNotFoundError:
            raise ContentMissing(
                f"the document {digest} is not here",
                what="blob",
                which=digest,
                do="repair the store with `scow system check --repair`, or pull the image again",
            ) from None

    def tag(self, name: str, reference: str) -> None:
        """Give an image a further name.

        Raises:
            ImageNotFound, InvalidReference: See these classes.
        """
        image = self.find(name)
        parsed = Reference.parse(reference)
        if parsed.digest:
            raise InvalidReference(
                f"{reference!r} has a digest",
                what="reference",
                which=reference,
                do="give NAME[:TAG]: a digest is what an image has, not what it is given",
            )
        named = self.meaning(name, image)
        with self._rows.transaction() as tx:
            self._rows.set_name(tx, Name(str(parsed), named, image.id))
            self._journal.append(tx, "image", image.id, "tag", {"name": str(parsed)})
            remember(tx)

    def meaning(self, name: str, image: Image) -> str:
        """Return the document that a name of an image stands for; that of an id is the image's manifest."""
        with contextlib.suppress(InvalidReference):
            reference = Reference.parse(name)
            known = self._rows.name(str(reference))
            if known is not None and known.image == image.id:
                return known.manifest
            if reference.digest and self._rows.manifest(reference.digest):
                return reference.digest
        return self._rows.manifests_of(image.id)[0].digest

    def pin(self, name: str, pinned: bool) -> None:
        """Keep an image from being collected and pruned, or let it go again.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference: See these classes.
        """
        image = self.find(name)
        with self._rows.transaction() as tx:
            self._rows.set_pinned(tx, image.id, pinned)
            self._journal.append(
                tx, "image", image.id, "pin" if pinned else "unpin", {"name": name}
            )

    def content(self, name: str) -> list[str]:
        """Return what a lease on a name keeps: the image, and the document that the name stands for.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference: See these classes.
        """
        image = self.find(name)
        return [image.id, self.meaning(name, image)]


def manifests_below(rows: ImageStore, digest: str) -> list[Manifest]:
    """Return a document and those that it names, through any depth of indexes, as far as they are here."""
    found: dict[str, Manifest] = {}
    pending = [digest]
    while pending:
        row = rows.manifest(pending.pop())
        if row is not None and row.digest not in found:
            found[row.digest] = row
            pending += rows.parts(row.digest) if row.image is None else []
    return list(found.values())
