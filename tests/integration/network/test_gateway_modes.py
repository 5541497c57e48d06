"""How a bridge is the gateway of its containers: Docker's modes, and networks without IPv4."""

from __future__ import annotations

import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import InvalidArgument
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import Answerer
from tests.integration.network.test_dns import made_network, texts
from tests.support.service import from_rpc_error

_TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"
_MODE = "com.docker.network.bridge.gateway_mode_ipv"
NEIGHBOUR = "192.0.2.2"


def mode(name: str, version: int = 4) -> dict[str, str]:
    return {f"{_MODE}{version}": name}


def web(port: int = 80) -> PortMapping:
    return PortMapping(host_port=port, container_port=80)


def test_unprotected(engine: Engine) -> None:
    for net in made_network(engine, "open", options=mode("nat-unprotected")):
        box, answer = engine.attach(network=net, ports=[web(8080)])
        stranger, _ = engine.attach()
        at = answer.endpoint.ip_address
        with (
            Answerer(box, "web", 80),
            Answerer(box, "more", 81),
            Answerer(engine.neighbour, "far", 82),
        ):
            assert engine.neighbour.fetch(at, 81) == f"more {NEIGHBOUR}", "nothing protects it"
            assert engine.neighbour.fetch("192.0.2.1", 8080).startswith("web ")
            assert box.fetch(NEIGHBOUR, 82) == "far 192.0.2.1", "it has the host's address"
            assert not stranger.reaches(at, 81), "networks are apart"
        assert engine.reconcile() == []


def test_routed(engine: Engine) -> None:
    for net in made_network(engine, "routed", options=mode("routed")):
        box, answer = engine.attach(network=net, ports=[web()])
        # The same port again: none of the host is taken.
        allowed = PortMapping(host_port=80, container_port=80, allow=["192.0.2.0/28"])
        _, other = engine.attach(network=net, ports=[allowed])
        closed = PortMapping(host_port=80, container_port=80, allow=["203.0.113.0/24"])
        third, guarded = engine.attach(network=net, ports=[closed])
        at = answer.endpoint.ip_address
        with (
            Answerer(box, "web", 80),
            Answerer(box, "more", 81),
            Answerer(third, "third", 80),
            Answerer(engine.host, "host", 80),
            Answerer(engine.neighbour, "far", 82),
        ):
            assert engine.neighbour.fetch(at, 80) == f"web {NEIGHBOUR}"
            assert not engine.neighbour.reaches(at, 81)
            assert engine.neighbour.fetch("192.0.2.1", 80).startswith("host "), "it is the host's"
            assert box.fetch(NEIGHBOUR, 82) == f"far {at}", "it keeps its address"
            assert not engine.neighbour.reaches(guarded.endpoint.ip_address, 80)
            assert engine.neighbour.run(f"busybox ping -c 1 -W 2 {at}")
            assert f"{other.endpoint.ip_address} . 6 . 80 . 192.0.2.0/28" in opened(engine)
            owner = answer.endpoint.owner
            new = PortMapping(host_port=81, container_port=81)
            engine.stub.Publish(pb.PublishRequest(owner=owner, ports=[new]))
            assert engine.neighbour.fetch(at, 81) == f"more {NEIGHBOUR}"
            engine.stub.Unpublish(pb.UnpublishRequest(owner=owner, ports=[new]))
            assert not engine.neighbour.reaches(at, 81)
            again = PortMapping(host_port=8080, container_port=80)
            engine.stub.Publish(pb.PublishRequest(owner=owner, ports=[again]))
            engine.stub.Unpublish(pb.UnpublishRequest(owner=owner, ports=[again]))
            assert engine.neighbour.fetch(at, 80) == f"web {NEIGHBOUR}", "another port leads there"
        assert engine.reconcile() == []


def opened(engine: Engine) -> str:
    listed = engine.host.run(f"nft -n list set ip {engine.instance} opened_to")
    return " ".join(listed.split())


def test_routed_after_a_crash(own_engine: Engine) -> None:
    engine = own_engine
    engine.stub.Create(pb.CreateRequest(name="routed", options=mode("routed")))
    box, answer = engine.attach(network="routed", ports=[web()])
    engine.host.call(engine.service.kill_and_restart)
    with Answerer(box, "web", 80), Answerer(engine.host, "host", 80):
        assert engine.neighbour.fetch(answer.endpoint.ip_address, 80) == f"web {NEIGHBOUR}"
        assert engine.reconcile() == []


def test_links_that_are_trusted(engine: Engine) -> None:
    for net in made_network(engine, "lan", options={_TRUSTED: "none0:wan"}):
        box, answer = engine.attach(network=net)
        stranger, _ = engine.attach()
        with Answerer(box, "more", 81):
            at = answer.endpoint.ip_address
            assert engine.neighbour.fetch(at, 81) == f"more {NEIGHBOUR}"
            assert not stranger.reaches(at, 81)
        assert engine.reconcile() == []
    assert "none0" not in engine.table(), "it goes with the network"


def test_isolated(engine: Engine) -> None:
    for net in made_network(engine, "alone", internal=True, options=mode("isolated")):
        box, answer = engine.attach(network=net)
        other, _ = engine.attach(network=net)
        bridge = engine.stub.Get(pb.GetRequest(network=net)).network.bridge
        with Answerer(box, "web", 80):
            assert other.fetch(answer.endpoint.ip_address, 80).startswith("web ")
            assert "inet" not in engine.host.run(f"ip addr show {bridge}")
            assert not engine.host.reaches(answer.endpoint.ip_address, 80)
        assert engine.reconcile() == []


@pytest.mark.parametrize(
    "wrong", [mode("isolated"), mode("bridged"), mode("isolated", 6), {_TRUSTED: "a b"}]
)
def test_what_cannot_be(engine: Engine, wrong: dict[str, str]) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        engine.stub.Create(pb.CreateRequest(name="wrong", options=wrong))
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)


def test_without_ipv4(engine: Engine) -> None:
    enabled = {"com.docker.network.enable_ipv4": "false", "com.docker.network.enable_ipv6": "true"}
    for given in ({"without_ipv4": True, "ipv6": True}, {"options": enabled}):
        for net in made_network(engine, "six", **given):
            box, answer = engine.attach(network=net, name="web", ports=[web(8080)])
            other, _ = engine.attach(network=net, name="other")
            own = answer.endpoint
            assert (own.ip_address, ":" in own.ipv6_address) == ("", True)
            assert "inet " not in box.run("ip addr show eth0")
            assert texts(other, "web", "AAAA") == [own.ipv6_address]
            assert texts(other, "web", "A") == []
            with Answerer(box, "web", 80, address="::"):
                assert other.fetch(own.ipv6_address, 80).startswith("web ")
                assert engine.neighbour.fetch("192.0.2.1", 8080).startswith("web "), "relayed"
            assert engine.reconcile() == []
    with pytest.raises(grpc.RpcError) as caught:
        engine.stub.Create(pb.CreateRequest(name="nothing", without_ipv4=True))
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)
