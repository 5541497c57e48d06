"""Removal of what nobody uses."""

from __future__ import annotations

from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import FailedPrecondition, NotFound
from scow.volume import selection
from scow.volume.volumes import Volumes


async def prune(volumes: Volumes, request: pb.PruneRequest) -> pb.PruneResponse:
    """Remove volumes that nobody holds: those without a name, or all, that the filters choose.

    As Docker does, only folders of the engine's are removed: what options or other drivers name is elsewhere.

    Raises:
        InvalidFilter: No such filter.
    """
    condition = selection.parse(request.filters, selection.PRUNE)
    every = request.all or condition.flag("all")
    response = pb.PruneResponse()
    for volume in volumes.rows.all():
        message = volumes.message(volume)
        if message.owners or not (every or message.anonymous) or not condition.met(message):
            continue
        if volumes.folder(volume) is None:
            continue
        try:
            size = (await volumes.usage([volume.name]))[volume.name]
            await volumes.remove(volume.name, force=False)
        except (FailedPrecondition, NotFound):
            continue  # somebody uses or removed it meanwhile
        response.removed.append(volume.name)
        response.size += size
    return response
