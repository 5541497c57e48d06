"""Checks: everything is read again and compared with its digests and records.

Blobs are hashed in threads; layers are unpacked once more, in worker processes, and compared with what is there.
Nothing is collected while it is looked at, and what was collected before is not a fault.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from scow.api.image.v1 import store_pb2 as pb
from scow.contract.errors import DiskFull, ScowError
from scow.image.catalog.images import Images, manifests_below
from scow.image.content.blobs import Blobs
from scow.image.content.digests import algorithm_of, matches, new_hash
from scow.image.gc.leases import Leases
from scow.image.integrity.repair import Repairer
from scow.image.layers.store import Layers
from scow.image.metadata.tables import ImageStore, Layer, Manifest
from scow.image.oci import manifests

CORRUPT, MISSING, DIFFERS = "corrupt", "missing", "differs"
_READ = 1 << 20
_MANY = 1 << 20
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Scope:
    """What is checked: blobs with sizes, documents, layers, ids of images; and whether that is everything."""

    blobs: dict[str, int]
    documents: list[Manifest]
    layers: list[Layer]
    images: list[str]
    whole: bool = False

    @property
    def size(self) -> int:
        """Bytes that are read, about."""
        return sum(self.blobs.values()) + sum(layer.tar_size for layer in self.layers)


@dataclass(frozen=True)
class _Outcome:
    """What came of one object: bytes that were read, and what was found."""

    size: int
    findings: list[pb.CheckFinding]


class Checker:
    """Checks the store.

    Args:
        rows: The tables.
        blobs: Files of blobs.
        layers: Folders of layers.
        images: Who finds images.
        leases: What work under way needs.
        repairer: Who makes anew what is wrong.
    """

    def __init__(
        self,
        rows: ImageStore,
        blobs: Blobs,
        layers: Layers,
        images: Images,
        leases: Leases,
        repairer: Repairer,
    ) -> None:
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._images = images
        self._leases = leases
        self._repairer = repairer
        self._at_once = os.cpu_count() or 1

    async def check(self, names: Sequence[str], repair: bool) -> AsyncIterator[pb.CheckResponse]:
        """Check everything, or what these images are made of; tell progress, findings and at last the result.

        Args:
            names: Of images; none means everything.
            repair: Make anew what is wrong.

        Raises:
            ImageNotFound, AmbiguousId, InvalidReference: A name leads to no image.
            DiskFull: There is no room to unpack a layer for the comparison.
        """
        scope = self._scope(names)
        result = pb.CheckResult(
            blobs=len(scope.blobs), layers=len(scope.layers), images=len(scope.images)
        )
        async for outcome in self._outcomes(scope, repair):
            result.size += outcome.size
            for finding in outcome.findings:
                result.faults += 1
                result.repaired += finding.repaired
                yield pb.CheckResponse(finding=finding)
            yield pb.CheckResponse(
                progress=pb.CheckProgress(current=result.size, total=max(scope.size, result.size))
            )
        yield pb.CheckResponse(result=result)

    def _scope(self, names: Sequence[str]) -> _Scope:
        if not names:
            layers = self._rows.all_layers()
            images = [image.id for image in self._rows.images()]
            blobs = {**self._rows.blobs(), **self._lost()}
            return _Scope(blobs, self._rows.all_manifests(), layers, images, whole=True)
        documents: dict[str, Manifest] = {}
        for name in names:
            image = self._images.find(name)
            tops = [self._images.meaning(name, image)]
            tops += [row.digest for row in self._rows.manifests_of(image.id)]
            for top in tops:
                documents.update((row.digest, row) for row in manifests_below(self._rows, top))
        digests = {*documents, *(d for row in documents for d in self._rows.parts(row))}
        found = {row.image for row in documents.values() if row.image is not None}
        unpacked = {x.diff_id: x for image in found for x in self._rows.layers(image)}
        layers = list(unpacked.values())
        digests |= {layer.blob for layer in layers}
        known = {**self._rows.blobs(), **self._lost()}
        blobs = {digest: size for digest, size in known.items() if digest in digests}
        return _Scope(blobs, list(documents.values()), layers, sorted(found))

    def _lost(self) -> dict[str, int]:
        """Return the blobs that an earlier check put aside: they have no record, but are missed."""
        return {
            fault.digest: 0
            for fault in self._rows.faults()
            if fault.kind == "blob" and self._rows.blob_size(fault.digest) is None
        }

    async def _outcomes(self, scope: _Scope, repair: bool) -> AsyncIterator[_Outcome]:
        """Yield what comes of each object: blobs first, as the rest is made of them."""
        blobs = (self._blob(digest, size, repair) for digest, size in scope.blobs.items())
        damaged: set[str] = set()
        async for outcome in as_done(blobs, self._at_once):
            damaged.update(each.id for each in outcome.findings if not each.repaired)
            yield outcome
        yield _Outcome(0, [x for row in scope.documents for x in self._document(row)])
        if scope.whole:
            yield _Outcome(0, [*self._names_to_nothing()])
        yield _Outcome(0, [x for image in scope.images for x in self._image(image)])
        # There is nothing to compare a layer with when its blob is damaged.
        sound = (layer for layer in scope.layers if layer.blob not in damaged)
        layers = (self._layer(layer, repair) for layer in sound)
        async for outcome in as_done(layers, self._at_once):
            yield outcome

    async def _blob(self, digest: str, size: int, repair: bool) -> _Outcome:
        with self._leases.hold([digest]):
            recorded = self._rows.blob_size(digest) is not None
            fault, detail = await asyncio.to_thread(_look, self._blobs.path(digest), digest, size)
            if recorded and self._rows.blob_size(digest) is None:
                return _Outcome(0, [])  # it was collected meanwhile
            if not fault:
                self._repairer.clear("blob", digest)
                return _Outcome(size, [])
            action, repaired = "", False
            if repair:
                action, repaired = await self._repairer.blob(digest, size, fault, detail)
            finding = pb.CheckFinding(
                kind="manifest" if self._rows.manifest(digest) else "blob",
                id=digest,
                fault=fault,
                detail=detail,
                action=action,
                images=self._names(digest),
                repaired=repaired,
            )
            return _Outcome(size, [finding])

    def _document(self, row: Manifest) -> Iterator[pb.CheckFinding]:
        """Yield what is wrong with the record of a document whose bytes are right."""
        data = self._sound(row.digest)
        if data is None:
            return  # told as a blob
        try:
            document = manifests.parse_document(data, row.media_type, _MANY, row.digest)
        except ScowError as error:
            yield self._differs("manifest", row.digest, str(error))
            return
        if [part.digest for part in document.parts] != self._rows.parts(row.digest):
            yield self._differs("manifest", row.digest, "its record names other parts")
        if row.image is not None and row.image != document.parts[0].digest:
            yield self._differs("manifest", row.digest, "its record is of another image")

    def _names_to_nothing(self) -> Iterator[pb.CheckFinding]:
        """Yield the names that lead to no document."""
        for name in self._rows.all_names():
            if self._rows.manifest(name.manifest) is None:
                yield pb.CheckFinding(
                    kind="manifest",
                    id=name.manifest,
                    fault=MISSING,
                    detail=f"the name {name.reference} leads to it",
                    images=[name.reference],
                )

    def _image(self, image_id: str) -> Iterator[pb.CheckFinding]:
        """Yield what is wrong with the record of an image whose configuration is right."""
        data = self._sound(image_id)
        if data is None:
            return
        try:
            diff_ids = list(manifests.parse_configuration(data).diff_ids)
        except ScowError as error:
            yield self._differs("image", image_id, str(error))
            return
        if diff_ids != self._rows.diff_ids(image_id):
            yield self._differs("image", image_id, "its record has other layers")
        if not self._rows.manifests_of(image_id):
            yield self._differs("image", image_id, "no manifest leads to it")

    def _sound(self, digest: str) -> bytes | None:
        """Return a document's bytes, None when they are not what they were or nobody knows them any more."""
        if self._rows.blob_size(digest) is None:
            return None
        with contextlib.suppress(OSError):
            data = self._blobs.read(digest)
            return data if matches(data, digest) else None
        return None

    def _differs(self, kind: str, name: str, detail: str) -> pb.CheckFinding:
        names = self._names(name)
        return pb.CheckFinding(kind=kind, id=name, fault=DIFFERS, detail=detail, images=names)

    async def _layer(self, layer: Layer, repair: bool) -> _Outcome:
        with self._leases.hold([layer.diff_id, layer.blob]):
            known = self._rows.layer(layer.diff_id)
            if known is None or self._rows.blob_size(layer.blob) is None:
                return _Outcome(0, [])  # it was collected meanwhile, or its blob is missed
            try:
                fault, detail, action = await self._compare(known, repair)
            except DiskFull:
                raise
            except ScowError as error:  # the blob is what it was, but not what the record says
                fault, detail, action = DIFFERS, str(error), ""
            if not fault:
                return _Outcome(layer.tar_size, [])
            finding = pb.CheckFinding(
                kind="layer",
                id=layer.diff_id,
                fault=fault,
                detail=detail,
                action=action,
                images=self._names(layer.diff_id),
                repaired=bool(action),
            )
            return _Outcome(layer.tar_size, [finding])

    async def _compare(self, layer: Layer, repair: bool) -> tuple[str, str, str]:
        """Return a layer's fault (or nothing), more about it, and what was done."""
        there = self._layers.path(layer.number).is_dir()
        async with self._layers.fresh(layer) as fresh:
            differences = await fresh.differences() if there else ["its folder is gone"]
            if not differences:
                self._repairer.clear("layer", layer.diff_id)
                return "", "", ""
            action = await self._repairer.layer(fresh) if repair else ""
            return DIFFERS if there else MISSING, "; ".join(differences), action

    def _names(self, digest: str) -> list[str]:
        """Return the names of the images that have something, their ids where they have no names."""
        images = self._rows.images_with(digest)
        names = self._rows.names_of(images)
        return sorted({name for image in images for name in names.get(image, [image])})


def _look(path: Path, digest: str, size: int) -> tuple[str, str]:
    """Return what is wrong with a blob's file, and more about it; empty strings when nothing is."""
    algorithm = algorithm_of(digest)
    found = new_hash(algorithm)
    length = 0
    try:
        with path.open("rb", buffering=0) as file:
            while data := file.read(_READ):
                found.update(data)
                length += len(data)
    except FileNotFoundError:
        return MISSING, "its file is gone"
    except OSError as error:
        return CORRUPT, f"it cannot be read: {error.strerror}"
    if f"{algorithm}:{found.hexdigest()}" == digest:
        return "", ""
    if length != size:
        return CORRUPT, f"it has {length} bytes instead of {size}"
    return CORRUPT, f"its digest is {algorithm}:{found.hexdigest()}"


async def as_done(
    work: Iterable[Coroutine[Any, Any, _Result]], at_once: int
) -> AsyncIterator[_Result]:
    """Do work, so many at once, and yield each result as it comes; the first failure ends all."""
    pending: set[asyncio.Task[_Result]] = set()
    rest = iter(work)
    try:
        while True:
            while len(pending) < at_once and (each := next(rest, None)) is not None:
                pending.add(asyncio.ensure_future(each))
            if not pending:
                return
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                yield task.result()
    finally:
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.wait(pending)
        for each in rest:
            each.close()
