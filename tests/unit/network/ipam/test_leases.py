from ipaddress import ip_address, ip_interface, ip_network

import pytest

from scow.contract.errors import AddressInUse, InvalidArgument, SubnetFull
from scow.network.ipam import leases
from scow.network.ipam.addresses import Address, Pool

FOUR = Pool.of(ip_network("10.9.0.0/29"))  # .1 is the gateway, .2 to .6 are given
SIX = Pool.of(ip_network("fd00::/64"))


@pytest.mark.parametrize("subnet", ["10.9.0.0/29", "fd00::8/125"])
def test_addresses_are_given_in_turn_and_used_again_last(subnet: str) -> None:
    base = ip_network(subnet)
    taken: set[Address] = set()
    last: Address | None = None
    for number in range(2, 7):
        [given] = leases.lease([Pool(base, base[1], last)], taken, ())
        assert given.ip == base[number]
        assert given.network == base
        last = given.ip
        taken.add(last)
    with pytest.raises(SubnetFull):
        leases.lease([Pool(base, base[1], last)], taken, ())
    taken -= {base[2], base[5]}
    for before, after in ((3, 5), (6, 2)):
        [given] = leases.lease([Pool(base, base[1], base[before])], taken, ())
        assert given.ip == base[after]


def test_an_address_of_each_pool() -> None:
    found = leases.lease([FOUR, SIX], {ip_address("10.9.0.2")}, ())
    assert found == (ip_interface("10.9.0.3/29"), ip_interface("fd00::2/64"))
    found = leases.lease([FOUR, SIX], (), ["fd00::77"])
    assert found == (ip_interface("10.9.0.2/29"), ip_interface("fd00::77/64"))


@pytest.mark.parametrize(
    "wanted",
    [
        "10.9.0.0",
        "10.9.0.1",
        "10.9.0.7",
        "10.8.0.2",
        "x",
        "fd00::1",
        "fd00::",
        "fd01::2",
        "10.9.0.02",
    ],
)
def test_an_address_that_no_container_can_have(wanted: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        leases.lease([FOUR, SIX], (), [wanted])
    assert caught.value.which == wanted


@pytest.mark.parametrize("wanted", ["10.9.0.2", "fd00::2"])
def test_an_address_that_somebody_has(wanted: str) -> None:
    with pytest.raises(AddressInUse):
        leases.lease([FOUR, SIX], {ip_address(wanted)}, [wanted])


def test_a_mac_address_is_local_unicast_and_tells_the_address() -> None:
    mac = leases.mac_of([ip_interface("10.200.0.2/16"), ip_interface("fd00::2/64")])
    assert mac == "0a:5c:0a:c8:00:02"
    only = [leases.mac_of([ip_interface(f"fd00::{n}/64")]) for n in (2, 3)]
    assert len(set(only)) == 2
    assert all(int(one[:2], 16) & 3 == 2 and len(one) == 17 for one in (mac, *only))
