"""The engine's tables in the kernel. All of it blocks, if only for moments: it is the worker's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import structlog

from scow.contract.errors import KernelUnsupported
from scow.network import gateway_modes, options
from scow.network.firewall import conntrack, elements, others, rules, spoofing
from scow.network.firewall.nftables import Command, Nftables
from scow.network.ipam.addresses import FAMILIES, Family, Pool, family_of, of_family
from scow.network.kernel import links
from scow.network.kernel.netlink import Netlink
from scow.network.store import Endpoint, Network

_log = structlog.get_logger()


@dataclass(frozen=True)
class Wanted:
    """All that must be there."""

    networks: Sequence[Network]
    endpoints: Sequence[Endpoint]

    def bridges(self, family: Family) -> list[elements.Bridge]:
        """Return the bridges with a subnet of a family."""
        return [
            _bridge(network, pool)
            for network in self.networks
            for pool in network.pools
            if network.bridge and pool.subnet.version == family.version
        ]

    def senders(self) -> list[spoofing.Sender]:
        """Return what may come from which link."""
        networks = {network.id: network for network in self.networks}
        found = [sender(networks[e.network_id], e) for e in self.endpoints]
        return [each for each in found if each is not None]

    def published(self, family: Family) -> list[elements.Published]:
        """Return the published ports of a family that lead to endpoints with an address of it."""
        networks = {network.id: network for network in self.networks}
        return [
            port
            for e in self.endpoints
            for port in published_by(networks[e.network_id], e)
            if port.address.version == family.version
        ]


def sender(network: Network, endpoint: Endpoint) -> spoofing.Sender | None:
    """Return what may come from an endpoint's link, if it is one on a bridge."""
    if not network.bridge or not endpoint.link:
        return None
    addresses = [*endpoint.addresses, *endpoint.link_local]
    own = tuple(address.ip for address in addresses)
    return spoofing.Sender(
        endpoint.link, endpoint.mac, own, options.bridge(network.options).spoofing
    )


def _bridge(network: Network, pool: Pool) -> elements.Bridge:
    wanted = options.bridge(network.options)
    own = [text for text in wanted.snat if family_of(text).version == pool.subnet.version]
    return elements.Bridge(
        network.bridge,
        pool.subnet,
        internal=network.internal,
        icc=wanted.icc,
        masquerade=wanted.masquerade,
        snat=own[0] if own else "",
        mode=wanted.mode(pool.subnet.version),
        trusted=() if network.internal else tuple(n for n in wanted.trusted if n != network.bridge),
    )


def published_by(network: Network, endpoint: Endpoint) -> list[elements.Published]:
    """Return the ports that nftables lets through to an endpoint; the others are the relay's, or its driver's."""
    if not endpoint.link:
        return []
    routed = routed_versions(network)
    return [
        elements.Published(address.ip, port, address.version in routed)
        for port in endpoint.ports
        if (address := of_family(endpoint.addresses, family_of(port.host_ip))) is not None
    ]


def routed_versions(network: Network) -> set[int]:
    """Return the versions of addresses of the host that no ports of a network's endpoints are published on.

    These are reached at the endpoints' own addresses: of the same version, or of the only one that there is.
    """
    if not network.bridge:
        return set()
    wanted = options.bridge(network.options)
    own = sorted(pool.subnet.version for pool in network.pools)
    return {
        family.version
        for family in FAMILIES
        if own
        and wanted.mode(family.version if family.version in own else own[0]) == gateway_modes.ROUTED
    }


class Table:
    """One engine's table in each family.

    Args:
        instance: Names them.

    Attributes:
        is_built: Whether they were built, or found as they must be, since this object was made.
    """

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._comparable = True
        self.is_built = False

    @cached_property
    def _nftables(self) -> Nftables:
        return Nftables()

    def close(self) -> None:
        """Free the library's context."""
        if "_nftables" in self.__dict__:
            self.__dict__.pop("_nftables").close()

    def change_ports(
        self, verb: str, network: Network, endpoint: Endpoint, left: Endpoint | None = None
    ) -> None:
        """Divert an endpoint's ports, or divert them no more.

        Args:
            verb: "add" or "delete".
            network: Of the endpoint.
            endpoint: Whose.
            left: With the ports that it has afterwards: two may lead to one port of a container whose network routes.

        Raises:
            KernelUnsupported: The table is not what it was; nothing was changed.
        """
        published = published_by(network, endpoint)
        staying = set(elements.of_ports(published_by(network, left))) if left else set()
        commands: list[Command] = []
        for family in FAMILIES:
            own = [each for each in published if each.address.version == family.version]
            changed = [each for each in elements.of_ports(own) if each not in staying]
            commands += elements.change(family, self._instance, verb, changed)
        if commands:
            self._nftables.run(commands)

    def change_network(self, verb: str, network: Network, wanted: Wanted) -> None:
        """Let a network be, or be no more: its elements alone, where the tables are there.

        Args:
            verb: "add" or "delete".
            network: Which one.
            wanted: All that must be there from now on.
        """
        commands: list[Command] = []
        for family in FAMILIES:
            own = Wanted([network], ()).bridges(family)
            if own and not wanted.bridges(family):
                commands += rules.remove(family, self._instance)
            else:
                changed = elements.of_bridges(own)
                commands += elements.change(family, self._instance, verb, changed)
        try:
            if commands:
                self._nftables.run(commands)
        except KernelUnsupported as error:
            # The first network of a family, or somebody else changed it.
            _log.info("the table is not what it was, building it", error=error.message)
            self.build(wanted)

    def change_sender(self, verb: str, network: Network, endpoint: Endpoint) -> None:
        """Let an endpoint send from its addresses, or do so no more.

        Args:
            verb: "add" or "delete".
            network: Of the endpoint.
            endpoint: Whose.

        Raises:
            KernelUnsupported: The table is not what it was; nothing was changed.
        """
        changed = sender(network, endpoint)
        if changed is not None:
            self._nftables.run(spoofing.change(self._instance, verb, [changed]))

    def forget_flows(self, verb: str, endpoint: Endpoint) -> None:
        """Make flows of UDP follow a change of ports: at first they go to the host, at last to the container."""
        for family in FAMILIES:
            own = of_family(endpoint.addresses, family)
            if own is None:
                continue
            with Netlink() as netlink:
                hosts = [a.ip for _, a in links.list_addresses(netlink) if a.version == own.version]
            ports = [port for port in endpoint.ports if family_of(port.host_ip) is family]
            conntrack.forget_udp(family, ports, hosts if verb == "add" else [own.ip])

    def build(self, wanted: Wanted) -> None:
        """Put the tables in place, in one transaction."""
        commands = []
        for family in FAMILIES:
            bridges, published = wanted.bridges(family), wanted.published(family)
            commands += rules.build(family, self._instance, bridges, published)
        commands += spoofing.build(self._instance, f"{self._instance}-", wanted.senders())
        self._nftables.run(commands)
        self.is_built = True

    def restore(self, wanted: Wanted) -> str:
        """Build the tables if they are not what they must be; return what was wrong with them."""
        fault = self._fault(wanted)
        if not fault:
            self.is_built = True
            return ""
        self.build(wanted)
        if rest := self._fault(wanted):
            # Else they would be built again and again.
            _log.warning(
                "this libnftables lists the table in another form, only its absence is seen",
                fault=rest,
            )
            self._comparable = False
        return fault

    def _fault(self, wanted: Wanted) -> str:
        faults = [self._fault_in(family, wanted) for family in FAMILIES]
        faults.append(self._fault_of_senders(wanted))
        return next((fault for fault in faults if fault), "")

    def _fault_of_senders(self, wanted: Wanted) -> str:
        listed = self._nftables.list_table("bridge", self._instance)
        if listed is not None and not self._comparable:
            return ""
        prefix = f"{self._instance}-"
        return spoofing.differences(listed, prefix, wanted.senders())

    def _fault_in(self, family: Family, wanted: Wanted) -> str:
        listed = self._nftables.list_table(family.nft, self._instance)
        if listed is not None and not self._comparable:
            return ""
        bridges, published = wanted.bridges(family), wanted.published(family)
        return rules.differences(family, listed, bridges, published)

    def advice(self, bridges: Sequence[str]) -> list[str]:
        """Return commands that let bridges pass another firewall that is in their way."""
        return others.advice(self._nftables, bridges)
