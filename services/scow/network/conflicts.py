"""Routes of the host that overlap a network's subnet, and came after it: told of once, as an event and in the log.

Subnets are chosen where no route leads. A VPN that comes later may claim the same addresses: then either the containers
or the other machines cannot be reached from this host, and only a person can say which of them shall move.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from scow.core.journal import Journal
from scow.core.store import Store
from scow.network.ipam.subnets import is_everywhere
from scow.network.kernel import links
from scow.network.kernel.links import Route
from scow.network.kernel.netlink import Netlink
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.store import Network

_log = structlog.get_logger()


class Conflicts:
    """Looks for such routes."""

    def __init__(self, store: Store, journal: Journal, networks: Networks, worker: Worker) -> None:
        self._store = store
        self._journal = journal
        self._networks = networks
        self._worker = worker
        # Network's id and destination of what was told of and is still there.
        self._told: set[tuple[str, str]] = set()

    async def look(self) -> None:
        """Tell of routes that are new."""
        # Some may be removed meanwhile.
        networks = {network.id: network for network in self._networks.all()}
        present = await self._worker.run(_find, list(networks.values()))
        for network_id, destination in sorted(present - self._told):
            self._tell(networks[network_id], destination)
        self._told = present

    def _tell(self, network: Network, destination: str) -> None:
        subnets = ", ".join(str(pool.subnet) for pool in network.pools)
        _log.warning(
            "a route of the host overlaps a network: one of both cannot be reached",
            network=network.name,
            subnets=subnets,
            route=destination,
            do="give the network another subnet, or remove the route",
        )
        facts = {"name": network.name, "type": network.driver, "subnets": subnets}
        with self._store.transaction() as tx:
            self._journal.append(
                tx, "network", network.id, "conflict", {**facts, "route": destination}
            )


def _find(networks: Sequence[Network]) -> set[tuple[str, str]]:
    with Netlink() as netlink:
        indexes = {link.name: link.index for link in links.list_links(netlink)}
        routes = [route for route in links.list_routes(netlink) if _counts(route)]
    made = [network for network in networks if network.bridge in indexes]
    own = {(indexes[n.bridge], pool.subnet) for n in made for pool in n.pools}
    # Few: those of the networks themselves are left out first.
    others = [route for route in routes if (route.link, route.destination) not in own]
    return {
        (network.id, str(route.destination))
        for network in made
        for pool in network.pools
        for route in others
        if route.link != indexes[network.bridge]
        and route.destination.version == pool.subnet.version
        and route.destination.overlaps(pool.subnet)
    }


def _counts(route: Route) -> bool:
    """Tell whether a route leads to some place that nobody else could mean."""
    where = route.destination
    return not (where.is_multicast or where.is_link_local or is_everywhere(where))
