"""`python -m scow.container`: the container service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import grpc

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.container.v1.container_pb2_grpc import add_ContainerServiceServicer_to_server
from scow.api.container.v1.execs_pb2_grpc import add_ExecsServiceServicer_to_server
from scow.api.container.v1.files_pb2_grpc import add_FilesServiceServicer_to_server
from scow.api.container.v1.limits_pb2_grpc import add_LimitsServiceServicer_to_server
from scow.api.container.v1.secret_pb2_grpc import add_SecretServiceServicer_to_server
from scow.api.container.v1.stats_pb2_grpc import add_StatsServiceServicer_to_server
from scow.container.content.commit import Commits
from scow.container.content.export import Exports
from scow.container.execs.rpc import ExecsServicer
from scow.container.files.copies import Copies
from scow.container.files.diff import Diffs
from scow.container.files.rpc import FilesServicer
from scow.container.health.monitors import Act, Monitors
from scow.container.lifecycle import unhealthy
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.create import Creation
from scow.container.lifecycle.exit import Exits
from scow.container.lifecycle.hold import Holds
from scow.container.lifecycle.kill import Signals
from scow.container.lifecycle.live_mounts import LiveMounts
from scow.container.lifecycle.networking import Networking
from scow.container.lifecycle.ports import Ports
from scow.container.lifecycle.preflight import Preflight
from scow.container.lifecycle.recovery import Recovery
from scow.container.lifecycle.remove import Removal
from scow.container.lifecycle.rename import Renames
from scow.container.lifecycle.restart import Restarts
from scow.container.lifecycle.shared_mounts import SharedMounts
from scow.container.lifecycle.start import Starter
from scow.container.lifecycle.supervision import Supervision
from scow.container.lifecycle.transitions import Next, Transitions
from scow.container.limits.rpc import LimitsServicer
from scow.container.logs import options
from scow.container.logs.records import Logs
from scow.container.logs.sender import Senders
from scow.container.model.containers import Containers, Entry
from scow.container.model.paths import Paths
from scow.container.peers.image import Images
from scow.container.peers.network import Networks
from scow.container.peers.volume import Volumes
from scow.container.query.queries import Queries
from scow.container.rpc import ContainerServicer, Parts
from scow.container.runtime.spawner import Spawner
from scow.container.secrets.cipher import Cipher
from scow.container.secrets.rows import SecretRows
from scow.container.secrets.rpc import SecretServicer
from scow.container.secrets.secrets import Secrets
from scow.container.shared import Shared
from scow.container.stats.rpc import StatsServicer
from scow.container.store import MIGRATIONS, ContainerStore
from scow.container.streams.execs import Execs
from scow.container.streams.sessions import Sessions
from scow.core.server import Context, Wiring, main
from scow.core.tasks import Background


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    shared = make_shared(context)
    parts = make_parts(shared)
    parts.supervision.boot()
    servicer = ContainerServicer(parts, context.journal, context.requests)
    execs = ExecsServicer(shared, context.requests)
    changing = LimitsServicer(shared, context.requests)
    files = FilesServicer(Diffs(shared), Copies(shared))
    secrets = SecretServicer(shared.secrets, context.requests)
    keeping = asyncio.create_task(shared.spawner.keep())

    async def close() -> None:
        parts.logs.close()
        keeping.cancel()
        await shared.background.close()

    def register(server: grpc.aio.Server) -> None:
        add_ContainerServiceServicer_to_server(servicer, server)
        add_FilesServiceServicer_to_server(files, server)
        add_ExecsServiceServicer_to_server(execs, server)
        add_StatsServiceServicer_to_server(StatsServicer(shared), server)
        add_LimitsServiceServicer_to_server(changing, server)
        add_SecretServiceServicer_to_server(secrets, server)

    return Wiring(
        register=register,
        reconcile=servicer.reconcile,
        close=close,
        more=("ExecsService", "FilesService", "LimitsService", "SecretService", "StatsService"),
    )


def make_shared(context: Context) -> Shared:
    """Make what the parts stand on."""
    config = context.config
    options.resolve(ContainerConfig(), config.container)  # one that is invalid is told now
    paths = Paths(config)
    paths.make()
    spawner = Spawner(
        config.run.absolute() / "spawner.sock",
        config.data("container").absolute() / "seccomp",
        config.data("container").absolute() / "spawner.log",
        start=config.container.start_spawner,
        idle=config.container.spawner_idle_seconds,
    )
    containers = Containers(ContainerStore(context.store), context.journal)
    background, logs = Background(), Logs()
    return Shared(
        config=config,
        containers=containers,
        paths=paths,
        spawner=spawner,
        images=Images(context.peers),
        volumes=Volumes(context.peers),
        networks=Networks(context.peers),
        transitions=Transitions(containers, config.container),
        background=background,
        logs=logs,
        secrets=Secrets(
            SecretRows(context.store),
            Cipher(config.data("container").absolute() / "secrets.key"),
            context.journal,
            containers,
        ),
        senders=Senders(config.container, paths, logs, background),
    )


def make_parts(shared: Shared) -> Parts:
    """Make the parts."""
    cleanup = Cleanup(shared)
    signals = Signals(shared)
    removal = Removal(shared, cleanup, signals)
    follow_ups: dict[Next, Callable[[Entry], None]] = {Next.REMOVE: removal.begin}
    acts: dict[str, Act] = {}
    exits = Exits(shared, cleanup, Monitors(shared, acts), follow_ups)
    creation = Creation(shared)
    execs = Execs(shared)
    mounted = SharedMounts(shared.containers)
    networking = Networking(shared)
    starter = Starter(shared, cleanup, exits, mounted)
    supervision = Supervision(shared, starter)
    follow_ups[Next.RESTART] = supervision.begin
    restarts = Restarts(shared, signals, starter, exits)
    acts.update(unhealthy.actions(shared, signals, restarts))
    return Parts(
        shared=shared,
        commits=Commits(shared, signals),
        holds=Holds(shared, signals),
        creation=creation,
        preflight=Preflight(shared),
        networking=networking,
        ports=Ports(shared),
        mounts=LiveMounts(shared, cleanup, mounted),
        starter=starter,
        supervision=supervision,
        renames=Renames(shared, networking),
        restarts=restarts,
        signals=signals,
        removal=removal,
        cleanup=cleanup,
        sessions=Sessions(shared, starter, execs),
        logs=shared.logs,
        senders=shared.senders,
        execs=execs,
        exports=Exports(shared),
        queries=Queries(shared),
        recovery=Recovery(shared, creation, cleanup, exits, removal, execs),
    )


if __name__ == "__main__":
    main("container", MIGRATIONS, wire)
