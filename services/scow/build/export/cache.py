"""`--cache-to`: results of steps for other engines, as an image at a registry or in a folder of the client."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1 import archive_pb2, artifact_pb2, image_pb2, layer_pb2, registry_pb2
from scow.build.cache import exchange
from scow.build.cache.imports import parsed
from scow.build.context.session import Session
from scow.build.export.outputs import Result, domain_of, send_output, tagged
from scow.build.history.progress import Progress, Step
from scow.build.peers.images import Images
from scow.build.peers.layers import Layers
from scow.build.store import Record
from scow.contract.errors import Cancelled, ScowError
from scow.words import build_cache
from scow.words.build_cache import CacheOption
from scow.words.platforms import host
from scow.words.references import parted

_COMPRESSIONS = {"gzip": "gzip", "zstd": "zstd", "uncompressed": ""}
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INLINE_ARGUMENT = "BUILDKIT_INLINE_CACHE"


def is_inline(options: pb.BuildOptions) -> bool:
    """Tell whether the image that is built is to have its cache in it."""
    if options.build_args.get(_INLINE_ARGUMENT) in ("1", "true"):
        return True
    return any(each.type == "inline" for each in parsed(options.cache_to, build_cache.parse_to))


class CacheExporter:
    """Writes the caches of one build.

    Args:
        layers: Who makes images.
        images: Who pushes them and makes archives.
        session: The conversation with the client.
        progress: Who is told.
        options: Of the build.

    Raises:
        InvalidArgument: An option that cannot be read.
    """

    def __init__(
        self,
        layers: Layers,
        images: Images,
        session: Session,
        progress: Progress,
        options: pb.BuildOptions,
    ) -> None:
        self._layers = layers
        self._images = images
        self._session = session
        self._progress = progress
        self._first = len(options.outputs)
        self._targets = parsed(options.cache_to, build_cache.parse_to)

    async def export(self, results: Sequence[Result]) -> None:
        """Write all.

        Raises:
            ScowError: One cannot be written, and is not to be ignored.
        """
        for number, target in enumerate(self._targets):
            if target.type == "inline":
                continue
            name = "registry" if target.type == "registry" else "client directory"
            step = self._progress.step(f"exporting cache to {name}", self._progress.steps[-1:])
            try:
                with step.running():
                    await self._export(number, target, results, step)
            except Cancelled:
                raise
            except ScowError as error:
                if not target.is_true("ignore-error"):
                    raise
                self._progress.warn(pb.Warning(message=f"the cache is not exported: {error}"))

    async def _export(
        self, number: int, target: CacheOption, results: Sequence[Result], step: Step
    ) -> None:
        records = _records(results, has_all=target.has_all)
        stack, configuration = exchange.configuration(records, str(host()))
        left_out = len({r.layer.diff_id for r in records if r.layer is not None}) - len(stack)
        if left_out:
            self._progress.warn(
                pb.Warning(
                    message=f"{left_out} results are not in the cache: it has at most {exchange.LAYERS_MAX} layers"
                )
            )
        image = await self._layers.make_image(
            layer_pb2.MakeImageRequest(
                layers=stack,
                configuration=configuration,
                compression=_COMPRESSIONS[target.attributes.get("compression", "gzip")],
                transient=True,
            )
        )
        step.status(f"writing cache image {image.id}", 1, 1, completed=True)
        if target.type == "registry":
            await self._push(target.attributes["ref"], image, step)
            return
        request = archive_pb2.SaveRequest(
            images=[image.id], format=archive_pb2.SaveRequest.FORMAT_OCI_ARCHIVE
        )
        await send_output(self._session, self._first + number, self._images.save(request), step)

    async def _push(self, name: str, image: image_pb2.Image, step: Step) -> None:
        """Send the image to its registry, by its digest, and give it its name there alone."""
        auth = await self._session.credentials(domain_of(name))
        repository = parted(name.partition("@")[0])[0]
        request = registry_pb2.PushRequest(
            reference=f"{repository}@{image.manifest_digest}", auth=auth
        )
        async for message in self._images.push(request):
            if message.WhichOneof("message") == "layer":
                step.status(message.layer.digest, message.layer.current, message.layer.total)
        manifest = await self._layers.manifest(image.manifest_digest)
        await self._images.put_artifact(
            artifact_pb2.PutArtifactRequest(
                reference=tagged(name), auth=auth, content=manifest, media_type=_MANIFEST
            )
        )


def _records(results: Sequence[Result], *, has_all: bool) -> list[Record]:
    """Return what is told: results that images are made of, then those of all other steps."""
    found: dict[str, Record] = {}
    for result in results:
        for _, records in result.lineage:
            found |= {record.key: record for record in records}
    if has_all:
        for result in results:
            for _, records in result.stages:
                found |= {record.key: record for record in records if record.key not in found}
    return list(found.values())
