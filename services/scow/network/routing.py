"""Which of an owner's endpoints has the default routes, and with them the published ports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scow.network.ipam.addresses import FAMILIES, Address
from scow.network.store import Endpoint, Network


def routers(
    endpoints: Sequence[Endpoint], networks: Mapping[str, Network]
) -> dict[str, tuple[Address, ...]]:
    """Return the routers of each endpoint of an owner, by its id.

    The default route of a family leads by the network with the highest priority that has a gateway of it; of equal ones
    the first by name, as in Docker. An internal network has no way out.
    """
    found: dict[str, list[Address]] = {endpoint.id: [] for endpoint in endpoints}
    ranked = sorted(endpoints, key=lambda e: (-e.priority, networks[e.network_id].name))
    for family in FAMILIES:
        for endpoint in ranked:
            network = networks[endpoint.network_id]
            gateways = [g for g in network.gateways() if g.version == family.version]
            if gateways and not network.internal:
                found[endpoint.id].append(gateways[0])
                break
    return {identity: tuple(addresses) for identity, addresses in found.items()}
