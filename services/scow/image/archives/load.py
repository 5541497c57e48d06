"""Loading: an archive's images become images here, all of them or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from scow.api.image.v1 import archive_pb2 as pb
from scow.contract.errors import InvalidArchive
from scow.core.config import ImageSection
from scow.core.disk import writing
from scow.core.tasks import together
from scow.image.archives import docker_archive, oci_layout
from scow.image.archives.archive import Archive, File
from scow.image.archives.docker_archive import DockerArchive
from scow.image.archives.oci_layout import OciLayout
from scow.image.archives.plan import Plan, Planner, Top
from scow.image.archives.receive import Passing, Receiver
from scow.image.content.blobs import Blobs, open_blob
from scow.image.content.sync import SharedSync
from scow.image.gc.leases import Leases
from scow.image.layers.store import Layers, check_diff_id
from scow.image.metadata.records import Content, Records
from scow.image.metadata.tables import ImageStore
from scow.image.oci.platforms import Platform
from scow.image.transfer.progress import Phase, Progress
from scow.image.workers.pool import Unpacked, UnpackPool

_BLOBS = "blobs/"


class Loader:
    """Loads archives.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where blobs go.
        layers: Where unpacked layers go.
        leases: What work under way needs.
        records: Who records images.
        pool: Who splits archives.
    """

    def __init__(
        self,
        settings: ImageSection,
        rows: ImageStore,
        blobs: Blobs,
        layers: Layers,
        leases: Leases,
        records: Records,
        pool: UnpackPool,
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._layers = layers
        self._leases = leases
        self._records = records
        self._sync = SharedSync(blobs.path(""))
        self._receiver = Receiver(settings, blobs, pool)

    async def load(
        self, platform: Platform | None, chunks: AsyncIterator[bytes], progress: Progress
    ) -> list[pb.LoadedImage]:
        """Load an archive, plain or compressed.

        Args:
            platform: Only images of this platform; None means all.
            chunks: The archive.
            progress: Told where each layer is.

        Raises:
            InvalidArchive, DigestMismatch, LayerCorrupt, InvalidManifest, LimitExceeded, PlatformNotFound, DiskFull:
                Nothing of the archive stays then.
        """
        archive = Archive()
        async with self._blobs.working("load") as name:
            await self._receiver.receive(archive, name, chunks, _passing(progress))
            plan = self._plan(archive, platform)
            with self._leases.hold(plan.digests()):
                return await self._keep(plan, progress)

    def _plan(self, archive: Archive, platform: Platform | None) -> Plan:
        settings = self._settings
        planner = Planner(archive, self._rows, platform, settings.max_config_bytes)
        is_oci = archive.find(oci_layout.INDEX) is not None
        is_docker = archive.find(docker_archive.MANIFEST) is not None
        if not is_oci and not is_docker:
            raise InvalidArchive(
                "the archive has neither manifest.json nor index.json: it is not an archive of images",
                what="archive",
                which=docker_archive.MANIFEST,
                do="import it, if it is a root file system",
            )
        if is_oci:
            OciLayout(archive, planner, settings, platform).read()
        if is_docker:
            DockerArchive(archive, planner, settings, self._rows, self._blobs).read()
        return planner.finish()

    async def _keep(self, plan: Plan, progress: Progress) -> list[pb.LoadedImage]:
        unpacked: dict[int, tuple[Unpacked, str]] = {}
        try:
            await self._unpack(plan, unpacked, progress)
            self._adopt(plan.blobs)
            await self._sync()
            with self._rows.transaction() as tx:
                for digest, file in plan.blobs.items():
                    self._rows.insert_blob(tx, digest, file.size)
            await self._record(unpacked)
            contents = [_content(plan, top) for top in plan.tops]
            images = await self._records.put_all(contents, "load")
        finally:
            for number in unpacked:
                await asyncio.shield(self._layers.discard(number))
        return [
            pb.LoadedImage(id=image or top.documents[-1].digest, references=top.references)
            for image, top in zip(images, plan.tops, strict=True)
        ]

    def _adopt(self, files: Mapping[str, File]) -> None:
        """Make files blobs. One that is here stays: it is on the disk already, while the new one may not be yet."""
        with writing(self._blobs.path("")):
            for digest, file in files.items():
                path = self._blobs.path(digest)
                if self._rows.blob_size(digest) is None or not path.exists():
                    file.path.rename(path)

    async def _record(self, unpacked: dict[int, tuple[Unpacked, str]]) -> None:
        """Make layers of what was unpacked, side by side: they share the wait for the disk."""
        work = [self._layers.record(number, *about) for number, about in unpacked.items()]
        unpacked.clear()
        await together(*work)

    async def _unpack(
        self, plan: Plan, unpacked: dict[int, tuple[Unpacked, str]], progress: Progress
    ) -> None:
        """Unpack, side by side, the layers that are not here; the first failure ends all."""
        work = []
        for diff_id, (blob, file) in plan.layers.items():
            size = file.size if file is not None else self._rows.blob_size(blob) or 0
            if self._rows.layer(diff_id) is not None:
                progress.set(blob, Phase.PHASE_EXISTS, size, size)
                continue
            progress.set(blob, Phase.PHASE_WAITING, 0, size)
            work.append(self._unpack_one(blob, file, diff_id, size, unpacked, progress))
        await together(*work)

    async def _unpack_one(
        self,
        blob: str,
        file: File | None,
        diff_id: str,
        size: int,
        unpacked: dict[int, tuple[Unpacked, str]],
        progress: Progress,
    ) -> None:
        path = file.path if file is not None else self._blobs.path(blob)
        with open_blob(path, blob) as source:
            progress.set(blob, Phase.PHASE_UNPACKING, size, size)
            number, result = await self._layers.unpack(source)
        unpacked[number] = (result, blob)
        check_diff_id(result, blob, diff_id)
        progress.set(blob, Phase.PHASE_DONE, size, size)


def _content(plan: Plan, top: Top) -> Content:
    images = plan.images(top)
    configurations = {digest: plan.configurations[digest] for digest in images}
    return Content(top.documents, configurations, top.references, top.repo_digests)


def _passing(progress: Progress) -> Passing:
    """Return how the progress of files whose names are digests is told."""

    def passing(name: str, current: int, size: int) -> None:
        if name.startswith(_BLOBS):
            digest = name.removeprefix(_BLOBS).replace("/", ":", 1)
            progress.set(digest, Phase.PHASE_DOWNLOADING, current, size)

    return passing
