"""Removing images: names go one by one, the image with the last of them (as `docker rmi` decides it)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass

from scow.contract.errors import ImageHasReferences, ImageInUse, InvalidReference
from scow.core.requests import remember
from scow.image.catalog.images import Images
from scow.image.gc.collector import Collector, Gone
from scow.image.metadata.tables import Image, ImageStore, Name
from scow.image.oci.reference import Reference

Running = Callable[[Collection[str]], Awaitable[set[str]]]


@dataclass(frozen=True)
class _Target:
    """An image that shall go, or one name of it.

    Attributes:
        name: As the caller gave it.
        image: The image.
        chosen: The reference that the name is, empty when it is an id.
        names: All references of the image.
        digests: All its digest references.
        owners: Who has a snapshot of it.
    """

    name: str
    image: Image
    chosen: str
    names: list[str]
    digests: list[str]
    owners: list[str]

    @property
    def is_single(self) -> bool:
        """Tell whether all that it is called is one tag, and digests of the same repository."""
        repositories = {each.partition("@")[0] for each in self.digests}
        repositories |= {_repository(each) for each in self.names}
        return len(self.names) <= 1 and len(repositories) <= 1


@dataclass(frozen=True)
class Removed:
    """What is gone.

    Attributes:
        untagged: References and digest references.
        deleted: Ids of images, then diff ids of layers and digests of documents.
    """

    untagged: list[str]
    deleted: list[str]


class Removal:
    """Removes images.

    Args:
        rows: The tables.
        images: Who finds them.
        collector: Who deletes what nothing holds any more.
        running: Tells which of some owners are running containers.
    """

    def __init__(
        self,
        rows: ImageStore,
        images: Images,
        collector: Collector,
        running: Running,
    ) -> None:
        self._rows = rows
        self._images = images
        self._collector = collector
        self._running = running

    async def remove(self, name: str, force: bool) -> Removed:
        """Drop a name of an image, and the image with its last one.

        A snapshot, or a client's lease, keeps an image that has lost its names: it is dangling then.

        Args:
            name: A reference, digest reference, id or unique beginning of one.
            force: Drop the last name also when a container is made from the image, and all names of an id; only a
                running container keeps an image named by id from that.

        Raises:
            ImageNotFound: There is none.
            ImageInUse: A container is made from it.
            ImageHasReferences: It is named by id, has several names, and not `force`.
        """
        document = self._without_image(name)
        if document is not None:
            return await self._remove_document(document)
        target = self._target(name)
        # Only a forced removal by id depends on what runs; names may come and go while that is asked.
        running: set[str] = set()
        if force and not target.chosen and target.owners:
            running = await self._running(target.owners)
            target = self._target(name)
        untagged = self._untagged(target, force, running)
        response, gone = self._forget(target, untagged)
        await self._collector.discard(gone)
        return response

    def _target(self, name: str) -> _Target:
        image = self._images.find(name)
        names, digests = self._rows.names(image.id), self._rows.repo_digests(image.id)
        try:
            reference = str(Reference.parse(name))
        except InvalidReference:
            reference = ""
        chosen = reference if reference in (*names, *digests) else ""
        return _Target(name, image, chosen, names, digests, self._rows.owners_of(image.id))

    def _untagged(self, target: _Target, force: bool, running: set[str]) -> list[str]:
        """Return which references go.

        Raises:
            ImageInUse, ImageHasReferences: As of `remove`.
        """
        if not target.chosen:
            if not target.is_single and not force:
                raise _named_often(target)
            if running or (target.owners and not force):
                raise _in_use(target, sorted(running) or target.owners)
            return [*target.names, *target.digests]
        if target.is_single and target.owners and not force and len(target.names) <= 1:
            raise _in_use(target, target.owners)
        untagged = [target.chosen]
        repository = _repository(target.chosen)
        others = [each for each in target.names if each != target.chosen]
        if "@" not in target.chosen and repository not in map(_repository, others):
            untagged += [each for each in target.digests if _repository(each) == repository]
        return untagged

    def _forget(self, target: _Target, untagged: list[str]) -> tuple[Removed, Gone]:
        image = target.image.id
        with self._rows.transaction() as tx:
            dropped = [self._collector.untag(tx, image, reference) for reference in untagged]
            rest = self._rows.names(image) or self._rows.repo_digests(image)
            kept = rest or target.owners or image in self._rows.leased_images()
            gone = self._collector.forget(tx, [] if kept else [image], dropped)
            removed = Removed(untagged, gone.digests)
            remember(tx, removed)
        return removed, gone

    def _without_image(self, name: str) -> Name | None:
        """Return the name when it means something that is not an image on this machine."""
        try:
            known = self._rows.name(str(Reference.parse(name)))
        except InvalidReference:
            return None
        return known if known is not None and known.image is None else None

    async def _remove_document(self, name: Name) -> Removed:
        """Drop the name of an artifact, or of an index of others' images."""
        with self._rows.transaction() as tx:
            untagged = [name.reference]
            repository = _repository(name.reference)
            others = {
                _repository(other.reference)
                for other in self._rows.all_names()
                if other.manifest == name.manifest and other.reference != name.reference
            }
            if repository not in others and repository in self._rows.repositories_of(name.manifest):
                untagged.append(f"{repository}@{name.manifest}")
            for reference in untagged:
                self._collector.untag(tx, name.manifest, reference)
            gone = self._collector.forget(tx, [], [name.manifest])
            deleted = [*gone.digests]
            if name.manifest in {digest for digest, _ in gone.blobs}:
                deleted.insert(0, name.manifest)
            removed = Removed(untagged, deleted)
            remember(tx, removed)
        await self._collector.discard(gone)
        return removed


def _repository(reference: str) -> str:
    return Reference.parse(reference).repository


def _in_use(target: _Target, owners: Collection[str]) -> ImageInUse:
    return ImageInUse(
        f"image {target.name} is used by {', '.join(owners)}",
        what="image",
        which=target.name,
        do="remove these containers first",
        owners=",".join(owners),
    )


def _named_often(target: _Target) -> ImageHasReferences:
    return ImageHasReferences(
        f"image {target.name} has several names: {', '.join([*target.names, *target.digests])}",
        what="image",
        which=target.name,
        do="remove these, or use force",
    )
