"""What is said about an image that was built: how it was built, and what is in it; recorded beside it in an index."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1 import image_pb2, layer_pb2
from scow.build.attestation import bundle, provenance, spdx
from scow.build.attestation.bundle import Statement
from scow.build.attestation.packages import PACKAGES_MAX, RECORD_MAX, Records
from scow.build.attestation.provenance import BuildRecord, Material, Mode, StepRecord
from scow.build.frontend.steps import AnyStep, BuildStage, ContextSource, CopyStep, RunStep, Source
from scow.build.graph import limits
from scow.build.graph.keys import Stack
from scow.build.history.progress import Progress
from scow.build.peers.layers import Layers
from scow.build.store import Record
from scow.core.times import now_ns

_VERSION = "0.1.0"
_TOOL = f"scow-{_VERSION}"
MODES: dict[str, Mode] = {"min": "min", "max": "max"}
# Bytes of all records of packages that are read of one image.
_RECORDS_MAX = 256 << 20
# Bytes of paths that are asked for at once.
_NAMES_MAX = 1 << 20


@dataclass(frozen=True)
class Finished:
    """An image that was built, as far as attestations need it.

    Attributes:
        image: As it was recorded.
        stack: Its layers.
        platform: "linux/amd64".
        stages: What was built, each with the results of its steps.
        dockerfile: Its content.
        materials: What it was built from.
        build: Id of the build.
        started_ns: When that began.
        epoch: SOURCE_DATE_EPOCH, or None.
        cached: Steps whose results were there already, each by the number of its stage and its own.
    """

    image: image_pb2.Image
    stack: Stack
    platform: str
    stages: Sequence[tuple[BuildStage, Sequence[Record]]]
    dockerfile: bytes
    materials: Sequence[Material]
    build: str
    started_ns: int
    epoch: int | None = None
    cached: Collection[tuple[int, int]] = ()


@dataclass(frozen=True)
class Attester:
    """Makes attestations.

    Attributes:
        layers: Who keeps the image.
        progress: Who is told.
        options: Of the build.
    """

    layers: Layers
    progress: Progress
    options: pb.BuildOptions = field(repr=False)

    @property
    def is_wanted(self) -> bool:
        """Whether the build is to have attestations."""
        return bool(self.options.provenance or self.options.sbom)

    async def statements(self, finished: Finished) -> list[Statement]:
        """Return what is said about an image."""
        statements = []
        if self.options.provenance:
            mode = MODES[self.options.provenance]
            with self.progress.step("[internal] provenance").running():
                predicate = provenance.predicate(self._record(finished), mode)
            statements.append(Statement(provenance.PREDICATE_TYPE, predicate))
        if self.options.sbom:
            with self.progress.step("[internal] list of packages").running():
                statements.append(await self._sbom(finished))
        return statements

    async def index(
        self,
        attested: Sequence[tuple[Finished, Sequence[Statement]]],
        names: Sequence[str],
        annotations: Mapping[str, str],
    ) -> layer_pb2.MakeIndexResponse:
        """Record an index of images and their attestations.

        Args:
            attested: Images, with what is said about them.
            names: References for the index.
            annotations: Of the index.
        """
        images = []
        for finished, statements in attested:
            digest = finished.image.manifest_digest
            image = bundle.Image(
                digest,
                len(await self.layers.manifest(digest)),
                finished.platform,
                names=tuple(provenance.image_uri(tag, digest, finished.platform) for tag in names),
            )
            images.append((image, statements))
        made = bundle.make(images, annotations)
        manifests, blobs = made.divided()
        return await self.layers.make_index(
            layer_pb2.MakeIndexRequest(
                index=made.index, manifests=manifests, blobs=blobs, references=names
            )
        )

    async def _sbom(self, finished: Finished) -> Statement:
        records = Records()
        wanted: list[bytes] = []
        size = 0
        async for piece in self.layers.read(finished.stack, b"/", contents=False):
            file = piece.file
            path = os.fsdecode(file.path.lstrip(b"/"))
            if stat.S_ISREG(file.mode) and records.wants(path) and file.size <= RECORD_MAX:
                size += file.size
                if size <= _RECORDS_MAX and len(wanted) < PACKAGES_MAX:
                    wanted.append(file.path)
        for paths in _batches(wanted):
            await self._read(finished.stack, paths, records)
        name = next(iter(self.options.tags), finished.image.id)
        document = spdx.document(
            name,
            records.packages(),
            records.release,
            digest=finished.image.manifest_digest,
            created=_second(finished.epoch, now_ns()),
            tool=_TOOL,
        )
        return Statement(spdx.PREDICATE_TYPE, document)

    async def _read(self, stack: Stack, wanted: Collection[bytes], records: Records) -> None:
        path, data = "", bytearray()
        async for piece in self.layers.read(stack, b"/", only=tuple(wanted)):
            if piece.WhichOneof("piece") == "chunk":
                data += piece.chunk
                continue
            if path:
                await asyncio.to_thread(records.add, path, bytes(data))
            data.clear()
            path = ""
            if stat.S_ISREG(piece.file.mode) and piece.file.path in wanted:
                path = os.fsdecode(piece.file.path.lstrip(b"/"))
        if path:
            await asyncio.to_thread(records.add, path, bytes(data))

    def _record(self, finished: Finished) -> BuildRecord:
        options = self.options
        main = next((context for context in options.contexts if not context.name), None)
        return BuildRecord(
            _VERSION,
            finished.build,
            _second(None, finished.started_ns),
            _second(None, now_ns()),
            finished.dockerfile,
            options.dockerfile_path or "Dockerfile",
            builder_id=options.builder_id or provenance.BUILDER,
            reproducible_at="" if finished.epoch is None else _second(finished.epoch, 0),
            context=main.url if main is not None else "",
            target=options.target,
            platform=finished.platform,
            network=options.network,
            build_args=dict(options.build_args),
            labels=dict(options.labels),
            secrets=options.secrets,
            ssh=options.ssh,
            materials=finished.materials,
            steps=_steps(finished),
            is_complete=_is_complete(finished, options),
        )


def _second(epoch: int | None, ns: int) -> str:
    """Return a time as SPDX and SLSA have it: RFC 3339, UTC, whole seconds."""
    import datetime

    seconds = ns // 1_000_000_000 if epoch is None else epoch
    return f"{datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC):%Y-%m-%dT%H:%M:%SZ}"


def _steps(finished: Finished) -> list[StepRecord]:
    found = []
    for stage, records in finished.stages:
        for number, (step, record) in enumerate(zip(stage.steps, records, strict=True)):
            digest = record.layer.diff_id if record.layer is not None else ""
            line = step.span.start.line
            cached = (stage.index, number) in finished.cached
            found.append(StepRecord(step.title, stage.index, number, digest, line, cached))
    return found


def _batches(paths: Sequence[bytes]) -> Iterator[set[bytes]]:
    """Divide paths, so that a message can have those of each part."""
    batch: set[bytes] = set()
    size = 0
    for path in paths:
        if size + len(path) > _NAMES_MAX and batch:
            yield batch
            batch, size = set(), 0
        batch.add(path)
        size += len(path)
    if batch:
        yield batch


def _is_complete(finished: Finished, options: pb.BuildOptions) -> bool:
    """Tell whether the materials are all that the build has used: no network, no files of a client, no caches."""
    steps = [step for stage, _ in finished.stages for step in stage.steps]
    runs = [step for step in steps if isinstance(step, RunStep)]
    if any(limits.network(step.network, options) != "none" for step in runs):
        return False
    if any(each.mount.type in ("cache", "secret", "ssh") for step in runs for each in step.mounts):
        return False
    remote = {context.name for context in options.contexts if context.url or context.image}
    sources = [source for step in steps for source in _sources(step)]
    return all(not isinstance(s, ContextSource) or s.name in remote for s in sources)


def _sources(step: AnyStep) -> list[Source]:
    """Return what a step has files from."""
    if isinstance(step, CopyStep):
        return [step.source] if step.paths else []
    if isinstance(step, RunStep):
        return [each.source for each in step.mounts if each.source is not None]
    return []
