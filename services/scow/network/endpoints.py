"""Endpoints: attaching owners to networks and detaching them.

Order, so that the process may die anywhere: ports are held and the row is written with its leases, then the driver
plugs, ports are published and files are written, then the row is marked ready. Detaching withdraws ports and link
first and deletes the row last. What is cut short in between is a row that is not ready, or one that is detached again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast
from weakref import WeakValueDictionary

import structlog

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import (
    InvalidArgument,
    KernelUnsupported,
    PolicyUnsupported,
    ScowError,
)
from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.core.tasks import completed
from scow.core.times import now_ns
from scow.network import options, rates, requests, routing
from scow.network.dns import files, listener
from scow.network.dns.files import Files, Resolver
from scow.network.dns.names import Names, has_names
from scow.network.drivers import Driver, Drivers
from scow.network.firewall.table import Table, Wanted
from scow.network.ipam import leases
from scow.network.ipam.addresses import Interface
from scow.network.kernel import names
from scow.network.kernel.worker import Worker
from scow.network.networks import DEFAULT, Networks, endpoint_message
from scow.network.policy.policies import Policies
from scow.network.ports import port_mapping
from scow.network.ports.port_mapping import PortRequest
from scow.network.ports.publisher import Publisher
from scow.network.requests import Wish
from scow.network.store import Endpoint, Network, NetworkStore, Resolving

_A = TypeVar("_A")
_B = TypeVar("_B")
_log = structlog.get_logger()


@dataclass(frozen=True)
class Parts:
    """What endpoints are made of."""

    worker: Worker
    drivers: Drivers
    table: Table
    files: Files
    section: NetworkSection
    instance: str


class Endpoints:
    """Who is attached to what.

    Attributes:
        lock: Held by every change, and by reconciliation; but see `aside`.
        publisher: The published ports.
        names: The names.
        policies: What owners may reach.
    """

    def __init__(self, store: Store, journal: Journal, networks: Networks, parts: Parts) -> None:
        self._store = store
        self._rows = NetworkStore(store)
        self._journal = journal
        self._networks = networks
        self._parts = parts
        self.lock = asyncio.Lock()
        # Always taken before the lock.
        self._owners: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.publisher = Publisher(parts.worker, parts.table, self.wanted)
        self.policies = Policies(parts.worker, self._rows, parts.instance)
        self.names = Names(self._rows, parts.section, self.policies.judge)

    @contextlib.asynccontextmanager
    async def changing(self, owner: str) -> AsyncIterator[None]:
        """Hold the lock, and keep others from changing this owner's endpoints also where it is given away."""
        async with self._lock_of(owner), self.lock:
            yield

    def _lock_of(self, owner: str) -> asyncio.Lock:
        lock = self._owners.get(owner)
        if lock is None:
            lock = self._owners[owner] = asyncio.Lock()
        return lock

    def is_changing(self, owner: str) -> bool:
        """Tell whether somebody changes an owner's endpoints, be it that the lock is given away meanwhile."""
        lock = self._owners.get(owner)
        return lock is not None and lock.locked()

    @contextlib.asynccontextmanager
    async def keeping(self, owners: Iterable[str]) -> AsyncIterator[set[str]]:
        """Keep owners' endpoints from being changed, of those that nobody changes already; return these."""
        async with contextlib.AsyncExitStack() as stack:
            free = {owner for owner in owners if not self.is_changing(owner)}
            for owner in free:
                await stack.enter_async_context(self._lock_of(owner))
            yield free

    @contextlib.asynccontextmanager
    async def aside(self, driver: Driver) -> AsyncIterator[None]:
        """Give the lock away while a driver works that is not prompt: strangers' programs must not keep all waiting.

        What was read of others' records before may be different after it.
        """
        if driver.capabilities.prompt:
            yield
            return
        self.lock.release()
        try:
            yield
        finally:
            # Also when the caller goes away: whoever holds it lets it go.
            await completed(self._take())

    async def _take(self) -> None:
        await self.lock.acquire()

    async def attach(self, request: pb.AttachRequest) -> pb.AttachResponse:
        """Attach an owner to a network; see the contract.

        Raises:
            ScowError: As the contract says; then nothing of this call is left behind.
        """
        async with self.changing(request.owner):
            network = self._networks.get(request.network)
            capabilities = self._driver(network).capabilities
            if capabilities.addresses:
                await self._establish()
                network = self._networks.get(network.id)
            wish = requests.check(
                request, network, capabilities, self._gateway(), self._publish_address(network)
            )
            if self._rows.policy(wish.owner) is not None:
                self.check_judged(network)
            known = self._known(wish)
            if known is not None and known.ready and await self._is_whole(known, wish):
                return self._response(network, await self._called(known, wish.name))
            return self._response(network, await self._make(wish, known))

    async def _called(self, known: Endpoint, name: str) -> Endpoint:
        """Return a known endpoint with the name that its owner has by now."""
        if known.name == name:
            return known
        endpoint = replace(known, name=name)
        with self._store.transaction() as tx:
            self._rows.set_plugged(tx, endpoint)
        await self.names.follow(known.owner, self._rows.endpoints_of(known.owner))
        return endpoint

    def check_judged(self, network: Network) -> None:
        """Check that policies hold on a network.

        Raises:
            PolicyUnsupported: They do not.
        """
        if not self._driver(network).capabilities.judged:
            raise PolicyUnsupported(
                f"the network {network.name} is of the driver {network.driver}, on which no policy holds",
                what="network",
                which=network.name,
                do="leave the network, or take away the policy: they hold on networks of the driver bridge",
            )

    def can_publish(self, endpoint: Endpoint) -> bool:
        """Tell whether ports of the host can lead to an endpoint."""
        network = self._by_id()[endpoint.network_id]
        able = self._driver(network).capabilities.linked and not network.internal
        return able and bool(endpoint.addresses)

    def port_request(self, mapping: PortMapping, network: Network) -> PortRequest:
        """Return a checked wish for ports of a network's endpoint.

        Raises:
            InvalidPort: It cannot be meant.
        """
        return port_mapping.check(mapping, self._publish_address(network))

    def _publish_address(self, network: Network) -> str:
        """Return where ports are published that name no address; empty means on all of the host's."""
        return network.options.get(options.HOST_BINDING) or self._parts.section.publish_address

    def _driver(self, network: Network) -> Driver:
        return self._parts.drivers[network.driver]

    async def _establish(self) -> None:
        """Make what all endpoints share, where the start could not or the configuration changed."""
        if await self._networks.establish() or not self._parts.table.is_built:
            await self._parts.worker.run(self._parts.table.restore, self.wanted())

    def _gateway(self) -> str:
        return next((str(a) for a in self._networks.get(DEFAULT).gateways()), "")

    def _known(self, wish: Wish) -> Endpoint | None:
        endpoints = self._rows.endpoints_of(wish.owner)
        return next((e for e in endpoints if e.network_id == wish.network.id), None)

    async def _is_whole(self, known: Endpoint, wish: Wish) -> bool:
        if known.netns_id != wish.netns_id or not self._parts.files.exist(known.owner):
            return False
        return await self._driver(wish.network).is_attached(known)

    async def _make(self, wish: Wish, known: Endpoint | None) -> Endpoint:
        """Make an endpoint, or make anew what is missing of a known one; undo it if that fails."""
        endpoint = self._lease(wish) if known is None else await self._plug_again(known, wish)
        try:
            others = [e for e in self._rows.endpoints_of(wish.owner) if e.id != endpoint.id]
            # Before the link is there: what it sends until then would be lost.
            await self._change_sender("add", wish.network, endpoint)
            await self.policies.follow(wish.owner, [*others, endpoint])
            endpoint = await self._plug(wish.network, endpoint, others)
            if rates.are_limited(endpoint):
                await self._parts.worker.run(rates.apply, endpoint)
            if not wish.network.pools and endpoint.addresses:
                with self._store.transaction() as tx:
                    self._rows.set_addresses(tx, endpoint)
                await self.names.follow(wish.owner, [*others, endpoint])
            await self._publish(wish.network, endpoint, others)
            self._write_files(wish, [*others, endpoint])
            endpoint = replace(endpoint, ready=True)
            with self._store.transaction() as tx:
                self._rows.set_plugged(tx, endpoint)
                self._tell(tx, wish.network, endpoint, "connect")
        except BaseException:
            # Also when the caller went away: what the thread is doing for it is undone after it.
            await completed(self.release(endpoint))
            raise
        return endpoint

    async def _plug(
        self, network: Network, endpoint: Endpoint, others: Sequence[Endpoint]
    ) -> Endpoint:
        """Have the driver plug an endpoint, and names know it."""
        driver = self._driver(network)
        following = self.names.follow(endpoint.owner, [*others, endpoint])
        if driver.capabilities.prompt:
            # Side by side: links and the name server's sockets take a millisecond or more each.
            plugged, _ = await _both(driver.attach(network, endpoint), following)
            return plugged
        await following
        async with self.aside(driver):
            return await driver.attach(network, endpoint)

    async def _publish(
        self, network: Network, endpoint: Endpoint, others: Sequence[Endpoint]
    ) -> None:
        """Have ports lead to a new endpoint: its own, or those that another one had until the record of this one."""
        before = next((other for other in others if self.publisher.holds(other.id)), None)
        if endpoint.ports and before is not None:
            await self.publisher.move(before, network, endpoint)
        else:
            await self.publisher.publish(network, endpoint)

    def _lease(self, wish: Wish) -> Endpoint:
        """Hold the ports and record an endpoint with addresses of its own."""
        identity = os.urandom(32).hex()
        endpoint = Endpoint(
            id=identity,
            owner=wish.owner,
            network_id=wish.network.id,
            name=wish.name,
            addresses=(),
            mac="",
            link="",
            interface="",
            netns_path=wish.netns_path,
            netns_id=wish.netns_id,
            ports=(),
            aliases=wish.aliases,
            ready=False,
            created_ns=now_ns(),
            options=wish.options,
            priority=wish.priority,
            link_local=wish.link_local,
        )
        others = self._rows.endpoints_of(wish.owner)
        if wish.capabilities.addresses:
            endpoint = self._with_link(endpoint, wish, others)
        found = routing.routers([*others, endpoint], self._by_id())
        endpoint = replace(endpoint, routers=found[identity])
        try:
            held = next((other for other in others if other.ports), None)
            if held is None and not wish.network.internal:
                published = self.publisher.take(identity, wish.network, wish.ports)
                endpoint = replace(endpoint, ports=tuple(published))
            others = [replace(other, routers=found[other.id]) for other in others]
            if held is not None and self._gateway_of([*others, endpoint]) == identity:
                # Answers go by the default route, so ports lead where that is.
                endpoint = replace(endpoint, ports=held.ports)
                others = [replace(other, ports=()) for other in others]
            with self._store.transaction() as tx:
                self._rows.insert_endpoint(tx, endpoint, wish.network)
                self._rows.set_resolving(tx, wish.owner, self._resolving(wish))
                for other in others:
                    self._rows.set_routers(tx, other)
                    self._rows.set_ports(tx, other)
        except BaseException:
            self.publisher.let_go(identity)
            raise
        return endpoint

    def _gateway_of(self, endpoints: Sequence[Endpoint]) -> str:
        """Return the id of an owner's endpoint to which ports lead, or nothing; see `can_publish`."""
        able = [endpoint for endpoint in endpoints if self.can_publish(endpoint)]
        return max(able, key=lambda e: len(e.routers)).id if able else ""

    def _resolving(self, wish: Wish) -> Resolving:
        known = self._rows.resolving(wish.owner)
        return Resolving(
            hostname=wish.hostname,
            servers=wish.asked.servers,
            qualified=files.is_qualified(wish.asked.options),
            links=wish.links,
            served=has_names(wish.network) or (known is not None and known.served),
        )

    def _by_id(self) -> dict[str, Network]:
        return {network.id: network for network in self._networks.all()}

    def _with_link(self, endpoint: Endpoint, wish: Wish, others: Sequence[Endpoint]) -> Endpoint:
        """Return an endpoint with names for its links and addresses that are free."""
        taken = self._rows.leased(wish.network.id)
        addresses = leases.lease(wish.network.pools, taken, wish.addresses)
        return replace(
            endpoint,
            addresses=addresses,
            mac=wish.mac or (leases.mac_of(addresses) if addresses else ""),
            link=self._free_link(endpoint.id) if wish.capabilities.linked else "",
            interface=self._free_interface(wish, others),
        )

    def _free_interface(self, wish: Wish, others: Sequence[Endpoint]) -> str:
        """Return the name of the container's link: the one that is asked for, or the first free number.

        Raises:
            InvalidArgument: Another link of the container has it.
        """
        present = {other.interface for other in others}
        if wish.interface in present:
            raise InvalidArgument(
                f"the container has an interface {wish.interface} already",
                what="interface",
                which=wish.interface,
                do="choose another name",
            )
        stem = options.bridge(wish.network.options).stem
        free = (names.interface(number, stem) for number in range(len(present) + 1))
        return wish.interface or next(name for name in free if name not in present)

    def _free_link(self, identity: str) -> str:
        taken = self._rows.links()
        while (name := names.link(self._parts.instance, identity)) in taken:
            identity = os.urandom(32).hex()
        return name

    async def _plug_again(self, known: Endpoint, wish: Wish) -> Endpoint:
        """Return a known endpoint with what is left of it taken away; it keeps its addresses and ports."""
        moved = replace(
            known,
            name=wish.name,
            netns_path=wish.netns_path,
            netns_id=wish.netns_id,
            ready=False,
        )
        with self._store.transaction() as tx:
            self._rows.set_plugged(tx, moved)
        if known.netns_id != wish.netns_id:
            self._parts.files.remove(known.owner)
        await self.publisher.interrupt(known)
        driver = self._driver(wish.network)
        async with self.aside(driver):
            await driver.detach(known, at_once=True)
        return moved

    def wanted(self, without: str = "") -> Wanted:
        """Return what must be there.

        Args:
            without: Id of an endpoint that is about to go.
        """
        endpoints = [e for e in self._rows.endpoints() if e.id != without]
        return Wanted(self._networks.all(), endpoints)

    def _write_files(self, wish: Wish, endpoints: Sequence[Endpoint]) -> None:
        """Write an owner's files, or change what a further network changes in them."""
        addresses = [address for endpoint in endpoints for address in endpoint.addresses]
        resolver = self._resolver(wish, addresses)
        if len(endpoints) > 1 and self._parts.files.exist(wish.owner):
            self._parts.files.set_resolver(wish.owner, resolver)
            if wish.capabilities.namespace:
                own = [str(address.ip) for address in endpoints[-1].addresses]
                self._parts.files.change_hosts(wish.owner, wish.names(), new=own, gone=own)
            return
        if wish.capabilities.namespace:
            texts = [str(address.ip) for address in addresses]
            hosts = files.hosts_text(wish.extra_hosts, texts, wish.names())
        else:
            hosts = files.host_hosts_text(wish.extra_hosts)
        self._parts.files.write(wish.owner, resolver, hosts, wish.hostname)

    def _resolver(self, wish: Wish, addresses: Iterable[Interface]) -> Resolver:
        section, isolated = self._parts.section, wish.capabilities.namespace
        resolver = files.resolver_for(
            files.host_resolver(),
            wish.asked,
            section.dns,
            section.fallback_dns,
            reachable=_versions(addresses) if isolated else None,
        )
        known = self._rows.resolving(wish.owner)
        if known is not None and known.served:
            return files.served(resolver, listener.ADDRESS)
        return resolver

    def _response(self, network: Network, endpoint: Endpoint) -> pb.AttachResponse:
        paths = self._parts.files.paths(endpoint.owner)
        response = pb.AttachResponse(
            resolv_conf_path=str(paths.resolv_conf),
            hosts_path=str(paths.hosts),
            hostname_path=str(paths.hostname),
        )
        if endpoint.addresses:
            response.endpoint.CopyFrom(endpoint_message(network, endpoint))
        return response

    async def detach(self, owner: str, network: str = "") -> pb.DetachResponse:
        """Unplug an owner from a network, or from all; it is not an error when it is not attached."""
        requests.check_owner(owner)
        async with self.changing(owner):
            if not network:
                await self.release_owner(owner)
                return pb.DetachResponse()
            left = self._networks.get(network)
            for endpoint in self._rows.endpoints_of(owner):
                if endpoint.network_id == left.id:
                    await completed(self.release(endpoint))
            present = [port for e in self._rows.endpoints_of(owner) for port in e.ports]
            return pb.DetachResponse(ports=[port.to_proto() for port in present])

    async def release_owner(self, owner: str) -> None:
        """Give back all that an owner has. The lock is held."""
        networks = self._by_id()
        for endpoint in self._rows.endpoints_of(owner):
            await completed(self._release(endpoint, networks[endpoint.network_id]))
        self._parts.files.remove(owner)

    async def release(self, endpoint: Endpoint) -> None:
        """Give back one endpoint of an owner that lives on with the others. The lock is held."""
        networks = self._by_id()
        others = [e for e in self._rows.endpoints_of(endpoint.owner) if e.id != endpoint.id]
        if others:
            endpoint = await self._bequeath(endpoint, others, networks)
        resolving = self._rows.resolving(endpoint.owner)
        await self._release(endpoint, networks[endpoint.network_id], at_once=True)
        if others and resolving is not None and self._parts.files.exist(endpoint.owner):
            own = [str(address.ip) for address in endpoint.addresses]
            called = requests.host_names(resolving.hostname, endpoint.aliases)
            self._parts.files.change_hosts(endpoint.owner, called, gone=own)

    async def _bequeath(
        self, endpoint: Endpoint, others: Sequence[Endpoint], networks: dict[str, Network]
    ) -> Endpoint:
        """Have an endpoint's default routes and ports lead by others; return it without them.

        Routes and ports are recorded together, since answers go by the default route. Reconciliation makes the rest
        follow.
        """
        found = routing.routers(others, networks)
        ports, left = endpoint.ports, replace(endpoint, routers=(), ports=())
        rest = [replace(other, routers=found[other.id]) for other in others]
        heir = self._gateway_of(rest)
        rest = [replace(e, ports=ports) if ports and e.id == heir else e for e in rest]
        if rest == list(others):
            return endpoint
        with self._store.transaction() as tx:
            for each in (left, *rest):
                self._rows.set_routers(tx, each)
                self._rows.set_ports(tx, each)
        for before, now in zip(others, rest, strict=True):
            if now.routers != before.routers:
                await self._try(self._driver(networks[now.network_id]).route(now))
            if now.ports != before.ports:
                await self._try(self.publisher.move(endpoint, networks[now.network_id], now))
        return left if heir else replace(left, ports=ports)

    async def _release(self, endpoint: Endpoint, network: Network, at_once: bool = False) -> None:
        self.names.forget(endpoint)
        await self._try(self.publisher.withdraw(network, endpoint))
        driver = self._driver(network)
        async with self.aside(driver):
            await self._try(driver.detach(endpoint, at_once=at_once))
        await self._try(self._change_sender("delete", network, endpoint))
        with self._store.transaction() as tx:
            self._rows.delete_endpoint(tx, endpoint.id)
            if endpoint.ready:
                self._tell(tx, network, endpoint, "disconnect")
        await self.publisher.give_back(endpoint.id)
        left = self._rows.endpoints_of(endpoint.owner)
        await self._try(self.names.leave(endpoint.owner, left))
        await self._try(self.policies.follow(endpoint.owner, left))
        if not left:
            self._parts.files.remove(endpoint.owner)

    async def _change_sender(self, verb: str, network: Network, endpoint: Endpoint) -> None:
        """Let an endpoint send from its addresses, or do so no more; build the table where it is not what it was."""
        table, worker = self._parts.table, self._parts.worker
        try:
            await worker.run(table.change_sender, verb, network, endpoint)
        except KernelUnsupported:
            await worker.run(table.build, self.wanted(endpoint.id if verb == "delete" else ""))

    async def _try(self, step: Awaitable[None]) -> None:
        """Do what reconciliation would do again: a failure is no reason to keep an owner's resources."""
        try:
            await step
        except ScowError as error:
            _log.warning("not withdrawn, left to reconciliation", error=str(error))

    async def close(self) -> None:
        """Finish what was put off."""
        await self.publisher.close()
        await self.names.close()
        await self.policies.close()
        for driver in self._parts.drivers.values():
            await driver.close()

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


async def _both(first: Awaitable[_A], second: Awaitable[_B]) -> tuple[_A, _B]:
    """Wait for both; return their results, or raise what the first one that failed raised."""
    found = await asyncio.gather(first, second, return_exceptions=True)
    for result in found:
        if isinstance(result, BaseException):
            raise result
    return cast("tuple[_A, _B]", found)


def _versions(addresses: Iterable[Interface]) -> set[int]:
    """Return 4 and 6, as far as there are addresses of them."""
    return {address.version for address in addresses}
