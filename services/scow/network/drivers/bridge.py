"""The driver "bridge": a bridge in the host, and for each endpoint a pair of links between it and the container."""

from __future__ import annotations

import asyncio
import socket
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import InvalidArgument, LinkFailed, ScowError
from scow.network import gateway_modes, options
from scow.network.drivers import host_routes, inside
from scow.network.drivers.base import Capabilities
from scow.network.ipam.addresses import (
    IPV4,
    IPV6,
    LINK_LOCAL,
    Interface,
    Pool,
    family_of,
    of_family,
)
from scow.network.ipam.leases import mac_of
from scow.network.ipam.plan import Choice
from scow.network.kernel import links, names, netns, sysctls
from scow.network.kernel.links import Link, Veth
from scow.network.kernel.netlink import Netlink
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network

# The end of a container's namespace takes its links along within this time; what is left then is deleted.
_SWEEP_SECONDS = 1.0
_MTU = 1500
_log = structlog.get_logger()


class BridgeDriver:
    """The driver: what is done in which order; `_Host` does it.

    Args:
        worker: For all that blocks.
        instance: Names the links.
        mtu: Of bridges and links; 0 means what the host's default route takes.
        forwarding: Whether the host is made a router.
    """

    capabilities = Capabilities(namespace=True, addresses=True, linked=True, ports=True)

    def __init__(self, worker: Worker, instance: str, mtu: int, forwarding: bool) -> None:
        self._worker = worker
        self._instance = instance
        self._host = _Host(instance, mtu, forwarding)
        # Links that are cut off and about to go.
        self._doomed: set[str] = set()
        self._sweeping: asyncio.Task[None] | None = None

    def check(self, network: Network) -> list[str]:
        """Check the options."""
        wanted = options.bridge(network.options)
        if not network.internal and gateway_modes.ISOLATED in wanted.modes.values():
            raise InvalidArgument(
                "gateway mode 'isolated' can only be used for an internal network",
                what="option",
                which="gateway_mode",
                do="make the network internal (--internal), or choose another mode",
            )
        return [f"the option {key} has no effect" for key in options.unknown(network.options)]

    async def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        """Make the bridge, with the gateways of the pools."""
        return await self._worker.run(self._host.establish, network, choice)

    async def attach(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """Make the pair of links and set up the namespace."""
        if endpoint.link in self._doomed:
            await self._sweep()
        try:
            await self._worker.run(self._host.plug, network, endpoint)
        except LinkFailed as error:
            if error.metadata.get("errno") != "EEXIST" or not self._doomed:
                raise
            # The namespace was detached a moment ago and lives on: the old link is in the way.
            await self._sweep()
            await self._worker.run(self._host.plug, network, endpoint)
        return endpoint

    async def is_attached(self, endpoint: Endpoint) -> bool:
        """Tell whether its link is there."""
        if endpoint.link in self._doomed:
            return False
        return await self._worker.run(_has_link, endpoint.link)

    async def route(self, endpoint: Endpoint) -> None:
        """Replace the default routes of the namespace."""
        await self._worker.run(inside.route, endpoint)

    async def detach(self, endpoint: Endpoint, at_once: bool = False) -> None:
        """Cut the link off; deleting it, which takes 15 to 30 ms, can wait."""
        if at_once:
            await self._worker.run(self._host.delete, [endpoint.link])
            return
        await self._doom(endpoint.link)

    async def remove(self, network: Network) -> None:
        """Cut the bridge off, if it is the engine's; deleting it can wait, unless it was given a name."""
        if names.is_user_bridge_of(self._instance, network.bridge):
            await self._doom(network.bridge)
        else:
            await self._worker.run(self._host.delete_bridge, network)

    async def _doom(self, link: str) -> None:
        self._doomed.add(link)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep_later())
        await self._worker.run(self._host.set_down, [link])

    async def _sweep_later(self) -> None:
        while self._doomed:
            await asyncio.sleep(_SWEEP_SECONDS)
            await self._sweep()

    async def _sweep(self) -> None:
        """Delete the links that the end of their namespaces has not taken along."""
        doomed = sorted(self._doomed)
        try:
            await self._worker.run(self._host.delete, doomed)
        except ScowError as error:
            _log.warning("links not deleted, left to reconciliation", error=str(error))
        self._doomed.difference_update(doomed)

    async def reconcile(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint]
    ) -> list[ReconcileAction]:
        """Compare bridges and links with the records."""
        return await self._worker.run(self._host.restore, networks, endpoints, self._doomed.copy())

    async def close(self) -> None:
        """Delete what was put off."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._doomed:
            await self._sweep()
        await self._worker.run(self._host.close)


class _Host:
    """Bridges and links in the kernel. All of it blocks, if only for moments."""

    def __init__(self, instance: str, mtu: int, forwarding: bool) -> None:
        self._forwarding = forwarding
        self._instance = instance
        self._configured_mtu = mtu

    @cached_property
    def _netlink(self) -> Netlink:
        return Netlink()

    @cached_property
    def _mtu(self) -> int:
        if self._configured_mtu:
            return self._configured_mtu
        routes = links.list_routes(self._netlink)
        ways = {route.link for route in routes if route.destination == IPV4.everywhere}
        mtus = [link.mtu for link in links.list_links(self._netlink) if link.index in ways]
        return min([*mtus, _MTU])

    def close(self) -> None:
        """Close the socket."""
        if "_netlink" in self.__dict__:
            self.__dict__.pop("_netlink").close()

    def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        with host_routes.locked():
            pools = choice(host_routes.of_host(self._netlink, network.bridge))
            self._make_bridge(replace(network, pools=pools))
            return pools

    def _make_bridge(self, network: Network) -> Link:
        name, wanted = network.bridge, _host_addresses(network)
        with_ipv6 = of_family(wanted, IPV6) is not None
        mac, mtu = mac_of([pool.router for pool in network.pools]), self._mtu_of(network)
        made = links.Bridge(name, mac, mtu, with_ipv6, self._alias(network))
        bridge = links.make_bridge(self._netlink, made)
        for index, present in links.list_addresses(self._netlink):
            if index == bridge.index and present not in wanted:
                links.delete_address(self._netlink, index, present)
        for address in wanted:
            links.add_address(self._netlink, bridge.index, address)
        self._keep_settings(network)
        return bridge

    def _keep_settings(self, network: Network) -> None:
        """Have the host route packets of the families that a network has."""
        if self._forwarding:
            for pool in network.pools:
                sysctls.become_router(family_of(pool.subnet).forwarding)
        # The host's packets to 127.0.0.1 that are diverted into a container leave by the bridge.
        sysctls.enable(f"ipv4/conf/{network.bridge}/route_localnet")

    def _alias(self, network: Network) -> str:
        return names.mark(self._instance, "network", network.id)

    def _mtu_of(self, network: Network) -> int:
        return options.bridge(network.options).mtu or self._mtu

    def delete_bridge(self, network: Network) -> None:
        """Delete a bridge of a name that the user chose, unless it was there before the network."""
        found = links.find_link(self._netlink, network.bridge)
        if found is not None and found.alias == self._alias(network):
            links.delete_links(self._netlink, [network.bridge])

    def plug(self, network: Network, endpoint: Endpoint) -> None:
        """Make an endpoint's links, unless they are there, and set up its namespace; on failure nothing is left."""
        if _has_link(endpoint.link):
            return
        wanted = options.bridge(network.options)
        mtu = wanted.mtu or self._mtu
        veth = Veth(endpoint.link, endpoint.interface, endpoint.mac, mtu, not wanted.icc)
        with netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor:
            bridge = self._bridge_index(network)
            try:
                links.plug_veth(self._netlink, veth, bridge, descriptor)
                inside.set_up(descriptor, endpoint)
                for name in (veth.name, network.bridge):
                    self._netlink.settle(name)
            except ScowError:
                links.delete_links(self._netlink, [veth.name])
                raise

    def _bridge_index(self, network: Network) -> int:
        """Return the index of a network's bridge, which is made anew if somebody removed it."""
        try:
            return socket.if_nametoindex(network.bridge)
        except OSError:
            return self._make_bridge(network).index

    def set_down(self, names_of_links: Sequence[str]) -> None:
        """Cut links off."""
        links.set_down(self._netlink, names_of_links)

    def delete(self, names_of_links: Sequence[str]) -> None:
        """Delete links, those that exist."""
        links.delete_links(self._netlink, names_of_links)

    def restore(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint], doomed: set[str]
    ) -> list[ReconcileAction]:
        """Make bridges and links what they must be; return what was done."""
        by_id = {network.id: network for network in networks}
        actions = self._restore_bridges([network for network in networks if network.pools])
        found = links.list_links(self._netlink)
        present = {one.name: one for one in found if names.is_link_of(self._instance, one.name)}
        own = {names.mark(self._instance, "network", network_id) for network_id in by_id}
        marked = [one for one in found if names.is_marked(self._instance, one.alias, "network")]
        forgotten = {one.name for one in marked if one.alias not in own}
        orphans = sorted((set(present) | forgotten) - {e.link for e in endpoints} - doomed)
        self.delete(orphans)
        actions += [_action(f"link/{name}", "released", "without a record") for name in orphans]
        for endpoint in endpoints:
            link = present.get(endpoint.link)
            if fault := self._restore_link(by_id[endpoint.network_id], endpoint, link):
                actions.append(_action(endpoint.owner, "rebuilt", fault))
        return actions

    def _restore_bridges(self, networks: Sequence[Network]) -> list[ReconcileAction]:
        """Compare all bridges with one listing; make those that are not what they must be."""
        found = {link.name: link for link in links.list_links(self._netlink)}
        present: dict[int, set[Interface]] = defaultdict(set)
        for index, address in links.list_addresses(self._netlink):
            present[index].add(address)
        actions = []
        for network in networks:
            link = found.get(network.bridge)
            addresses = present[link.index] if link is not None else set()
            fault = self._fault_of_bridge(network, link, addresses)
            if fault or addresses != set(_host_addresses(network)):
                self._make_bridge(network)
            self._keep_settings(network)
            if fault:
                actions.append(_action(f"network/{network.name}", "rebuilt", fault))
        return actions

    def _fault_of_bridge(
        self, network: Network, found: Link | None, present: set[Interface]
    ) -> str:
        if found is None:
            return "the bridge was missing"
        if not found.up:
            return "the bridge was down"
        wanted = _host_addresses(network)
        if not set(wanted) <= present:
            return "the bridge had lost its address"
        if links.guard(found.name, of_family(wanted, IPV6) is not None):
            return "the bridge listened to router advertisements or redirects"
        return ""

    def _restore_link(self, network: Network, endpoint: Endpoint, present: Link | None) -> str:
        """Make an endpoint's link what it must be; return what was wrong with it.

        One whose namespace is gone is left alone: it ends with its owner.
        """
        if netns.current_identity(endpoint.netns_path) != endpoint.netns_id:
            return ""
        if present is None:
            try:
                self.plug(network, endpoint)
            except LinkFailed as error:
                _log.warning("link not rebuilt", link=endpoint.link, error=str(error))
                return ""
            return "the link was missing"
        bridge = self._bridge_index(network)
        if present.master == bridge and present.up:
            return "the link listened to its container" if links.guard(present.name) else ""
        isolated = not options.bridge(network.options).icc
        links.join_bridge(self._netlink, present.name, bridge, isolated)
        return "the link was cut off"


def _host_addresses(network: Network) -> list[Interface]:
    """Return the addresses of a bridge: a subnet's gateway each."""
    wanted = options.bridge(network.options)
    found = [
        pool.router
        for pool in network.pools
        if (pool.subnet.version == IPV6.version or not wanted.inhibit_ipv4)
        and wanted.mode(pool.subnet.version) != gateway_modes.ISOLATED
    ]
    if of_family(found, IPV6) is not None:
        found.append(LINK_LOCAL)
    return found


def _has_link(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=action, detail=detail)
