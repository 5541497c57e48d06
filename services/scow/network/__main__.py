"""`python -m scow.network`: the network service."""

from __future__ import annotations

import resource
from functools import partial

import scow.core.lean  # noqa: F401  before what loads structlog
from scow.api.network.v1.network_pb2_grpc import add_NetworkServiceServicer_to_server
from scow.contract.errors import ScowError
from scow.core.server import Context, Wiring, main
from scow.network.dns.files import Files
from scow.network.drivers.bridge import Plumbing
from scow.network.endpoints import Endpoints
from scow.network.firewall.watch import TableWatch
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.ports.holds import Holds
from scow.network.ports.relay import Relay
from scow.network.reconcile import Reconciler
from scow.network.rpc import NetworkServicer
from scow.network.store import MIGRATIONS, NetworkStore


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    _allow_many_files()
    config, section = context.config, context.config.network
    worker, holds = Worker(), Holds()
    relay = Relay(worker)
    files = Files(config.data("network"))
    plumbing = Plumbing(config.instance, section.mtu)
    networks = Networks(context.store, context.journal, worker, plumbing, section, config.instance)
    endpoints = Endpoints(
        context.store,
        context.journal,
        networks,
        worker,
        plumbing,
        holds,
        relay,
        files,
        section,
        config.instance,
    )
    rows = NetworkStore(context.store)
    networks.record()
    reconciler = Reconciler(
        rows, networks, endpoints, worker, plumbing, holds, files, context.peers
    )
    servicer = NetworkServicer(networks, endpoints, reconciler, context.journal)

    watch = TableWatch(partial(_restore, context, reconciler))

    async def close() -> None:
        await watch.close()
        await endpoints.close()
        await worker.run(plumbing.close)
        worker.close()
        holds.close()

    return Wiring(
        register=lambda server: add_NetworkServiceServicer_to_server(servicer, server),
        reconcile=reconciler.run,
        close=close,
    )


async def _restore(context: Context, reconciler: Reconciler) -> None:
    try:
        actions = await reconciler.run()
    except ScowError as error:
        context.log.warning("not restored, the timer tries again", error=str(error))
        return
    for action in actions:
        context.log.info("restored", object=action.object, detail=action.detail)


def _allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: each published port is a socket."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main("network", MIGRATIONS, wire)
