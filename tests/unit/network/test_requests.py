import os

import pytest

from scow.api.network.v1.network_pb2 import AttachRequest
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import InvalidArgument, InvalidPort
from scow.network import requests
from scow.network.drivers.bridge import BridgeDriver
from scow.network.drivers.host import HostDriver
from scow.network.store import Network

BRIDGE = Network("1" * 64, "bridge", "bridge", "scow0", 1)
HOST = Network("2" * 64, "host", "host", "", 1)
OWN = "/proc/self/ns/net"


def attach(**changes: object) -> AttachRequest:
    fields = {"owner": "container/a", "netns_path": OWN, "hostname": "web", **changes}
    return AttachRequest(**fields)  # type: ignore[arg-type]


def test_a_plain_request() -> None:
    wish = requests.check(attach(), BRIDGE, BridgeDriver.capabilities, "10.200.0.1")
    status = os.stat(OWN)
    assert wish.netns_id == f"{status.st_dev}:{status.st_ino}"
    assert wish.names() == ["web"]


def test_names_of_its_own_address() -> None:
    request = attach(hostname="web", domainname="example.org", aliases=["www", "web", "www2"])
    wish = requests.check(request, BRIDGE, BridgeDriver.capabilities, "10.200.0.1")
    assert wish.hostname == "web.example.org"
    assert wish.names() == ["web.example.org", "web", "www", "www2"]


@pytest.mark.parametrize("owner", ["", "a", "container/", "container/../x", "Container/a", "c/a/b"])
def test_what_is_no_owner(owner: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        requests.check(attach(owner=owner), BRIDGE, BridgeDriver.capabilities, "")
    assert caught.value.metadata["what"] == "owner"


def test_a_namespace_is_needed_but_on_the_hosts_network() -> None:
    for path in ("", "proc/1/ns/net"):
        with pytest.raises(InvalidArgument, match="network namespace"):
            requests.check(attach(netns_path=path), BRIDGE, BridgeDriver.capabilities, "")
    assert requests.check(attach(netns_path=""), HOST, HostDriver.capabilities, "").netns_id == ""


def test_ports_count_only_where_there_is_a_bridge() -> None:
    wrong = [PortMapping(container_port=0)]
    with pytest.raises(InvalidPort):
        requests.check(attach(ports=wrong), BRIDGE, BridgeDriver.capabilities, "")
    assert requests.check(attach(ports=wrong), HOST, HostDriver.capabilities, "").ports == ()


def test_mac_addresses() -> None:
    wish = requests.check(
        attach(mac_address="02-42-AC-11-00-02"), BRIDGE, BridgeDriver.capabilities, ""
    )
    assert wish.mac == "02:42:ac:11:00:02"
    for text in ("x", "02:42:ac:11:00", "01:42:ac:11:00:02", "00:00:00:00:00:00"):
        with pytest.raises(InvalidArgument) as caught:
            requests.check(attach(mac_address=text), BRIDGE, BridgeDriver.capabilities, "")
        assert caught.value.which == text
