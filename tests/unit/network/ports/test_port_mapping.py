import pytest

from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import InvalidPort
from scow.network.ports import port_mapping
from scow.network.ports.port_mapping import PortRequest, Publish


def test_defaults_are_filled_in() -> None:
    everywhere = PortRequest(("0.0.0.0", "::"), True, 0, 0, 80, "tcp", 1)
    assert port_mapping.check(PortMapping(container_port=80)) == everywhere


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "::", "::1"])
def test_an_address_is_one_of_its_family_alone(address: str) -> None:
    request = port_mapping.check(PortMapping(container_port=80, host_ip=address))
    assert request.host_ips == (address,)
    assert not request.optional


def test_a_range_to_choose_from() -> None:
    mapping = PortMapping(container_port=80, host_port=18400, host_port_last=18410)
    request = port_mapping.check(mapping)
    assert (request.first, request.last, request.count) == (18400, 18410, 1)
    assert str(request) == "18400-18410/tcp"


@pytest.mark.parametrize(
    "mapping",
    [
        PortMapping(host_port=80),
        PortMapping(container_port=65536),
        PortMapping(container_port=65535, count=2),
        PortMapping(container_port=1, host_port=65535, count=2),
        PortMapping(container_port=1, host_port=70000),
        PortMapping(container_port=1, host_port=10, host_port_last=9),
        PortMapping(container_port=1, host_port_last=9),
        PortMapping(container_port=1, host_port=65000, host_port_last=65536),
        PortMapping(container_port=1, count=4_000_000_000),
        PortMapping(container_port=1, protocol="dccp"),
        PortMapping(container_port=1, allow=["10.0.0.0/33"]),
        PortMapping(container_port=1, allow=["everybody"]),
        PortMapping(container_port=1, allow=["10.0.0.1"] * 101),
        PortMapping(container_port=1, protocol="TCP"),
        PortMapping(container_port=1, host_ip="localhost"),
        PortMapping(container_port=1, host_ip="fe80::1%eth0"),
    ],
)
def test_what_is_no_port_is_refused(mapping: PortMapping) -> None:
    with pytest.raises(InvalidPort) as caught:
        port_mapping.check(mapping)
    assert caught.value.which
    assert caught.value.metadata["do"]


def test_names_of_ports() -> None:
    assert str(Publish("0.0.0.0", 8080, 80, "tcp", 1)) == "0.0.0.0:8080/tcp"
    assert str(Publish("::1", 8080, 80, "udp", 10)) == "[::1]:8080-8089/udp"


def test_json_and_back() -> None:
    published = [Publish("127.0.0.1", 8080, 80, "udp", 10), Publish("::", 1, 2, "tcp", 1)]
    assert port_mapping.from_json(port_mapping.to_json(published)) == published


def test_where_a_port_is_published_that_names_no_address() -> None:
    mapping = PortMapping(container_port=80)
    request = port_mapping.check(mapping, "192.0.2.1")
    assert (request.host_ips, request.optional) == (("192.0.2.1",), False)
    named = PortMapping(container_port=80, host_ip="::1")
    assert port_mapping.check(named, "192.0.2.1").host_ips == ("::1",)


def test_who_may_use_a_port_is_kept_without_overlap() -> None:
    allow = ["10.1.0.0/16", "10.0.0.0/8", "192.0.2.7", "2001:db8::1/32"]
    [port] = [port_mapping.check(PortMapping(container_port=80, allow=allow)).at("0.0.0.0", 8080)]
    assert port.allow == ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")
    assert port.sources(6) == ["2001:db8::/32"]
    assert port_mapping.from_json(port_mapping.to_json([port])) == [port]
    assert list(port.to_proto().allow) == list(port.allow)
