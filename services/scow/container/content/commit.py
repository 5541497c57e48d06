"""Commits: the image service makes an image of a container's snapshot, while the container is frozen."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1 import archive_pb2, image_pb2
from scow.api.image.v1.image_pb2 import ImageConfig
from scow.container.lifecycle.kill import Signals
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.container.spec import process
from scow.core.requests import remember

_READABLE = frozenset(
    (
        *(pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_RESTARTING),
        *(pb.STATUS_RUNNING, pb.STATUS_PAUSED),
    )
)


class Commits:
    """Commits containers."""

    def __init__(self, shared: Shared, signals: Signals) -> None:
        self._shared = shared
        self._signals = signals

    async def commit(self, request: pb.CommitRequest) -> str:
        """Make an image of a container; return its id.

        Raises:
            ContainerBusy: It is being removed.
            ScowError: What the image service says.
        """
        entry = self._shared.containers.find(request.container)
        async with entry.lock:
            if entry.gone or entry.described.status not in _READABLE:
                raise states.busy(entry.described)
            wanted = await self._request(entry, request)
            if request.no_pause:
                image = await self._shared.images.commit(wanted)
            else:
                async with self._signals.frozen(entry):
                    image = await self._shared.images.commit(wanted)
            return self._record(entry, request, image)

    async def _request(self, entry: Entry, request: pb.CommitRequest) -> archive_pb2.CommitRequest:
        base = await self._shared.images.get(entry.described.image_id)
        config = effective(entry.described, base.config)
        return archive_pb2.CommitRequest(
            request_id=request.request_id,
            owner=entry.owner,
            reference=request.reference,
            author=request.author,
            message=request.message,
            changes=request.changes,
            config=config,
            created_by=" ".join(config.cmd),
        )

    def _record(self, entry: Entry, request: pb.CommitRequest, image: image_pb2.Image) -> str:
        facts = {"imageID": image.id, "imageRef": request.reference, "comment": request.message}
        with self._shared.containers.change(entry, ["commit"], **facts) as (tx, _):
            remember(tx, image.id)
        return image.id


def effective(described: pb.Container, image: ImageConfig) -> ImageConfig:
    """Return a container's configuration as that of an image.

    Triggers for builds are left out: they are the image's, not its children's.

    Args:
        described: The container.
        image: What its image says, on top of which it was configured.
    """
    config = described.config
    entrypoint = config.entrypoint if config.override_entrypoint else image.entrypoint
    command = config.command
    if not config.override_entrypoint and not command:
        command = image.cmd
    anonymous = {
        mount.target for mount in config.mounts if mount.type == "volume" and not mount.source
    }
    merged = ImageConfig(
        user=described.user,
        exposed_ports=described.exposed_ports,
        env=process.merge_env(image.env, config.env),
        entrypoint=entrypoint,
        cmd=command,
        volumes=sorted({*image.volumes, *anonymous}),
        working_dir=config.working_dir or image.working_dir,
        labels=described.labels,
        stop_signal=config.stop_signal or image.stop_signal,
        shell=image.shell,
    )
    if image.HasField("healthcheck"):
        merged.healthcheck.CopyFrom(image.healthcheck)
    return merged
