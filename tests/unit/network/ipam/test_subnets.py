from ipaddress import IPv4Network

import pytest

from scow.contract.errors import InvalidConfig, SubnetFull
from scow.core.config import AddressPool
from scow.network.ipam import subnets
from scow.network.ipam.addresses import IPV4, IPV6, Family, Subnet


def networks(*texts: str) -> list[IPv4Network]:
    return [IPv4Network(text) for text in texts]


def test_candidates_are_private_and_leave_out_what_others_use_by_default() -> None:
    found = list(subnets.candidates())
    private = networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
    assert all(any(c.subnet_of(p) for p in private) for c in found)
    for other in networks("10.88.0.0/16", "192.168.122.0/24", "192.168.1.0/24", "10.0.0.0/24"):
        assert not any(c.overlaps(other) for c in found), other
    assert found[-1] != IPv4Network("172.17.0.0/16")
    docker = IPv4Network("172.17.0.0/16")
    assert found.index(docker) > found.index(IPv4Network("172.31.0.0/16"))


def choose(used: list[IPv4Network], *pools: AddressPool) -> Subnet:
    return subnets.choose(IPV4, used, pools, "seed")


def test_the_first_candidate_that_overlaps_nothing_is_chosen() -> None:
    first, second, *_ = subnets.candidates()
    assert choose([]) == first
    assert choose([first]) == second
    assert choose([next(first.subnets(new_prefix=32))]) == second
    assert str(choose(networks("10.0.0.0/8"))).startswith("172.")


def test_routes_to_everywhere_count_as_nothing() -> None:
    everywhere = networks("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1")
    assert choose(everywhere) == next(subnets.candidates())


def test_no_subnet_left() -> None:
    with pytest.raises(SubnetFull, match="fully subnetted") as caught:
        choose(networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    assert "default_address_pools" in caught.value.metadata["do"]


def test_configured_pools_come_in_place_of_private_subnets() -> None:
    pools = AddressPool("172.30.0.0/23", 24), AddressPool("fd00:1::/60", 64)
    assert str(choose([], *pools)) == "172.30.0.0/24"
    assert str(choose(networks("172.30.0.0/24"), *pools)) == "172.30.1.0/24"
    with pytest.raises(SubnetFull, match="fully subnetted"):
        choose(networks("172.30.0.0/23"), *pools)
    assert str(subnets.choose(IPV6, [], pools, "seed")) == "fd00:1::/64"


def test_a_subnet_of_ipv6_is_the_machines_own() -> None:
    first = subnets.choose(IPV6, [], (), "one machine")
    second = subnets.choose(IPV6, [first], (), "one machine")
    assert str(first).startswith("fd")
    assert first.prefixlen == second.prefixlen == 64
    assert int(second.network_address) - int(first.network_address) == 1 << 64
    assert subnets.choose(IPV6, [], (), "another machine") != first


@pytest.mark.parametrize(
    ("base", "size"), [("x", 24), ("10.0.0.0/16", 8), ("10.0.0.0/16", 31), ("10.0.0.1/16", 24)]
)
def test_a_configured_pool_is_checked(base: str, size: int) -> None:
    with pytest.raises(InvalidConfig, match="default_address_pools"):
        subnets.check_pools([AddressPool(base, size)])


@pytest.mark.parametrize(
    ("value", "family"),
    [
        *((value, IPV4) for value in ("10.0.0.1/24", "x", "10.0.0.0/30", "fd00::/64", "10.0.0.0")),
        *((value, IPV6) for value in ("fd00::1/64", "fd00::/126", "10.0.0.0/24")),
    ],
)
def test_a_configured_subnet_is_checked(value: str, family: Family) -> None:
    with pytest.raises(InvalidConfig) as caught:
        subnets.configured("network.subnet", value, family)
    assert caught.value.which == "network.subnet"


def test_a_configured_subnet() -> None:
    assert subnets.configured("k", "10.0.0.0/29", IPV4) == IPv4Network("10.0.0.0/29")
    assert str(subnets.configured("k", "fd00::/64", IPV6)) == "fd00::/64"
