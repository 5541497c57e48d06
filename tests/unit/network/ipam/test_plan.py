from ipaddress import ip_network

import pytest

from scow.api.network.v1.network_pb2 import Subnet
from scow.contract.errors import InvalidArgument, SubnetInUse
from scow.network.ipam.addresses import IPV4, IPV6
from scow.network.ipam.plan import Plan, asked, families


def one(**fields: object) -> str:
    """Return the pool of a subnet that is asked for, as "range gateway chosen"."""
    [pool] = asked([Subnet(**fields)], {4, 6})  # type: ignore[arg-type]
    return f"{pool.subnet} {pool.ip_range} {pool.gateway} {pool.gateway_chosen}"


def test_what_is_asked_for_becomes_a_pool() -> None:
    assert one(subnet="10.1.0.0/24") == "10.1.0.0/24 None 10.1.0.1 True"
    assert one(subnet="10.1.0.7/24") == "10.1.0.0/24 None 10.1.0.1 True"
    assert one(subnet="10.1.0.0/24", gateway="10.1.0.9") == "10.1.0.0/24 None 10.1.0.9 False"
    assert one(subnet="fd00::/64", gateway="fd00::5") == "fd00::/64 None fd00::5 False"
    ranged = one(subnet="10.1.0.0/24", ip_range="10.1.0.128/25")
    assert ranged == "10.1.0.0/24 10.1.0.128/25 10.1.0.128 True"
    taken = one(subnet="10.1.0.0/24", aux_addresses={"router": "10.1.0.1"})
    assert taken == "10.1.0.0/24 None 10.1.0.2 True"


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"subnet": "10.1.0.0/33"}, "invalid subnet"),
        ({"subnet": "ten"}, "invalid subnet"),
        ({"subnet": "10.1.0.0/31"}, "too small"),
        ({"subnet": "10.1.0.0/24", "gateway": "10.2.0.1"}, "no matching subnet for gateway"),
        ({"subnet": "10.1.0.0/24", "gateway": "10.1.0.0"}, "no matching subnet for gateway"),
        ({"subnet": "10.1.0.0/24", "gateway": "x"}, "invalid gateway x"),
        ({"subnet": "10.1.0.0/24", "ip_range": "10.1.0.0/16"}, "no matching subnet for range"),
        ({"subnet": "10.1.0.0/24", "ip_range": "fd00::/64"}, "no matching subnet for range"),
        ({"subnet": "10.1.0.0/24", "aux_addresses": {"a": "10.3.0.1"}}, "auxiliary"),
        ({"gateway": "10.1.0.1"}, "needs a subnet"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict[str, str], fault: str) -> None:
    with pytest.raises(InvalidArgument, match=fault):
        one(**fields)


def test_several_subnets_are_one_of_each_family() -> None:
    both = [Subnet(subnet="10.1.0.0/24"), Subnet(subnet="fd00::/64")]
    assert len(asked(both, {4, 6})) == 2
    with pytest.raises(InvalidArgument, match="IPv6 is not enabled"):
        asked(both, {4})
    with pytest.raises(InvalidArgument, match="multiple subnets"):
        asked([Subnet(subnet="10.1.0.0/24"), Subnet(subnet="10.2.0.0/24")], {4})
    with pytest.raises(InvalidArgument, match="overlap"):
        asked([Subnet(subnet="10.1.0.0/24"), Subnet(subnet="10.1.0.0/16")], {4})


def test_what_was_not_asked_for_is_chosen() -> None:
    assert families((), {4}) == (IPV4,)
    assert families((), {6}) == (IPV6,)
    with pytest.raises(InvalidArgument, match="IPv4 is not enabled"):
        asked([Subnet(subnet="10.1.0.0/24")], {6})
    assert families((), {4, 6}) == (IPV4, IPV6)
    pools = asked([Subnet(subnet="fd00::/64")], {4, 6})
    assert families(pools, {4, 6}) == (IPV4,)
    plan = Plan(pools, (IPV4,), (("other", ip_network("10.200.0.0/16")),), (), "seed")
    found = plan.pools([ip_network("10.201.0.0/16")])
    assert [str(pool.subnet) for pool in found] == ["10.202.0.0/16", "fd00::/64"]


def test_a_subnet_of_another_network_is_refused() -> None:
    pools = asked([Subnet(subnet="10.9.0.0/24")], {4})
    plan = Plan(pools, (), (("other", ip_network("10.9.0.0/16")),), (), "seed")
    with pytest.raises(SubnetInUse, match="Pool overlaps with other one on this address space"):
        plan.pools([])
