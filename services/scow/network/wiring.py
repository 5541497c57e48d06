"""The service's parts, put together."""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path

import grpc

from scow.api.network.v1.cni_plugin_pb2_grpc import add_CniPluginServiceServicer_to_server
from scow.api.network.v1.network_pb2_grpc import add_NetworkServiceServicer_to_server
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import ScowError
from scow.core.server import Context, Wiring
from scow.network import drivers, rpc
from scow.network.cni.calls import Calls
from scow.network.cni.catalogue import Catalogue, Disabled
from scow.network.cni.chain import Chain
from scow.network.cni.plugin import Plugins
from scow.network.cni.rpc import CniPluginServicer
from scow.network.conflicts import Conflicts
from scow.network.dns.files import Files
from scow.network.drivers.cni import CniDriver
from scow.network.endpoints import Endpoints, Parts
from scow.network.firewall.table import Table
from scow.network.ipam import subnets
from scow.network.kernel.watch import DELETED_TABLES, ROUTES, Watch
from scow.network.kernel.worker import Worker
from scow.network.limits import Limits
from scow.network.networks import Networks
from scow.network.policy.changes import PolicyChanges
from scow.network.policy.denials import DenialWatch, group_of
from scow.network.port_changes import PortChanges
from scow.network.reconcile import Reconciler
from scow.network.rpc import NetworkServicer
from scow.network.statistics import Statistics
from scow.network.store import NetworkStore
from scow.network.user_networks import UserNetworks


async def wire(context: Context) -> Wiring:
    """Make the service's parts."""
    _allow_many_files()
    subnets.check_pools(context.config.network.default_address_pools)
    config, section = context.config, context.config.network
    worker = Worker()
    plugins = Plugins([Path(each) for each in section.cni_bin_dirs], section.cni_seconds)
    chain = Chain(plugins, config.data("network") / "cni", Disabled(context.store).check)
    cni = CniDriver(worker, chain, section.cni_conf_dir)
    parts = Parts(
        worker=worker,
        drivers=drivers.make(worker, config.instance, section.mtu, section.forwarding, cni),
        table=Table(config.instance),
        files=Files(config.data("network")),
        section=section,
        instance=config.instance,
    )
    networks = Networks(context.store, context.journal, parts.drivers, section, config.instance)
    networks.record()
    endpoints = Endpoints(context.store, context.journal, networks, parts)
    rows = NetworkStore(context.store)
    reconciler = Reconciler(rows, networks, endpoints, parts, context.peers)
    users = UserNetworks(context.store, context.journal, networks, endpoints, parts)
    port_changes = PortChanges(context.store, context.journal, networks, endpoints)
    policies = PolicyChanges(context.store, context.journal, endpoints)
    limits = Limits(context.store, networks, endpoints, worker)
    calls = Calls(chain, section.cni_conf_dir)
    servicer = NetworkServicer(
        rpc.Parts(
            networks,
            users,
            endpoints,
            reconciler,
            calls,
            Statistics(rows, networks, worker),
            port_changes,
            limits,
            policies,
        ),
        context.journal,
        context.requests,
    )
    catalogue = Catalogue(context.store, context.journal, plugins, chain, section.cni_conf_dir)
    cni_servicer = CniPluginServicer(catalogue, context.requests)
    conflicts = Conflicts(context.store, context.journal, networks, worker)
    denials = DenialWatch(group_of(config.instance), policies.denied)
    watches = (
        Watch(DELETED_TABLES, partial(_restore, context, reconciler)),
        Watch(ROUTES, conflicts.look),
    )

    async def reconcile() -> list[ReconcileAction]:
        actions = await reconciler.run()
        await conflicts.look()
        return actions

    async def close() -> None:
        for watch in watches:
            await watch.close()
        denials.close()
        await endpoints.close()
        await worker.run(parts.table.close)
        worker.close()

    def register(server: grpc.aio.Server) -> None:
        add_NetworkServiceServicer_to_server(servicer, server)
        add_CniPluginServiceServicer_to_server(cni_servicer, server)

    return Wiring(register=register, reconcile=reconcile, close=close, more=("CniPluginService",))


async def _restore(context: Context, reconciler: Reconciler) -> None:
    try:
        actions = await reconciler.restore_tables()
    except ScowError as error:
        context.log.warning("not restored, the timer tries again", error=str(error))
        return
    for action in actions:
        context.log.info("restored", object=action.object, detail=action.detail)


def _allow_many_files() -> None:
    """Raise the soft limit of open files to the hard one: each published port is a socket."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
