"""The drivers "macvlan" and "ipvlan": containers on a link of the host, beside the host rather than behind it.

Each endpoint is a link in the container's namespace that shares the hardware of a parent: a link of the host, a VLAN
of one (made when it is missing), or, where none is named, a cable that leads nowhere. Routers are others' than the
host, to which the kernel lets no packets pass from its parent.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import InvalidArgument, LinkFailed, ScowError
from scow.network import options
from scow.network.drivers import host_routes, inside
from scow.network.drivers.base import Capabilities
from scow.network.ipam.addresses import Pool
from scow.network.ipam.plan import Choice
from scow.network.kernel import links, names, netns
from scow.network.kernel.links import Link, Sublink
from scow.network.kernel.netlink import Netlink
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network

_VLAN = re.compile(r"([^/\s]{1,12})\.(\d{1,4})")
_NAME = re.compile(r"[^/\s:]{1,15}")
_LAST_VLAN = 4094
_log = structlog.get_logger()


@dataclass(frozen=True)
class Kind:
    """What differs between the kinds.

    Attributes:
        name: Of the kind, ip-link(8).
        option: That names the mode.
        attribute: Of the kind that has the mode.
        modes: By name, the default first.
        flags: By name, for ipvlan.
        own_mac: Whether an endpoint has a MAC address of its own.
    """

    name: str
    option: str
    attribute: str
    modes: Mapping[str, int]
    flags: Mapping[str, int]
    own_mac: bool


# linux/if_link.h
MACVLAN = Kind(
    "macvlan",
    "macvlan_mode",
    "IFLA_MACVLAN_MODE",
    {"bridge": 4, "private": 1, "vepa": 2, "passthru": 8},
    {},
    own_mac=True,
)
IPVLAN = Kind(
    "ipvlan",
    "ipvlan_mode",
    "IFLA_IPVLAN_MODE",
    {"l2": 0, "l3": 1, "l3s": 2},
    {"bridge": 0, "private": 1, "vepa": 2},
    own_mac=False,
)
_FLAG = "ipvlan_flag"
_PASSTHRU = "passthru"


class SublinkDriver:
    """The driver: what is done; `_Host` does it.

    Args:
        worker: For all that blocks.
        instance: Names links of the engine.
        kind: Macvlan or ipvlan.
    """

    capabilities = Capabilities(namespace=True, addresses=True, linked=False, ports=False)

    def __init__(self, worker: Worker, instance: str, kind: Kind) -> None:
        self._worker = worker
        self._kind = kind.name
        self._host = _Host(instance, kind)

    def check(self, network: Network) -> list[str]:
        """Check the options."""
        self._host.data(network)
        options.mtu(network.options)
        parent = network.options.get("parent", "")
        if parent and not _NAME.fullmatch(parent):
            raise _invalid(
                "parent", parent, "the name of a link of the host, such as eth0 or eth0.10"
            )
        if parent and network.internal:
            return [
                "a network with a parent reaches whom the parent reaches, also when it is internal"
            ]
        return []

    async def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        """Make the parent, where it is the engine's, and try whether the kernel has the kind."""
        return await self._worker.run(self._host.establish, network, choice)

    async def attach(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """Make the link in the namespace, and set that up."""
        await self._worker.run(self._host.plug, network, endpoint)
        return endpoint

    async def route(self, endpoint: Endpoint) -> None:
        """Replace the default routes of the namespace."""
        await self._worker.run(inside.route, endpoint)

    async def is_attached(self, endpoint: Endpoint) -> bool:
        """Tell whether the link is in the namespace."""
        return await self._worker.run(inside.has_link, endpoint, self._kind)

    async def detach(self, endpoint: Endpoint, at_once: bool = False) -> None:
        """Delete the link: nothing in the host could cut it off."""
        await self._worker.run(inside.delete_link, endpoint, self._kind)

    async def remove(self, network: Network) -> None:
        """Delete the parent, where it is the engine's."""
        await self._worker.run(self._host.remove, network)

    async def reconcile(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint]
    ) -> list[ReconcileAction]:
        """Compare parents and links with the records."""
        return await self._worker.run(self._host.restore, networks, endpoints)

    async def close(self) -> None:
        """Close the socket."""
        await self._worker.run(self._host.close)


class _Host:
    """Links in the kernel. All of it blocks, if only for moments."""

    def __init__(self, instance: str, kind: Kind) -> None:
        self._instance = instance
        self._kind = kind

    @cached_property
    def _netlink(self) -> Netlink:
        return Netlink()

    def close(self) -> None:
        if "_netlink" in self.__dict__:
            self.__dict__.pop("_netlink").close()

    def data(self, network: Network) -> tuple[tuple[str, int], ...]:
        """Return the attributes of a network's links.

        Raises:
            InvalidArgument: There is no such mode or flag.
        """
        kind, given = self._kind, network.options
        mode = given.get(kind.option) or next(iter(kind.modes))
        if mode not in kind.modes:
            raise _invalid(kind.option, mode, " or ".join(kind.modes))
        found = [(kind.attribute, kind.modes[mode])]
        if kind.flags:
            flag = given.get(_FLAG) or next(iter(kind.flags))
            if flag not in kind.flags:
                raise _invalid(_FLAG, flag, " or ".join(kind.flags))
            found.append(("IFLA_IPVLAN_FLAGS", kind.flags[flag]))
        return tuple(found)

    def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        with host_routes.locked():
            pools = choice(host_routes.of_host(self._netlink))
            parent = self._make_parent(network)
            self._try(network, parent)
            return pools

    def _try(self, network: Network, parent: Link) -> None:
        """Make a link of the kind and delete it, so that a kernel without it is told of now."""
        name = names.user_bridge(self._instance, network.id[1:])
        links.add_sublink(self._netlink, Sublink(name, self._kind.name, parent.index))
        links.delete_links(self._netlink, [name])

    def _make_parent(self, network: Network) -> Link:
        """Return the parent, made if it is the engine's to make.

        Raises:
            InvalidArgument: There is no such link.
        """
        name = self._parent(network)
        found = links.find_link(self._netlink, name)
        if found is None:
            self._add_parent(network, name)
            found = links.find_link(self._netlink, name)
            assert found is not None
        if not found.up and found.alias:
            links.set_up(self._netlink, name)
        return found

    def _parent(self, network: Network) -> str:
        own = names.user_bridge(self._instance, network.id)
        return network.options.get("parent") or own

    def _add_parent(self, network: Network, name: str) -> None:
        alias = self._alias(network)
        if not network.options.get("parent"):
            peer = names.user_bridge(self._instance, network.id[::-1])
            links.add_cable(self._netlink, name, peer, alias)
            return
        parts = _VLAN.fullmatch(name)
        base = links.find_link(self._netlink, parts[1]) if parts else None
        if parts is None or base is None or not 1 <= int(parts[2]) <= _LAST_VLAN:
            raise _invalid(
                "parent", name, "a link of the host, or LINK.VLAN with a number up to 4094"
            )
        tag = (("IFLA_VLAN_ID", int(parts[2])),)
        links.add_sublink(self._netlink, Sublink(name, "vlan", base.index, tag, alias=alias))

    def _alias(self, network: Network) -> str:
        return names.mark(self._instance, self._kind.name, network.id)

    def plug(self, network: Network, endpoint: Endpoint) -> None:
        if inside.has_link(endpoint, self._kind.name):
            return
        parent = self._make_parent(network)
        wanted = Sublink(
            endpoint.interface,
            self._kind.name,
            parent.index,
            self.data(network),
            mac=self._mac(network, endpoint),
            mtu=min(options.mtu(network.options) or parent.mtu, parent.mtu),
        )
        with netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor:
            links.add_sublink(self._netlink, wanted, descriptor)
            try:
                inside.set_up(descriptor, endpoint)
            except ScowError:
                inside.delete_link(endpoint, self._kind.name)
                raise

    def _mac(self, network: Network, endpoint: Endpoint) -> str:
        """Return the MAC address of an endpoint; with "passthru" it would become the parent's."""
        passed = network.options.get(self._kind.option) == _PASSTHRU
        return endpoint.mac if self._kind.own_mac and not passed else ""

    def remove(self, network: Network) -> None:
        found = links.find_link(self._netlink, self._parent(network))
        if found is not None and found.alias == self._alias(network):
            links.delete_links(self._netlink, [found.name])

    def restore(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint]
    ) -> list[ReconcileAction]:
        by_id = {network.id: network for network in networks}
        own = {self._alias(network) for network in networks}
        found = [link for link in links.list_links(self._netlink) if self._is_parent(link)]
        orphans = [link.name for link in found if link.alias not in own]
        links.delete_links(self._netlink, orphans)
        actions = [_action(f"link/{name}", "released", "without a record") for name in orphans]
        actions += [
            _action(f"network/{network.name}", "rebuilt", "the parent was missing")
            for network in networks
            if self._restore_parent(network)
        ]
        return actions + [
            _action(endpoint.owner, "rebuilt", "the link was missing")
            for endpoint in endpoints
            if self._restore(by_id[endpoint.network_id], endpoint)
        ]

    def _is_parent(self, link: Link) -> bool:
        """Tell whether a link is a parent that a driver of this kind made."""
        return names.is_marked(self._instance, link.alias, self._kind.name)

    def _restore_parent(self, network: Network) -> bool:
        missing = links.find_link(self._netlink, self._parent(network)) is None
        try:
            self._make_parent(network)
        except ScowError as error:
            _log.warning("parent not rebuilt", network=network.name, error=str(error))
            return False
        return missing

    def _restore(self, network: Network, endpoint: Endpoint) -> bool:
        gone = netns.current_identity(endpoint.netns_path) != endpoint.netns_id
        if gone or inside.has_link(endpoint, self._kind.name):
            return False
        try:
            self.plug(network, endpoint)
        except LinkFailed as error:
            _log.warning("link not rebuilt", owner=endpoint.owner, error=str(error))
            return False
        return True


def _invalid(key: str, value: str, wanted: str) -> InvalidArgument:
    return InvalidArgument(
        f"invalid value {value!r} of the option {key}",
        what="option",
        which=key,
        do=f"give {wanted}",
    )


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=action, detail=detail)
