from dataclasses import replace
from ipaddress import ip_network

from scow.network.ipam.addresses import Pool
from scow.network.routing import routers
from scow.network.store import Endpoint, Network


def network(name: str, *subnets: str, internal: bool = False) -> Network:
    pools = tuple(Pool.of(ip_network(subnet)) for subnet in subnets)
    return Network(name, name, "bridge", "br", 0, pools, internal=internal)


def endpoint(name: str, priority: int = 0) -> Endpoint:
    blank = Endpoint(name, "container/a", name, "box", (), "", "", "", "", "", (), (), True, 0)
    return replace(blank, priority=priority)


def found(*endpoints: Endpoint) -> dict[str, list[str]]:
    networks = (
        network("alpha", "10.1.0.0/24"),
        network("beta", "10.2.0.0/24", "fd00:2::/64"),
        network("inner", "10.3.0.0/24", internal=True),
        network("none"),
    )
    made = routers(endpoints, {each.id: each for each in networks})
    return {name: [str(address) for address in addresses] for name, addresses in made.items()}


def test_of_equal_ones_the_first_by_name_has_the_default_route() -> None:
    both = found(endpoint("beta"), endpoint("alpha"))
    assert both == {"beta": ["fd00:2::1"], "alpha": ["10.1.0.1"]}


def test_a_higher_priority_goes_first() -> None:
    both = found(endpoint("alpha"), endpoint("beta", 1))
    assert both == {"alpha": [], "beta": ["10.2.0.1", "fd00:2::1"]}
    assert found(endpoint("alpha", -1), endpoint("beta"))["alpha"] == []


def test_an_internal_network_has_no_way_out() -> None:
    assert found(endpoint("inner", 9), endpoint("alpha")) == {"inner": [], "alpha": ["10.1.0.1"]}
    assert found(endpoint("inner"), endpoint("none")) == {"inner": [], "none": []}
