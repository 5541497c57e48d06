"""What the network service makes in the kernel: bridge, links, rules, sysctls.

All of it blocks, if only for moments, and runs in the one thread of `Worker`: so it never keeps the event loop, and two
changes never meet.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import structlog

from scow.contract.errors import LinkFailed, ScowError
from scow.network.dns.files import host_resolver
from scow.network.firewall import conntrack, rules
from scow.network.firewall.nftables import Nftables
from scow.network.ipam import subnets
from scow.network.kernel import links, names, netns, sysctls
from scow.network.kernel.links import Inside, Link, Veth
from scow.network.kernel.netlink import Netlink, refusal
from scow.network.store import Endpoint, Network

# Held while a subnet is chosen and taken, so that two engines that start together choose different ones.
_SUBNET_LOCK = Path("/run/lock/scow-subnets")
_MTU = 1500
_log = structlog.get_logger()


@dataclass(frozen=True)
class Wanted:
    """All that must be there."""

    networks: Sequence[Network]
    endpoints: Sequence[Endpoint]

    def bridges(self) -> list[rules.Bridge]:
        """Return the networks with a bridge, for the rules."""
        return [rules.Bridge(n.bridge, n.subnet) for n in self.networks if n.bridge]

    def published(self) -> list[rules.Published]:
        """Return all published ports, for the rules."""
        return [rules.Published(e.address, p) for e in self.endpoints for p in e.ports]


class Plumbing:
    """The kernel's side of one engine.

    Args:
        instance: Names the links and the table.
        mtu: Of bridge and links; 0 means what the host's default route takes.

    Attributes:
        has_rules: Whether the table was built, or found as it must be, since this object was made.
    """

    def __init__(self, instance: str, mtu: int) -> None:
        self._instance = instance
        self._configured_mtu = mtu
        self._comparable = True
        self.has_rules = False

    @cached_property
    def _netlink(self) -> Netlink:
        return Netlink()

    @cached_property
    def _nftables(self) -> Nftables:
        return Nftables()

    @cached_property
    def _mtu(self) -> int:
        if self._configured_mtu:
            return self._configured_mtu
        everywhere = ipaddress.IPv4Network("0.0.0.0/0")
        ways = {r.link for r in links.list_routes(self._netlink) if r.destination == everywhere}
        mtus = [link.mtu for link in links.list_links(self._netlink) if link.index in ways]
        return min([*mtus, _MTU])

    def close(self) -> None:
        """Close the sockets."""
        for name in ("_netlink", "_nftables"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()

    def establish(self, bridge: str, subnet: str) -> str:
        """Make a bridge with the first address of a subnet, and return the subnet.

        Args:
            bridge: Its name.
            subnet: CIDR; empty means that one is chosen.
        """
        with _subnet_lock():
            chosen = subnet or str(subnets.choose(self._used(bridge)))
            self._make_bridge(bridge, chosen)
            return chosen

    def _used(self, bridge: str) -> list[ipaddress.IPv4Network]:
        """Return what the host has to do with, apart from a bridge of that name."""
        own = links.find_link(self._netlink, bridge)
        index = own.index if own else -1
        used = [r.destination for r in links.list_routes(self._netlink) if r.link != index]
        used += [a.network for i, a in links.list_addresses(self._netlink) if i != index]
        for server in host_resolver().servers:
            with contextlib.suppress(ValueError):
                used.append(ipaddress.IPv4Network(server))
        return used

    def _make_bridge(self, name: str, subnet: str) -> Link:
        network = ipaddress.IPv4Network(subnet)
        address = ipaddress.IPv4Interface(f"{subnets.gateway(network)}/{network.prefixlen}")
        mac = subnets.mac_of(str(address.ip))
        bridge = links.make_bridge(self._netlink, name, mac, self._mtu)
        for index, present in links.list_addresses(self._netlink):
            if index == bridge.index and present != address:
                links.delete_address(self._netlink, index, present)
        links.add_address(self._netlink, bridge.index, address)
        sysctls.enable("ipv4/ip_forward")
        # The host's packets to 127.0.0.1 that are diverted into a container leave by the bridge.
        sysctls.enable(f"ipv4/conf/{name}/route_localnet")
        return bridge

    def plug(self, network: Network, endpoint: Endpoint, first: bool) -> None:
        """Make an endpoint's links and set up its namespace.

        Args:
            network: Of the endpoint.
            endpoint: Nothing of it exists.
            first: Whether its gateway is the namespace's default route.

        Raises:
            LinkFailed: The namespace is gone, or the kernel refuses; then nothing is left behind.
        """
        subnet = ipaddress.IPv4Network(network.subnet)
        gateway = str(subnets.gateway(subnet))
        address = ipaddress.IPv4Interface(f"{endpoint.address}/{subnet.prefixlen}")
        veth = Veth(endpoint.link, endpoint.interface, endpoint.mac, self._mtu)
        with netns.opened(endpoint.netns_path) as descriptor:
            if netns.identity(descriptor) != endpoint.netns_id:
                raise refusal(f"network namespace {endpoint.netns_path}", errno.ESTALE)
            bridge = self._bridge_index(network)
            try:
                links.plug_veth(self._netlink, veth, bridge, descriptor)
                inside, index = netns.netlink_inside(descriptor, veth.peer, sysctls.WITHOUT_IPV6)
                with inside:
                    way = gateway if first else ""
                    links.set_up_inside(inside, Inside(veth.peer, index, address, way))
                    inside.settle(veth.peer)
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
            return self._make_bridge(network.bridge, network.subnet).index

    def set_lo_up(self, path: str) -> None:
        """Bring lo up in the namespace at a path."""
        with netns.opened(path) as descriptor:
            inside, _ = netns.netlink_inside(descriptor, "lo")
            with inside:
                links.set_lo_up(inside)

    def has_link(self, name: str) -> bool:
        """Tell whether a link is there."""
        return any(name == present for _, present in socket.if_nameindex())

    def set_down(self, names_of_links: Sequence[str]) -> None:
        """Cut links off; they are deleted by the end of their namespace, or later."""
        links.set_down(self._netlink, names_of_links)

    def delete(self, names_of_links: Sequence[str]) -> None:
        """Delete links. 15 to 30 ms each."""
        links.delete_links(self._netlink, names_of_links)

    def change_ports(self, verb: str, endpoint: Endpoint) -> None:
        """Publish or withdraw an endpoint's ports.

        Args:
            verb: "add" or "delete".
            endpoint: Whose.

        Raises:
            KernelUnsupported: The table is not what it was; nothing was changed.
        """
        published = [rules.Published(endpoint.address, port) for port in endpoint.ports]
        changed = rules.elements(published)
        self._nftables.run(rules.change_elements(self._instance, verb, changed))

    def forget_flows(self, verb: str, endpoint: Endpoint) -> None:
        """Make flows of UDP follow a change of ports: at first they go to the host, at last to the container."""
        own = [endpoint.address]
        conntrack.forget_udp(endpoint.ports, self._host_addresses() if verb == "add" else own)

    def _host_addresses(self) -> list[str]:
        return [str(address.ip) for _, address in links.list_addresses(self._netlink)]

    def build_rules(self, wanted: Wanted) -> None:
        """Put the whole table in place, in one transaction."""
        commands = rules.build(self._instance, wanted.bridges(), wanted.published())
        self._nftables.run(commands)
        self.has_rules = True

    def restore_rules(self, wanted: Wanted) -> str:
        """Build the table if it is not what it must be; return what was wrong with it."""
        fault = self._fault_of_rules(wanted)
        if not fault:
            self.has_rules = True
            return ""
        self.build_rules(wanted)
        if rest := self._fault_of_rules(wanted):
            # Else it would be built again and again.
            _log.warning(
                "this libnftables lists the table in another form, only its absence is seen",
                fault=rest,
            )
            self._comparable = False
        return fault

    def _fault_of_rules(self, wanted: Wanted) -> str:
        listed = self._nftables.list_table(rules.FAMILY, self._instance)
        if listed is not None and not self._comparable:
            return ""
        return rules.differences(listed, wanted.bridges(), wanted.published())

    def forward_is_dropped(self) -> bool:
        """Tell whether another firewall drops what is forwarded."""
        return rules.forward_is_dropped(self._nftables.list_chains())

    def restore_bridge(self, network: Network) -> str:
        """Make a network's bridge what it must be; return what was wrong with it."""
        found = links.find_link(self._netlink, network.bridge)
        fault = self._fault_of_bridge(network, found)
        self._make_bridge(network.bridge, network.subnet)
        return fault

    def _fault_of_bridge(self, network: Network, found: Link | None) -> str:
        if found is None:
            return "the bridge was missing"
        if not found.up:
            return "the bridge was down"
        gateway = subnets.gateway(ipaddress.IPv4Network(network.subnet))
        addresses = links.list_addresses(self._netlink)
        if not any(i == found.index and a.ip == gateway for i, a in addresses):
            return "the bridge had lost its address"
        if links.guard(found.name):
            return "the bridge listened to router advertisements or redirects"
        return ""

    def links_of_instance(self) -> dict[str, Link]:
        """Return the links of all endpoints of this engine, by name."""
        found = links.list_links(self._netlink)
        return {link.name: link for link in found if names.is_link_of(self._instance, link.name)}

    def restore_link(self, network: Network, endpoint: Endpoint, present: Link | None) -> str:
        """Make an endpoint's link what it must be; return what was wrong with it.

        One whose namespace is gone is left alone: it ends with its owner.
        """
        if netns.current_identity(endpoint.netns_path) != endpoint.netns_id:
            return ""
        if present is None:
            try:
                self.plug(network, endpoint, first=endpoint.interface == "eth0")
            except LinkFailed as error:
                _log.warning("link not rebuilt", link=endpoint.link, error=str(error))
                return ""
            return "the link was missing"
        bridge = self._bridge_index(network)
        if present.master == bridge and present.up:
            return "the link listened to its container" if links.guard(present.name) else ""
        links.join_bridge(self._netlink, present.name, bridge)
        return "the link was cut off"


@contextlib.contextmanager
def _subnet_lock() -> Iterator[None]:
    _SUBNET_LOCK.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(_SUBNET_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
