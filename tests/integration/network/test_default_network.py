"""The network "bridge" as the configuration has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scow.api.network.v1 import network_pb2 as pb
from tests.integration.network.conftest import Engine, running_engine
from tests.integration.network.machines import Answerer


@pytest.fixture(scope="module")
def configured() -> Iterator[Engine]:
    yield from running_engine(
        {
            "SCOW_NETWORK_SUBNET": "10.44.0.0/16",
            "SCOW_NETWORK_GATEWAY": "10.44.0.9",
            "SCOW_NETWORK_IP_RANGE": "10.44.128.0/17",
            "SCOW_NETWORK_MTU": "1350",
            "SCOW_NETWORK_ICC": "false",
            "SCOW_NETWORK_MASQUERADE": "false",
            "SCOW_NETWORK_FORWARDING": "false",
        }
    )


def test_it_is_what_the_configuration_says(configured: Engine) -> None:
    one, first = configured.attach()
    other, second = configured.attach()
    assert first.endpoint.ip_address.startswith("10.44.128.")
    assert first.endpoint.gateway == "10.44.0.9"
    assert "inet 10.44.0.9/16" in configured.host.run(f"ip addr show {configured.bridge}")
    assert "mtu 1350" in one.run("ip link show eth0")
    configured.host.run("sysctl -qw net.ipv4.ip_forward=1")
    with Answerer(configured.neighbour, "far", 7001):
        own = f"far {first.endpoint.ip_address}"
        assert one.fetch("192.0.2.2", 7001) == own, "it has no other address"
    configured.host.run("sysctl -qw net.ipv4.ip_forward=0")
    configured.reconcile()
    assert configured.host.sysctl("ipv4/ip_forward") == "0"
    with Answerer(one, "one", 7000), Answerer(configured.host, "host", 7000):
        assert other.reaches("10.44.0.9", 7000)
        assert not other.reaches(first.endpoint.ip_address, 7000), "they may not talk"
    network = configured.stub.Get(pb.GetRequest()).network
    assert network.options["com.docker.network.bridge.enable_icc"] == "false"
    assert network.subnets[0].ip_range == "10.44.128.0/17"
    assert second.endpoint.gateway == "10.44.0.9"
