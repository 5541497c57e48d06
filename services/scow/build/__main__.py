"""`python -m scow.build`: the build service."""

from __future__ import annotations

import os

import scow.core.plain_structlog  # noqa: F401  before what loads structlog
from scow.api.build.v1 import build_pb2 as pb
from scow.api.build.v1.build_pb2_grpc import add_BuildServiceServicer_to_server
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.build import policy
from scow.build.cache.imports import Imports
from scow.build.cache.mounts import CacheMounts
from scow.build.cache.policy import CachePolicy
from scow.build.cache.prune import Pruner
from scow.build.cache.records import Cache
from scow.build.context.directory import Directories
from scow.build.context.remote import Remotes, prepare
from scow.build.context.session import Session
from scow.build.export.cache import CacheExporter
from scow.build.export.outputs import Exporter
from scow.build.graph.build import Build
from scow.build.graph.flights import Flights
from scow.build.graph.mounts import StepMounts
from scow.build.graph.run import Runner
from scow.build.graph.sources import Sources
from scow.build.graph.stages import Machinery
from scow.build.history.builds import Builds, Running
from scow.build.peers.containers import Containers
from scow.build.peers.images import Images
from scow.build.peers.layers import Layers
from scow.build.reconcile import Reconciler
from scow.build.rpc import BuildServicer
from scow.build.store import MIGRATIONS, BuildStore
from scow.core.server import Context, Wiring, main
from scow.kernel.trees import remove_tree


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    base = context.config.data("build")
    base.chmod(0o711)  # caches that containers mount are looked up through it
    rows = BuildStore(context.store)
    layers, containers = Layers(context.peers), Containers(context.peers)
    images = Images(context.peers)
    cache = Cache(rows, layers)
    directories, mounts = Directories(base), CacheMounts(base, rows)
    builds = Builds(base, rows, context.journal)
    scratch = prepare(base)
    at_once = context.config.build.max_steps or max(4, os.cpu_count() or 1)
    work, run = base / "work", context.config.run.absolute() / "build"
    for folder in (work, run):  # of steps of a service that was killed
        remove_tree(folder)
        folder.mkdir(mode=0o711)
    machinery = Machinery(
        layers,
        cache,
        Runner(layers, containers, at_once, context.config.build.allow),
        Flights(),
        StepMounts(mounts, work, run),
    )
    pruner = Pruner(rows, cache, directories, mounts, layers, images)
    reconciler = Reconciler(
        *(builds, cache, containers, directories, mounts, rows, machinery.runner.active),
        CachePolicy(base, context.config.build, pruner, layers),
    )

    async def build(options: pb.BuildOptions, session: Session, running: Running) -> pb.BuildResult:
        rules = policy.load(context.config.build.source_policy)
        remotes = Remotes(scratch, rules)
        progress = running.progress
        sources = Sources(
            *(layers, images, directories, rows, session, progress, options),
            remotes,
            rules,
            Imports(layers, session, progress, options, rules, str(scratch)),
        )
        try:
            return await Build(
                *(machinery, sources, progress, options, running.record.id),
                Exporter(layers, images, session, progress, options),
                CacheExporter(layers, images, session, progress, options),
            ).run()
        finally:
            await sources.close()
            await machinery.runner.settle(running.record.id)

    async def reconcile() -> list[ReconcileAction]:
        return await reconciler.reconcile()

    servicer = BuildServicer(
        builds,
        build,
        pruner,
        context.journal,
        context.requests,
        reconcile,
    )
    return Wiring(
        register=lambda server: add_BuildServiceServicer_to_server(servicer, server),
        reconcile=reconcile,
        idle_seconds=context.config.build.idle_seconds,
    )


if __name__ == "__main__":
    main("build", MIGRATIONS, wire)
