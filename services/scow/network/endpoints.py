"""Endpoints: attaching owners to networks and detaching them.

Order, so that the process may die anywhere: ports are held and the row is written, then link, rules and files are
made, then the row is marked ready. Detaching withdraws rules and link first and deletes the row last. What is cut
short in between is a row that is not ready, or one that is detached again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import sqlite3
from collections.abc import Awaitable
from dataclasses import replace

import structlog

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import KernelUnsupported, LinkFailed, ScowError
from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.times import now_ns
from scow.network import requests
from scow.network.dns import files
from scow.network.dns.files import Files
from scow.network.drivers.bridge import Plumbing, Wanted
from scow.network.ipam import subnets
from scow.network.kernel import names
from scow.network.kernel.worker import Worker
from scow.network.networks import DEFAULT, Networks, endpoint_message
from scow.network.ports.holds import Holds
from scow.network.ports.relay import Relay
from scow.network.requests import Wish
from scow.network.store import Endpoint, Network, NetworkStore

# The end of a container's namespace takes its links along within this time; what is left then is deleted.
_SWEEP_SECONDS = 1.0
_log = structlog.get_logger()


class Endpoints:
    """Who is attached to what.

    Attributes:
        lock: Held by every change, and by reconciliation.
        doomed: Links that are about to go.
    """

    def __init__(
        self,
        store: Store,
        journal: Journal,
        networks: Networks,
        worker: Worker,
        plumbing: Plumbing,
        holds: Holds,
        relay: Relay,
        owned_files: Files,
        section: NetworkSection,
        instance: str,
    ) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._journal = journal
        self._networks = networks
        self._worker = worker
        self._plumbing = plumbing
        self._holds = holds
        self._relay = relay
        self._files = owned_files
        self._section = section
        self._instance = instance
        self.lock = asyncio.Lock()
        self.doomed: set[str] = set()
        self._sweeping: asyncio.Task[None] | None = None

    async def attach(self, request: pb.AttachRequest) -> pb.AttachResponse:
        """Attach an owner to a network; see the contract.

        Raises:
            ScowError: As the contract says; then nothing of this call is left behind.
        """
        async with self.lock:
            network = self._networks.get(request.network)
            if network.bridge:
                await self._establish()
                network = self._networks.get(network.id)
            wish = requests.check(request, network, self._gateway())
            known = self._known(wish)
            if known is not None and known.ready and await self._is_whole(known, wish):
                return self._response(network, known)
            return self._response(network, await self._make(wish, known))

    async def _establish(self) -> None:
        """Make what all endpoints share, where the start could not or the configuration changed."""
        if await self._networks.establish() or not self._plumbing.has_rules:
            await self._worker.run(self._plumbing.restore_rules, self.wanted())

    def _gateway(self) -> str:
        subnet = self._networks.get(DEFAULT).subnet
        return str(subnets.gateway(ipaddress.IPv4Network(subnet))) if subnet else ""

    def _known(self, wish: Wish) -> Endpoint | None:
        endpoints = self._rows.endpoints_of(wish.owner)
        return next((e for e in endpoints if e.network_id == wish.network.id), None)

    async def _is_whole(self, known: Endpoint, wish: Wish) -> bool:
        if known.netns_id != wish.netns_id or not self._files.exist(known.owner):
            return False
        return not known.link or await self._worker.run(self._plumbing.has_link, known.link)

    async def _make(self, wish: Wish, known: Endpoint | None) -> Endpoint:
        """Make an endpoint, or make anew what is missing of a known one; undo it if that fails."""
        endpoint = self._lease(wish) if known is None else await self._plug_again(known, wish)
        try:
            others = [e for e in self._rows.endpoints_of(wish.owner) if e.id != endpoint.id]
            await self._build(wish, endpoint, first=not any(e.address for e in others))
            if not others or not self._files.exist(wish.owner):
                self._write_files(wish, endpoint)
            endpoint = replace(endpoint, ready=True)
            with self._store.transaction() as tx:
                self._rows.set_plugged(tx, endpoint)
                self._tell(tx, wish.network, endpoint, "connect")
        except BaseException:
            # Also when the caller went away: what the thread is doing for it is undone after it.
            await asyncio.shield(self._release(endpoint, wish.network))
            raise
        return endpoint

    def _lease(self, wish: Wish) -> Endpoint:
        """Hold the ports and record an endpoint with an address of its own."""
        identity = os.urandom(32).hex()
        network = wish.network
        address = mac = link = interface = ""
        if network.bridge:
            address = self._address(wish)
            mac = wish.mac or subnets.mac_of(address)
            link = self._free_link(identity)
            plugged = [e for e in self._rows.endpoints_of(wish.owner) if e.address]
            interface = f"eth{len(plugged)}"
        published = self._holds.take(identity, wish.ports)
        endpoint = Endpoint(
            id=identity,
            owner=wish.owner,
            network_id=network.id,
            name=wish.name,
            address=address,
            mac=mac,
            link=link,
            interface=interface,
            netns_path=wish.netns_path,
            netns_id=wish.netns_id,
            ports=tuple(published),
            aliases=wish.aliases,
            ready=False,
            created_ns=now_ns(),
        )
        try:
            with self._store.transaction() as tx:
                self._rows.insert_endpoint(tx, endpoint)
        except BaseException:
            self._holds.give_back(identity)
            raise
        return endpoint

    def _address(self, wish: Wish) -> str:
        subnet = ipaddress.IPv4Network(wish.network.subnet)
        taken = self._rows.addresses(wish.network.id)
        if wish.address:
            return subnets.requested(subnet, taken, wish.address)
        return subnets.allocate(subnet, taken, wish.network.last_address)

    def _free_link(self, identity: str) -> str:
        taken = self._rows.links() | self.doomed
        while (name := names.link(self._instance, identity)) in taken:
            identity = os.urandom(32).hex()
        return name

    async def _plug_again(self, known: Endpoint, wish: Wish) -> Endpoint:
        """Return a known endpoint with what is left of it taken away; it keeps its address and ports."""
        moved = replace(known, netns_path=wish.netns_path, netns_id=wish.netns_id, ready=False)
        with self._store.transaction() as tx:
            self._rows.set_plugged(tx, moved)
        if known.netns_id != wish.netns_id:
            self._files.remove(known.owner)
        await self._relay.shut(known.id)
        if known.link:
            await self._worker.run(self._plumbing.delete, [known.link])
        return moved

    async def _build(self, wish: Wish, endpoint: Endpoint, first: bool) -> None:
        if endpoint.link:
            await self._plug(wish.network, endpoint, first)
        elif wish.netns_path:
            await self._worker.run(self._plumbing.set_lo_up, wish.netns_path)
        if endpoint.ports:
            await self._change_ports("add", endpoint)
            await self.carry(endpoint)

    async def carry(self, endpoint: Endpoint) -> None:
        """Have the relay carry what nftables cannot divert: ports of a family that the endpoint has no address of."""
        held = [h for h in self._holds.of(endpoint.id) if ":" in h.publish.host_ip]
        await self._relay.open(endpoint.id, held, endpoint.address)

    async def _plug(self, network: Network, endpoint: Endpoint, first: bool) -> None:
        try:
            await self._worker.run(self._plumbing.plug, network, endpoint, first)
        except LinkFailed as error:
            if error.metadata.get("errno") != "EEXIST" or not self.doomed:
                raise
            # The namespace was detached a moment ago and lives on: the old link is in the way.
            await self.sweep()
            await self._worker.run(self._plumbing.plug, network, endpoint, first)

    async def _change_ports(self, verb: str, endpoint: Endpoint) -> None:
        """Publish or withdraw ports; where the table is not what it was, build it anew."""
        try:
            await self._worker.run(self._plumbing.change_ports, verb, endpoint)
        except KernelUnsupported as error:
            _log.info("the table is not what it was, building it", error=error.message)
            after = self.wanted(without=endpoint.id if verb == "delete" else "")
            await self._worker.run(self._plumbing.build_rules, after)
        if any(port.protocol == "udp" for port in endpoint.ports):
            await self._worker.run(self._plumbing.forget_flows, verb, endpoint)

    def wanted(self, without: str = "") -> Wanted:
        """Return what must be there.

        Args:
            without: Id of an endpoint that is about to go.
        """
        endpoints = [e for e in self._rows.endpoints() if e.id != without]
        return Wanted([n for n in self._networks.all() if n.subnet], endpoints)

    def _write_files(self, wish: Wish, endpoint: Endpoint) -> None:
        isolated = wish.network.driver != "host"
        resolver = files.resolver_for(
            files.host_resolver(),
            wish.asked,
            self._section.dns,
            self._section.fallback_dns,
            isolated,
        )
        if isolated:
            own = [endpoint.address, *wish.names()] if endpoint.address else []
            hosts = files.hosts_text(wish.extra_hosts, own)
        else:
            hosts = files.host_hosts_text(wish.extra_hosts)
        self._files.write(wish.owner, resolver, hosts, wish.hostname)

    def _response(self, network: Network, endpoint: Endpoint) -> pb.AttachResponse:
        paths = self._files.paths(endpoint.owner)
        response = pb.AttachResponse(
            resolv_conf_path=str(paths.resolv_conf),
            hosts_path=str(paths.hosts),
            hostname_path=str(paths.hostname),
        )
        if endpoint.address:
            response.endpoint.CopyFrom(endpoint_message(network, endpoint))
        return response

    async def detach(self, owner: str) -> None:
        """Unplug an owner from all networks; one that is not attached is no error."""
        requests.check_owner(owner)
        async with self.lock:
            await self.release_owner(owner)

    async def release_owner(self, owner: str) -> None:
        """Give back all that an owner has. The lock is held."""
        networks = {network.id: network for network in self._networks.all()}
        for endpoint in self._rows.endpoints_of(owner):
            await asyncio.shield(self._release(endpoint, networks[endpoint.network_id]))
        self._files.remove(owner)

    async def _release(self, endpoint: Endpoint, network: Network) -> None:
        if endpoint.ports:
            await self._try(self._change_ports("delete", endpoint))
        if endpoint.link:
            await self._try(self._worker.run(self._plumbing.set_down, [endpoint.link]))
        with self._store.transaction() as tx:
            self._rows.delete_endpoint(tx, endpoint.id)
            if endpoint.ready:
                self._tell(tx, network, endpoint, "disconnect")
        await self._relay.shut(endpoint.id)
        self._holds.give_back(endpoint.id)
        if not self._rows.endpoints_of(endpoint.owner):
            self._files.remove(endpoint.owner)
        if endpoint.link:
            self._doom(endpoint.link)

    async def _try(self, step: Awaitable[None]) -> None:
        """Do what reconciliation would do again: a failure is no reason to keep an owner's resources."""
        try:
            await step
        except ScowError as error:
            _log.warning("not withdrawn, left to reconciliation", error=str(error))

    def _doom(self, link: str) -> None:
        self.doomed.add(link)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep_later())

    async def _sweep_later(self) -> None:
        while self.doomed:
            await asyncio.sleep(_SWEEP_SECONDS)
            await self.sweep()

    async def sweep(self) -> None:
        """Delete the links that the end of their namespaces has not taken along."""
        links = sorted(self.doomed)
        try:
            await self._worker.run(self._plumbing.delete, links)
        except ScowError as error:
            _log.warning("links not deleted, left to reconciliation", error=str(error))
        self.doomed.difference_update(links)

    async def close(self) -> None:
        """Finish what was put off."""
        await self._relay.close()
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self.doomed:
            await self.sweep()

    def _tell(
        self, tx: sqlite3.Connection, network: Network, endpoint: Endpoint, action: str
    ) -> None:
        self._journal.append(
            tx,
            "network",
            network.id,
            action,
            {
                "name": network.name,
                "type": network.driver,
                "container": endpoint.owner.partition("/")[2],
            },
        )
