"""Outputs: the image in the store, at a registry, in an archive, or files.

| type | what |
|---|---|
| `image` | the image in the store, with the tags or `name=`; with `push=true` at its registry too |
| `registry` | `image` with `push=true` |
| `docker`, `oci` | an archive of the image, sent to the client |
| `tar`, `local` | the files, sent to the client as a tar |

`compression=` of layers that were made is "gzip" (the default), "zstd" or "uncompressed".
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1 import archive_pb2, image_pb2, layer_pb2, registry_pb2
from scow.build.attestation.provenance import Material
from scow.build.context.session import Session
from scow.build.export.attest import MODES, Attester, Finished
from scow.build.export.tree_tar import pack
from scow.build.frontend.steps import BuildStage
from scow.build.graph.keys import Stack
from scow.build.history.progress import Progress, Step
from scow.build.peers.images import Images
from scow.build.peers.layers import Layers
from scow.build.store import Record
from scow.contract.errors import InvalidArgument, Unimplemented
from scow.words.references import parted

TYPES = ("image", "registry", "docker", "oci", "tar", "local")
_IN_STORE = ("image", "registry", "docker", "oci")
_COMPRESSIONS = {"": "gzip", "gzip": "gzip", "zstd": "zstd", "uncompressed": ""}
_TRUE = ("", "1", "true", "yes")
_NANO = 1_000_000_000


@dataclass(frozen=True)
class Result:
    """What a build has made for one platform.

    Attributes:
        platform: "linux/amd64".
        stack: Its layers.
        configuration: Of the image.
        stages: What was built, each with the results of its steps.
        epoch: SOURCE_DATE_EPOCH, or None.
        cached: Steps whose results were there already, each by the number of its stage and its own.
        lineage: Of the stages, the last and those that it lies upon, the lowest first.
    """

    platform: str
    stack: Stack
    configuration: bytes
    stages: Sequence[tuple[BuildStage, Sequence[Record]]]
    epoch: int | None
    cached: Collection[tuple[int, int]] = ()
    lineage: Sequence[tuple[BuildStage, Sequence[Record]]] = ()


@dataclass(frozen=True)
class Exported:
    """Images that are in the store, one for each platform, and the digest of what their names mean."""

    images: tuple[image_pb2.Image, ...] = ()
    digest: str = ""


@dataclass(frozen=True)
class About:
    """What attestations say of a build: its id, when it began, its Dockerfile, what it was made from."""

    build: str
    started_ns: int
    dockerfile: bytes
    materials: Sequence[Material]


def check(options: pb.BuildOptions) -> None:
    """Check what is asked for, before anything is built.

    Raises:
        InvalidArgument: An unknown type or compression.
        Unimplemented: What is not supported.
    """
    if options.provenance not in ("", *MODES):
        raise InvalidArgument(
            f"unknown mode of provenance {options.provenance!r}",
            what="provenance",
            which=options.provenance,
            do="use min or max",
        )
    for output in options.outputs:
        if output.type not in TYPES:
            raise InvalidArgument(
                f"output of the type {output.type!r}",
                what="output",
                which=output.type,
                do=f"use one of {', '.join(TYPES)}",
            )
        wanted = output.attributes.get("compression", "")
        if wanted == "estargz":
            raise Unimplemented(
                "compression with estargz", what="compression", which=wanted, do="use gzip or zstd"
            )
        if wanted not in _COMPRESSIONS:
            raise InvalidArgument(
                f"compression {wanted!r}",
                what="compression",
                which=wanted,
                do="use gzip, zstd or uncompressed",
            )


class Exporter:
    """Makes the outputs of one build.

    Args:
        layers: Who makes images.
        images: Who pushes them and makes archives.
        session: The conversation with the client.
        progress: Who is told.
        options: Of the build.
    """

    def __init__(
        self,
        layers: Layers,
        images: Images,
        session: Session,
        progress: Progress,
        options: pb.BuildOptions,
    ) -> None:
        self._attester = Attester(layers, progress, options)
        self._layers = layers
        self._images = images
        self._session = session
        self._progress = progress
        self._options = options

    async def export(self, results: Sequence[Result], about: About) -> Exported:
        """Make all outputs.

        Args:
            results: For each platform.
            about: For attestations.

        Raises:
            ScowError: What the image service says.
        """
        exported = Exported()
        for number, output in enumerate(
            list(self._options.outputs) or [pb.BuildOutput(type="image")]
        ):
            if output.type in _IN_STORE:
                exported = await self._images_of(results, about, output)
                if output.type == "registry" or _is_true(output, "push"):
                    await self._push(self._names(output))
                if output.type in ("docker", "oci"):
                    await self._archive(number, output, exported)
                continue
            with self._step("exporting to client").running() as step:
                await send_output(self._session, number, self._files(results), step)
        return exported

    def _step(self, name: str) -> Step:
        return self._progress.step(name, self._progress.steps[-1:])

    def _files(self, results: Sequence[Result]) -> AsyncIterator[bytes]:
        if len(results) > 1:
            raise InvalidArgument(
                "files of several platforms", what="output", do="build one platform after the other"
            )
        epoch = results[0].epoch
        return pack(self._layers, results[0].stack, None if epoch is None else epoch * _NANO)

    async def _images_of(
        self, results: Sequence[Result], about: About, output: pb.BuildOutput
    ) -> Exported:
        """Record the images, and an index where there are several or something is said about them."""
        names = self._names(output)
        alone = len(results) == 1 and not self._attester.is_wanted
        with self._step("exporting to image").running() as step:
            images = [
                await self._image(result, output, names if alone else (), step)
                for result in results
            ]
            for name in names:
                step.status(f"naming to {name}", 1, 1, completed=True)
        if alone:
            return Exported(tuple(images), images[0].manifest_digest)
        attested = []
        for result, image in zip(results, images, strict=True):
            finished = Finished(
                *(image, result.stack, result.platform, result.stages, about.dockerfile),
                *(about.materials, about.build, about.started_ns, result.epoch, result.cached),
            )
            attested.append((finished, await self._attester.statements(finished)))
        index = await self._attester.index(attested, names, _annotations(output, "index-"))
        return Exported(tuple(images), index.digest)

    def _names(self, output: pb.BuildOutput) -> list[str]:
        if output.attributes.get("name"):
            return output.attributes["name"].split(",")
        return list(self._options.tags)

    async def _image(
        self, result: Result, output: pb.BuildOutput, names: Sequence[str], step: Step
    ) -> image_pb2.Image:
        image = await self._layers.make_image(
            layer_pb2.MakeImageRequest(
                layers=result.stack,
                configuration=result.configuration,
                references=names,
                annotations=dict(self._options.annotations) | _annotations(output, ""),
                compression=_COMPRESSIONS[output.attributes.get("compression", "")],
            )
        )
        step.status(f"writing image {image.id}", 1, 1, completed=True)
        return image

    async def _push(self, names: Sequence[str]) -> None:
        if not names:
            raise InvalidArgument(
                "an image without a name cannot be pushed", what="output", do="give it a tag"
            )
        for name in names:
            with self._step(f"pushing {name}").running() as step:
                auth = await self._session.credentials(domain_of(name))
                request = registry_pb2.PushRequest(reference=tagged(name), auth=auth)
                async for message in self._images.push(request):
                    if message.WhichOneof("message") == "layer":
                        layer = message.layer
                        step.status(layer.digest, layer.current, layer.total)

    async def _archive(self, number: int, output: pb.BuildOutput, exported: Exported) -> None:
        formats = archive_pb2.SaveRequest
        kind = formats.FORMAT_OCI_ARCHIVE if output.type == "oci" else formats.FORMAT_DOCKER_ARCHIVE
        names = [tagged(name) for name in self._names(output)] or [
            image.id for image in exported.images
        ]
        request = archive_pb2.SaveRequest(images=names, format=kind)
        name = f"exporting to {output.type} image format"
        with self._step(name).running() as step:
            await send_output(self._session, number, self._images.save(request), step)


async def send_output(
    session: Session, number: int, pieces: AsyncIterator[bytes], step: Step
) -> None:
    """Send a file to the client.

    Args:
        session: The conversation with it.
        number: Of the output.
        pieces: The file.
        step: Is told how much it was.
    """
    sent = 0
    async for piece in pieces:
        chunk = pb.BuildResponse.OutputChunk(output=number, chunk=piece)
        await session.send(pb.BuildResponse(output=chunk))
        sent += len(piece)
    await session.send(
        pb.BuildResponse(output=pb.BuildResponse.OutputChunk(output=number, last=True))
    )
    step.status("sending tarball", sent, sent, completed=True)


def _annotations(output: pb.BuildOutput, level: str) -> dict[str, str]:
    """Return the annotations of an output: "annotation.KEY", or "annotation-index.KEY" of the index."""
    prefix = f"annotation-{level.rstrip('-')}." if level else "annotation."
    found = output.attributes.items()
    return {key.removeprefix(prefix): text for key, text in found if key.startswith(prefix)}


def _is_true(output: pb.BuildOutput, key: str) -> bool:
    return key in output.attributes and output.attributes[key].lower() in _TRUE


def tagged(name: str) -> str:
    """Return a reference with its tag."""
    return name if parted(name)[1] or "@" in name else f"{name}:latest"


def domain_of(reference: str) -> str:
    """Return the registry of a reference."""
    first, slash, _ = reference.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return first
    return "docker.io"
