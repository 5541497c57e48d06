"""Publishing an endpoint's ports: sockets that hold them, nftables that divert them, the relay for the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from scow.contract.errors import KernelUnsupported
from scow.network.firewall.table import Table, Wanted, published_by, routed_versions
from scow.network.ipam.addresses import family_of, of_family
from scow.network.kernel.worker import Worker
from scow.network.ports.holds import Holds
from scow.network.ports.port_mapping import PortRequest, Publish
from scow.network.ports.relay import Relay
from scow.network.store import Endpoint, Network

_RELAYED = ("tcp", "udp")
_log = structlog.get_logger()


class Publisher:
    """The published ports of one engine.

    Args:
        worker: For all that blocks.
        table: The engine's nftables.
        wanted: Returns what must be there without an endpoint, or with all for an empty id: for a table that is not
            what it was.
    """

    def __init__(self, worker: Worker, table: Table, wanted: Callable[[str], Wanted]) -> None:
        self._worker = worker
        self._table = table
        self._wanted = wanted
        self._holds = Holds()
        self._relay = Relay(worker)

    def take(
        self, endpoint_id: str, network: Network, requests: Sequence[PortRequest]
    ) -> list[Publish]:
        """Hold ports for an endpoint of a network that is about to be; see `Holds.take`."""
        return self._holds.take(endpoint_id, requests, routed_versions(network))

    def retake(self, network: Network, endpoint: Endpoint) -> list[tuple[Publish, str]]:
        """Hold what is published already; return what another program took meanwhile, and why."""
        return self._holds.retake(endpoint.id, endpoint.ports, routed_versions(network))

    async def publish(self, network: Network, endpoint: Endpoint) -> None:
        """Have held ports lead to an endpoint."""
        if endpoint.ports:
            await self._divert("add", network, endpoint)
            await self.carry(network, endpoint)

    async def carry(self, network: Network, endpoint: Endpoint) -> None:
        """Have the relay carry what no nftables can: to an endpoint without an address of a port's family.

        What nftables diverts never comes to the relay; where they leave loopback out, it does.
        """
        if not endpoint.addresses or not endpoint.link:
            return
        diverted = {
            p.publish
            for p in published_by(network, endpoint)
            if p.routed or family_of(p.address).diverts_loopback
        }
        for held in self._holds.of(endpoint.id):
            if held.sockets and held.publish not in diverted and held.publish.protocol in _RELAYED:
                own = of_family(endpoint.addresses, family_of(held.publish.host_ip))
                to = own or endpoint.addresses[0]
                await self._relay.open(endpoint.id, held, str(to.ip))

    async def interrupt(self, endpoint: Endpoint) -> None:
        """End the connections that the relay carries to an endpoint; `publish` follows."""
        await self._relay.shut(endpoint.id)

    async def withdraw(self, network: Network, endpoint: Endpoint) -> None:
        """Have ports lead to an endpoint no more; they are held until `give_back`.

        Raises:
            ScowError: The kernel refuses; reconciliation does it again.
        """
        if endpoint.ports:
            await self._divert("delete", network, endpoint, without=endpoint.id)

    async def change(
        self, verb: str, network: Network, endpoint: Endpoint, published: Sequence[Publish]
    ) -> None:
        """Have some of an endpoint's ports lead to it, or do so no more, while the others go on.

        Args:
            verb: "add" what was taken, or "delete" what is held until `release`.
            network: Of the endpoint.
            endpoint: As it is to be, with the ports that it has afterwards.
            published: The ports that come or go.

        Raises:
            ScowError: The kernel refuses.
        """
        changed = replace(endpoint, ports=tuple(published))
        if verb == "add":
            await self._divert(verb, network, changed)
            await self.carry(network, endpoint)
            return
        sockets = [
            one
            for held in self._holds.of(endpoint.id)
            if held.publish in published
            for one in held.sockets
        ]
        await self._relay.shut_some(endpoint.id, sockets)
        await self._divert(verb, network, changed, left=endpoint)

    async def move(self, endpoint: Endpoint, network: Network, to: Endpoint) -> None:
        """Have all ports of an endpoint lead to another one, of a network, whose record has them.

        Raises:
            ScowError: The kernel refuses; reconciliation does it again.
        """
        await self._relay.shut(endpoint.id)
        self._holds.move(endpoint.id, to.id)
        # In one transaction, so that no port is closed for a moment.
        await self._worker.run(self._table.build, self._wanted(""))
        if any(port.protocol == "udp" for port in to.ports):
            for verb, each in (("delete", replace(endpoint, ports=to.ports)), ("add", to)):
                await self._worker.run(self._table.forget_flows, verb, each)
        await self.carry(network, to)

    def release(self, endpoint_id: str, published: Sequence[Publish]) -> None:
        """Let go of some of an endpoint's ports."""
        self._holds.release(endpoint_id, published)

    def holds(self, endpoint_id: str) -> bool:
        """Tell whether ports are held for an endpoint."""
        return bool(self._holds.of(endpoint_id))

    def let_go(self, endpoint_id: str) -> None:
        """Let go of what was taken and never published."""
        self._holds.give_back(endpoint_id)

    async def give_back(self, endpoint_id: str) -> None:
        """Let go of an endpoint's ports."""
        await self._relay.shut(endpoint_id)
        self._holds.give_back(endpoint_id)

    async def close(self) -> None:
        """Let go of everything; what is diverted stays so."""
        await self._relay.close()
        self._holds.close()

    async def _divert(
        self,
        verb: str,
        network: Network,
        endpoint: Endpoint,
        without: str = "",
        left: Endpoint | None = None,
    ) -> None:
        """Change the table; where it is not what it was, build it anew.

        Args:
            verb: "add" or "delete".
            network: Of the endpoint.
            endpoint: With the ports that come or go.
            without: Id of an endpoint that goes, but has a record still.
            left: See `Table.change_ports`.
        """
        try:
            await self._worker.run(self._table.change_ports, verb, network, endpoint, left)
        except KernelUnsupported as error:
            _log.info("the table is not what it was, building it", error=error.message)
            await self._worker.run(self._table.build, self._wanted(without))
        if any(port.protocol == "udp" for port in endpoint.ports):
            await self._worker.run(self._table.forget_flows, verb, endpoint)
