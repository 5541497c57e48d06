"""The names of one engine: who has which, and the name server of each container that has networks with names.

All networks have names but the default one, as in Docker. A container that was once in such a network keeps its name
server until it ends, since its resolv.conf says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from scow.contract.errors import LinkFailed, ScowError
from scow.core.config import NetworkSection
from scow.network.dns import files, listener, message
from scow.network.dns.records import Member, Records
from scow.network.dns.server import NamePolicy, Scope, Server
from scow.network.dns.upstream import Upstream
from scow.network.kernel import netns
from scow.network.networks import DEFAULT
from scow.network.store import Endpoint, Network, NetworkStore, Resolving

_SHORT_ID = 12
_log = structlog.get_logger()


def has_names(network: Network) -> bool:
    """Tell whether containers find each other by name on a network."""
    return network.name != DEFAULT and bool(network.pools)


class Names:
    """Names and name servers.

    Args:
        rows: The tables.
        section: Of the configuration.
        judge: Returns what an owner's policy has to do with names.
    """

    def __init__(
        self,
        rows: NetworkStore,
        section: NetworkSection,
        judge: Callable[[str], NamePolicy | None],
    ) -> None:
        self._judge = judge
        self._rows = rows
        self._section = section
        self._records = Records()
        self._server = Server(self._records, Upstream(), self._host_servers)
        # In which namespace an owner's sockets are.
        self._served: dict[str, str] = {}

    def _host_servers(self) -> Sequence[str]:
        """Return the host's name servers, which are looked up each time: it takes 20 microseconds."""
        return files.host_resolver().servers or self._section.fallback_dns

    async def follow(self, owner: str, endpoints: Iterable[Endpoint]) -> None:
        """Have names and name server of an owner be what its endpoints say.

        Raises:
            LinkFailed: Its namespace is gone.
            KernelUnsupported: The kernel lacks what is needed.
        """
        resolving = self._rows.resolving(owner)
        if resolving is None:
            return
        networks = self._networks()
        own = [endpoint for endpoint in endpoints if endpoint.netns_path]
        for member in _members(own, networks, resolving):
            self._records.put(member)
        if not resolving.served or not own:
            return
        scope = self._scope(own, networks, resolving)
        if self._served.get(owner) == own[0].netns_id:
            self._server.set_scope(owner, scope)
            return
        # Not by the worker: it has nothing to do with what others change.
        with netns.opened_as(own[0].netns_path, own[0].netns_id) as descriptor:
            made = await listener.listen(descriptor)
        await self._server.open(owner, made, scope)
        self._served[owner] = own[0].netns_id

    def _networks(self) -> dict[str, Network]:
        return {network.id: network for network in self._rows.networks()}

    def _scope(
        self, endpoints: Sequence[Endpoint], networks: Mapping[str, Network], resolving: Resolving
    ) -> Scope:
        attached = [networks[endpoint.network_id] for endpoint in endpoints]
        policy = self._judge(endpoints[0].owner)
        return Scope(
            networks=tuple(network.id for network in attached if has_names(network)),
            servers=resolving.servers or self._section.dns,
            # A policy is about names: that it denies their servers' addresses must not matter.
            inside=bool(resolving.servers) and policy is None,
            forwards=not all(network.internal for network in attached),
            qualified=resolving.qualified,
            links=_links(resolving.links),
            policy=policy,
        )

    def forget(self, endpoint: Endpoint) -> None:
        """Have an endpoint's names mean nothing from now on."""
        self._records.remove(endpoint.id)

    async def leave(self, owner: str, endpoints: Iterable[Endpoint]) -> None:
        """Have the name server of an owner follow what it has left; without anything, nobody serves it."""
        left = list(endpoints)
        if not left:
            self._served.pop(owner, None)
            await self._server.close(owner)
        elif owner in self._served:
            await self.follow(owner, left)

    async def restore(self, endpoints: Iterable[Endpoint]) -> None:
        """Have names be those of these endpoints, and open sockets that are not there: this process is a new one."""
        by_owner: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints:
            by_owner.setdefault(endpoint.owner, []).append(endpoint)
        networks = self._networks()
        members: list[Member] = []
        for owner, own in by_owner.items():
            if (resolving := self._rows.resolving(owner)) is not None:
                members += _members(own, networks, resolving)
        self._records.replace(members)
        for owner in set(self._served) - set(by_owner):
            await self.leave(owner, ())
        for owner, own in by_owner.items():
            try:
                await self.follow(owner, own)
            except LinkFailed as error:
                # It ends with its owner.
                _log.info("no name server for what has ended", owner=owner, error=error.message)
            except ScowError as error:
                # One container's trouble is no reason to leave the others without.
                _log.warning("no name server for a container", owner=owner, error=error.message)

    async def close(self) -> None:
        """Serve nobody."""
        await self._server.close_all()


def _members(
    endpoints: Iterable[Endpoint], networks: Mapping[str, Network], resolving: Resolving
) -> list[Member]:
    found = []
    for endpoint in endpoints:
        network = networks[endpoint.network_id]
        if not has_names(network) or not endpoint.addresses:
            continue
        identity = endpoint.owner.partition("/")[2]
        names = (
            endpoint.name,
            *endpoint.aliases,
            identity[:_SHORT_ID],
            identity,
            resolving.hostname,
        )
        found.append(
            Member(
                endpoint.id,
                network.id,
                network.name,
                tuple(dict.fromkeys(name for name in names if name)),
                tuple(address.ip for address in endpoint.addresses),
            )
        )
    return found


def _links(links: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return names of a container's own and what they stand for, as they are on the wire."""
    found = {}
    for alias, name in links.items():
        try:
            found[message.name_to_wire(alias)] = message.name_to_wire(name)
        except ValueError:
            continue
    return found
