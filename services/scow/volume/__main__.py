"""`python -m scow.volume`: the volume service."""

from __future__ import annotations

import scow.core.lean  # noqa: F401  before what loads structlog
from scow.api.volume.v1.volume_pb2_grpc import add_VolumeServiceServicer_to_server
from scow.core.server import Context, Wiring, main
from scow.volume import drivers
from scow.volume.directories import Directories
from scow.volume.holds import Holds
from scow.volume.rpc import VolumeServicer
from scow.volume.store import MIGRATIONS
from scow.volume.volumes import Volumes


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    directories = Directories(context.config.data("volume"))
    volumes = Volumes(context.store, context.journal, drivers.make(directories))
    holds = Holds(volumes, directories)
    servicer = VolumeServicer(
        volumes, holds, directories, context.journal, context.requests, context.peers
    )
    return Wiring(
        register=lambda server: add_VolumeServiceServicer_to_server(servicer, server),
        reconcile=servicer.reconcile,
    )


if __name__ == "__main__":
    main("volume", MIGRATIONS, wire)
