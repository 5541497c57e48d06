from ipaddress import IPv4Network

import pytest

from scow.contract.errors import AddressInUse, InvalidArgument, InvalidConfig, SubnetFull
from scow.network.ipam import subnets


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


def test_the_first_candidate_that_overlaps_nothing_is_chosen() -> None:
    first, second, *_ = subnets.candidates()
    assert subnets.choose([]) == first
    assert subnets.choose([first]) == second
    assert subnets.choose([next(first.subnets(new_prefix=32))]) == second
    assert subnets.choose(networks("10.0.0.0/8")).subnet_of(IPv4Network("172.16.0.0/12"))


def test_routes_to_everywhere_count_as_nothing() -> None:
    everywhere = networks("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1")
    assert subnets.choose(everywhere) == next(subnets.candidates())


def test_no_subnet_left() -> None:
    with pytest.raises(SubnetFull) as caught:
        subnets.choose(networks("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    assert "network.subnet" in caught.value.metadata["do"]


@pytest.mark.parametrize("value", ["10.0.0.1/24", "x", "10.0.0.0/30", "fd00::/64", "10.0.0.0"])
def test_a_configured_subnet_is_checked(value: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        subnets.configured(value)
    assert caught.value.which == "network.subnet"


def test_addresses_are_given_in_turn_and_used_again_last() -> None:
    subnet = IPv4Network("10.9.0.0/29")  # .1 is the gateway, .2 to .6 are given
    taken: set[str] = set()
    last = ""
    given = []
    for _ in range(5):
        last = subnets.allocate(subnet, taken, last)
        taken.add(last)
        given.append(last)
    assert given == [f"10.9.0.{n}" for n in range(2, 7)]
    with pytest.raises(SubnetFull):
        subnets.allocate(subnet, taken, last)
    taken -= {"10.9.0.2", "10.9.0.5"}
    assert subnets.allocate(subnet, taken, "10.9.0.3") == "10.9.0.5"
    assert subnets.allocate(subnet, taken, "10.9.0.6") == "10.9.0.2"


@pytest.mark.parametrize(
    "wanted", ["10.9.0.0", "10.9.0.1", "10.9.0.7", "10.8.0.2", "x", "fd00::2", "10.9.0.02"]
)
def test_an_address_that_no_container_can_have(wanted: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        subnets.requested(IPv4Network("10.9.0.0/29"), (), wanted)
    assert caught.value.which == wanted


def test_an_address_that_somebody_has() -> None:
    subnet = IPv4Network("10.9.0.0/29")
    assert subnets.requested(subnet, {"10.9.0.2"}, "10.9.0.3") == "10.9.0.3"
    with pytest.raises(AddressInUse):
        subnets.requested(subnet, {"10.9.0.2"}, "10.9.0.2")


def test_a_mac_address_is_local_unicast_and_tells_the_address() -> None:
    mac = subnets.mac_of("10.200.0.2")
    assert mac == "0a:5c:0a:c8:00:02"
    assert int(mac[:2], 16) & 3 == 2
