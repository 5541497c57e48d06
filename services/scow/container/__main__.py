"""`python -m scow.container`: the container service."""

from __future__ import annotations

import scow.core.lean  # noqa: F401  before what loads structlog
from scow.api.container.v1.container_pb2_grpc import add_ContainerServiceServicer_to_server
from scow.container.content.commit import Committing
from scow.container.content.export import Exporting
from scow.container.context import Ground
from scow.container.lifecycle.cleanup import Settling
from scow.container.lifecycle.create import Creation
from scow.container.lifecycle.exit import Endings
from scow.container.lifecycle.kill import Signalling
from scow.container.lifecycle.recovery import Recovery
from scow.container.lifecycle.remove import Removal
from scow.container.lifecycle.start import Starting
from scow.container.model.containers import Containers
from scow.container.model.paths import Places
from scow.container.query.queries import Queries
from scow.container.rpc import ContainerServicer, Parts
from scow.container.runtime.spawner import Spawner
from scow.container.store import MIGRATIONS, ContainerStore
from scow.container.streams.execs import Execs
from scow.container.streams.sessions import Sessions
from scow.contract.errors import ScowError
from scow.core.server import Context, Wiring, main
from scow.core.tasks import Background


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    ground = make_ground(context)
    parts = make_parts(ground)
    servicer = ContainerServicer(parts, context.journal, context.requests)
    try:
        # Now rather than at the first start, which would have to wait for it.
        await ground.spawner.ensure()
    except ScowError as error:
        context.log.warning("no spawner", error=str(error))

    async def close() -> None:
        await ground.background.close()
        for entry in ground.containers.all():
            await parts.settling.disconnect(entry)

    return Wiring(
        register=lambda server: add_ContainerServiceServicer_to_server(servicer, server),
        reconcile=servicer.reconcile,
        close=close,
    )


def make_ground(context: Context) -> Ground:
    """Make what the parts stand on."""
    config = context.config
    places = Places(config)
    places.make()
    spawner = Spawner(
        config.run.absolute() / "spawner.sock",
        config.data("container").absolute() / "seccomp",
        config.data("container").absolute() / "spawner.log",
        start=config.container.start_spawner,
    )
    containers = Containers(ContainerStore(context.store), context.journal)
    return Ground(config, containers, places, spawner, context.peers, Background())


def make_parts(ground: Ground) -> Parts:
    """Make the parts."""
    settling = Settling(ground)
    signalling = Signalling(ground)
    removal = Removal(ground, settling, signalling)
    endings = Endings(ground, settling, removal)
    creation = Creation(ground)
    execs = Execs(ground)
    starting = Starting(ground, settling, endings, removal)
    return Parts(
        ground=ground,
        committing=Committing(ground, signalling),
        creation=creation,
        starting=starting,
        signalling=signalling,
        removal=removal,
        settling=settling,
        sessions=Sessions(ground, starting, execs),
        execs=execs,
        exporting=Exporting(ground),
        queries=Queries(ground),
        recovery=Recovery(ground, creation, settling, endings, removal, execs),
    )


if __name__ == "__main__":
    main("container", MIGRATIONS, wire)
