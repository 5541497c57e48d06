"""Images as records: finding, describing, naming, removing; snapshots for owners; what is left over."""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import re
import sqlite3
from collections.abc import Sequence

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter, Mount, ReconcileAction
from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.core import filters as filter_rules
from scow.core.errors import (
    AmbiguousId,
    ImageHasReferences,
    ImageInUse,
    ImageNotFound,
    InvalidArgument,
    InvalidReference,
    PlatformMismatch,
    ScowError,
)
from scow.core.journal import Journal
from scow.core.requests import remember
from scow.core.times import now_ns, to_proto
from scow.image import manifests
from scow.image.blobs import Blobs
from scow.image.layers import Layers
from scow.image.leases import Leases
from scow.image.platforms import Platform, host, runnable
from scow.image.reference import Reference
from scow.image.snapshots import Snapshotter
from scow.image.store import Image, ImageStore, Layer, Name, Snapshot
from scow.image.unpacking import Unpacking

_FILTERS = frozenset({"reference", "label", "dangling", "before", "since"})
_DIGITS = re.compile(r"[0-9a-f]{1,64}")


class Images:
    """All images of one engine."""

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        layers: Layers,
        unpacking: Unpacking,
        leases: Leases,
        journal: Journal,
        snapshots: Snapshotter,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._unpacking = unpacking
        self._leases = leases
        self._journal = journal
        self._snapshots = snapshots
        # Descriptions by id: an image never changes but in its names.
        self._described: dict[str, pb.Image] = {}

    @property
    def driver(self) -> str:
        """Name of the driver that makes snapshots."""
        return self._snapshots.name

    def find(self, name: str) -> Image:
        """Return the image of a reference, id, or unique beginning of an id.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference: As they say.
        """
        digits = name.removeprefix("sha256:")
        whole = name.startswith("sha256:") and len(digits) == 64
        image = self._rows.image(name) if whole else self._named(name)
        if image is None and _DIGITS.fullmatch(digits):
            image = self._starting(name, digits)
        if image is None:
            raise ImageNotFound(
                f"there is no image {name}", what="image", which=name, do="pull it first"
            )
        return image

    def _named(self, name: str) -> Image | None:
        try:
            return self._rows.image_named(str(Reference.parse(name)))
        except InvalidReference:
            if _DIGITS.fullmatch(name.removeprefix("sha256:")):
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
        """Return the message of an image."""
        known = self._described.get(image.id)
        if known is None:
            known = self._described[image.id] = self._read(image)
        message = pb.Image()
        message.CopyFrom(known)
        message.references.extend(self._rows.names(image.id))
        message.repo_digests.extend(self._rows.repo_digests(image.id))
        return message

    def _read(self, image: Image) -> pb.Image:
        config = manifests.parse_configuration(self._blobs.read(image.id))
        return pb.Image(
            id=image.id,
            created_at=to_proto(image.created_ns),
            platform=PlatformMessage(
                os=config.platform.os,
                architecture=config.platform.architecture,
                variant=config.platform.variant,
            ),
            config=config.config,
            size=self._rows.size(image.id),
            diff_ids=config.diff_ids,
            author=config.author,
            comment=config.comment,
            pulled_at=to_proto(image.stored_ns),
            docker_version=config.docker_version,
        )

    def select(self, filters: Sequence[Filter]) -> list[pb.Image]:
        """Return the images that meet the filters, the newest first."""
        wanted = filter_rules.parse(filters, _FILTERS)
        limits = {
            key: [self.find(value).created_ns for value in wanted.get(key, ())]
            for key in ("before", "since")
        }
        found = []
        for image in self._rows.images():
            in_time = all(image.created_ns < limit for limit in limits["before"])
            if in_time and all(image.created_ns > limit for limit in limits["since"]):
                message = self.describe(image)
                if _matches(message, wanted):
                    found.append(message)
        return found

    def tag(self, name: str, reference: str) -> None:
        """Give an image a further name.

        Raises:
            ImageNotFound, InvalidReference: As they say.
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
        named = self._meaning(name, image)
        with self._rows.transaction() as tx:
            self._rows.set_name(tx, Name(str(parsed), named, image.id))
            self._journal.append(tx, "image", image.id, "tag", name=str(parsed))
            remember(tx, pb.TagResponse())

    def _meaning(self, name: str, image: Image) -> str:
        """Return the document that a name of an image stands for; that of an id is the image's manifest."""
        with contextlib.suppress(InvalidReference):
            reference = Reference.parse(name)
            known = self._rows.name(str(reference))
            if known is not None and known.image == image.id:
                return known.manifest
            if reference.digest and self._rows.manifest(reference.digest):
                return reference.digest
        return self._rows.manifests_of(image.id)[0].digest

    async def remove(self, name: str, force: bool) -> pb.RemoveResponse:
        """Drop a name of an image, and the image with its last one.

        Raises:
            ImageNotFound: There is none.
            ImageInUse: A container is made from it.
            ImageHasReferences: It is named by id, has several names, and not `force`.
        """
        image = self.find(name)
        names = self._rows.names(image.id)
        digests = self._rows.repo_digests(image.id)
        chosen = self._chosen(name, names, digests)
        by_id = chosen is None
        if by_id and len(names) > 1 and not force:
            raise ImageHasReferences(
                f"image {name} has several names: {', '.join(names)}",
                what="image",
                which=name,
                do="remove these, or use force",
            )
        last = by_id or (len(names) <= 1 and (chosen in names or not names))
        if last:
            self._check_unused(name, image)
        untagged = [*names, *digests] if last else [chosen or ""]
        layers, blobs = self._forget(image, untagged, last)
        deleted = [image.id, *(layer.diff_id for layer in layers)] if last else []
        await self._delete(layers, blobs)
        return pb.RemoveResponse(untagged=untagged, deleted=deleted)

    @staticmethod
    def _chosen(name: str, names: list[str], digests: list[str]) -> str | None:
        """Return the reference that a name means, None when it is an id."""
        try:
            reference = str(Reference.parse(name))
        except InvalidReference:
            return None
        return reference if reference in names or reference in digests else None

    def _check_unused(self, name: str, image: Image) -> None:
        owners = self._rows.owners_of(image.id)
        if owners:
            raise ImageInUse(
                f"image {name} is used by {', '.join(owners)}",
                what="image",
                which=name,
                do="remove these containers first",
                owners=",".join(owners),
            )

    def _forget(
        self, image: Image, untagged: list[str], last: bool
    ) -> tuple[list[Layer], list[str]]:
        with self._rows.transaction() as tx:
            for reference in untagged:
                self._rows.unname(tx, reference)
                self._rows.drop_repo_digest(tx, reference)
                self._journal.append(tx, "image", image.id, "untag", name=reference)
            layers, blobs = self._forget_image(tx, image) if last else ([], [])
        return layers, blobs

    def _forget_image(self, tx: sqlite3.Connection, image: Image) -> tuple[list[Layer], list[str]]:
        self._rows.delete_image(tx, image.id)
        self._journal.append(tx, "image", image.id, "delete")
        self._described.pop(image.id, None)
        return self._rows.delete_unused(tx, self._leases)

    async def _delete(self, layers: list[Layer], blobs: list[str]) -> None:
        for digest in blobs:
            self._blobs.delete(digest)
        for layer in layers:
            await self._layers.discard(layer.number)

    async def prepare(
        self, name: str, owner: str, platform: Platform | None
    ) -> tuple[pb.Image, list[Mount]]:
        """Make, or find again, an owner's snapshot of an image; return how to mount it.

        Raises:
            ImageNotFound: There is no such image.
            PlatformMismatch: It is for another platform than the machine, or than the one asked for.
            DiskFull: No space is left.
        """
        if not owner:
            raise InvalidArgument("no owner", what="owner", do='give "container/<id>"')
        known = self._rows.snapshot(owner)
        image = self._rows.image(known.image) if known else self.find(name)
        assert image is not None
        message = self.describe(image)
        _check_platform(name, message, platform)
        numbers = [layer.number for layer in await self._unpacking.ensure(image.id)]
        number = known.number if known else self._rows.next_number()
        self._snapshots.make(number, numbers)
        if known is None:
            with self._rows.transaction() as tx:
                self._rows.insert_snapshot(tx, Snapshot(owner, number, image.id), now_ns())
        return message, self._snapshots.mounts(number, numbers)

    async def release(self, owner: str) -> None:
        """Give an owner's snapshot back."""
        known = self._rows.snapshot(owner)
        if known is None:
            return
        with self._rows.transaction() as tx:
            self._rows.delete_snapshot(tx, owner)
        await asyncio.to_thread(self._snapshots.remove, known.number)

    async def usage(self, owner: str) -> tuple[int, int]:
        """Count the bytes and inodes of an owner's snapshot.

        Raises:
            ImageNotFound: The owner has none.
        """
        known = self._rows.snapshot(owner)
        if known is None:
            raise ImageNotFound(
                f"{owner} has no snapshot", what="snapshot", which=owner, do="prepare one first"
            )
        return await asyncio.to_thread(self._snapshots.usage, known.number)

    def owners(self) -> set[str]:
        """Return everyone who has a snapshot."""
        return {snapshot.owner for snapshot in self._rows.snapshots()}

    async def reconcile(
        self, gone: set[str], ingesting: set[str], keep_seconds: float
    ) -> list[ReconcileAction]:
        """Release owners that are gone and delete what has no record.

        Args:
            gone: Owners that are gone.
            ingesting: Names of ingests that are being written.
            keep_seconds: For which a cut download is kept.
        """
        actions = []
        for owner in sorted(gone):
            await self.release(owner)
            actions.append(_action(f"snapshot/{owner}", "released", "its owner is gone"))
        with self._rows.transaction() as tx:
            layers, blobs = self._rows.delete_unused(tx, self._leases)
        await self._delete(layers, blobs)
        actions += [_action(f"layer/{x.diff_id}", "released", "no image has it") for x in layers]
        actions += await self._delete_strays()
        actions += await self._rebuild_layers()
        for name in self._blobs.prune_ingests(keep_seconds, ingesting):
            actions.append(_action(f"ingest/{name}", "released", "nobody went on with it"))
        return actions

    async def _rebuild_layers(self) -> list[ReconcileAction]:
        actions = []
        for layer in self._layers.missing():
            name = f"layer/{layer.diff_id}"
            try:
                await self._layers.rebuild(layer)
            except ScowError as error:
                actions.append(_action(name, "missing", str(error)))
            else:
                actions.append(_action(name, "rebuilt", "its folder was missing"))
        return actions

    async def _delete_strays(self) -> list[ReconcileAction]:
        actions = []
        for number in self._layers.strays():
            await self._layers.discard(number)
            actions.append(_action(f"layer/{number}", "released", "a folder without a record"))
        recorded = {snapshot.number for snapshot in self._rows.snapshots()}
        for number in sorted(self._snapshots.numbers() - recorded):
            await asyncio.to_thread(self._snapshots.remove, number)
            actions.append(_action(f"snapshot/{number}", "released", "a folder without a record"))
        for digest in sorted(self._blobs.digests() - self._rows.all_blobs()):
            if digest not in self._leases:
                self._blobs.delete(digest)
                actions.append(_action(f"blob/{digest}", "released", "a file without a record"))
        return actions


def _check_platform(name: str, image: pb.Image, wanted: Platform | None) -> None:
    about = image.platform
    platform = Platform(about.os, about.architecture, about.variant)
    if not runnable(platform, wanted) or not runnable(platform):
        raise PlatformMismatch(
            f"image {name} is for {platform}, not for {wanted or host()}",
            what="image",
            which=name,
            do=f"pull it with --platform {wanted or host()}, or use another image",
        )


def _matches(image: pb.Image, wanted: dict[str, list[str]]) -> bool:
    for key, values in wanted.items():
        if key == "reference" and not any(_fits(image, pattern) for pattern in values):
            return False
        if key == "label" and not filter_rules.match_labels(image.config.labels, values):
            return False
        if key == "dangling" and filter_rules.boolean(key, values) == bool(image.references):
            return False
    return True


def _fits(image: pb.Image, pattern: str) -> bool:
    """Tell whether a pattern fits a name of the image, with or without its tag, long or short."""
    for text in image.references:
        reference = Reference.parse(text)
        short = reference.familiar
        forms = (text, reference.repository, short, short.rpartition(":")[0])
        if any(fnmatch.fnmatchcase(form, pattern) for form in forms):
            return True
    return False


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=action, detail=detail)
