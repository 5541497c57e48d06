"""Attaching and detaching: addresses, links, files, errors."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path

import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import (
    AddressInUse,
    InvalidArgument,
    InvalidPort,
    LinkFailed,
    NetworkNotFound,
    ScowError,
    SubnetFull,
)
from tests.integration.network.conftest import Engine, running_engine
from tests.integration.network.machines import Answerer
from tests.support import processes
from tests.support.service import from_rpc_error


def refused(engine: Engine, **fields: object) -> ScowError:
    """Return the error of an Attach that must fail, having seen that it leaves nothing behind."""
    before = engine.links(), engine.table(), engine.stub.Get(pb.GetRequest())
    with pytest.raises(grpc.RpcError) as caught:
        engine.attach(**fields)
    after = engine.links() - before[0], engine.table(), engine.stub.Get(pb.GetRequest())
    assert after == (set(), *before[1:])
    assert engine.reconcile() == []
    return from_rpc_error(caught.value)


def test_a_container_gets_address_route_and_names(engine: Engine) -> None:
    container, answer = engine.attach(hostname="web", domainname="example.org", aliases=["www"])
    endpoint = answer.endpoint
    address = ipaddress.IPv4Interface(f"{endpoint.ip_address}/{endpoint.prefix_length}")
    assert f"inet {address} " in container.run("ip addr show dev eth0")
    assert endpoint.mac_address in container.run("ip link show dev eth0")
    assert f"default via {endpoint.gateway} dev eth0" in container.run("ip route")
    assert "LOOPBACK,UP" in container.run("ip link show dev lo")
    assert "inet6 fe80" not in container.run("ip addr show dev eth0")
    assert f"master {engine.bridge}" in engine.host.run(f"ip link show dev {endpoint.host_link}")
    assert len(endpoint.host_link) <= 15
    own = [endpoint.ip_address, "web.example.org", "web", "www"]
    assert Path(answer.hosts_path).read_text().splitlines()[-1].split() == own
    assert Path(answer.hostname_path).read_text() == "web.example.org\n"
    assert "nameserver" in Path(answer.resolv_conf_path).read_text()


def test_containers_reach_host_each_other_and_the_world(engine: Engine) -> None:
    one, first = engine.attach()
    two, second = engine.attach()
    assert first.endpoint.ip_address != second.endpoint.ip_address
    with Answerer(one, "one", 80), Answerer(engine.neighbour, "far", 81):
        assert two.fetch(first.endpoint.ip_address, 80) == f"one {second.endpoint.ip_address}"
        assert engine.host.fetch(first.endpoint.ip_address, 80) == f"one {engine.gateway}"
        # Masqueraded: the neighbour sees the host.
        assert two.fetch("192.0.2.2", 81) == "far 192.0.2.1"


def test_a_container_is_reached_at_once(engine: Engine) -> None:
    """Without waiting for TCP to try again, which it does after a second."""
    for _ in range(10):
        container = engine.container()
        with Answerer(container, "web", 80):
            request = pb.AttachRequest(
                owner=engine.owner(), netns_path=container.path, hostname="x"
            )
            answer = engine.stub.Attach(request)
            begin = time.monotonic()
            assert engine.host.fetch(answer.endpoint.ip_address, 80).startswith("web ")
            assert time.monotonic() - begin < 0.9
        engine.stub.Detach(pb.DetachRequest(owner=request.owner))


def test_what_is_not_published_is_closed_to_other_machines(engine: Engine) -> None:
    container, answer = engine.attach()
    with Answerer(container, "closed", 80):
        assert engine.host.reaches(answer.endpoint.ip_address, 80)
        assert not engine.neighbour.reaches(answer.endpoint.ip_address, 80)


def test_sysctls_of_the_host(engine: Engine) -> None:
    assert engine.host.sysctl("ipv4/ip_forward") == "1"
    assert engine.host.sysctl(f"ipv4/conf/{engine.bridge}/route_localnet") == "1"
    assert engine.host.sysctl("ipv4/conf/wan/route_localnet") == "0"


def test_the_same_again_is_the_same(engine: Engine) -> None:
    container = engine.container()
    request = pb.AttachRequest(
        owner=engine.owner(),
        netns_path=container.path,
        hostname="x",
        ports=[PortMapping(container_port=80)],
    )
    first = engine.stub.Attach(request)
    Path(first.hosts_path).write_text("what the container wrote\n")
    links = engine.links()
    assert engine.stub.Attach(request) == first
    assert engine.links() <= links, "those of the test before may go"
    assert first.endpoint.host_link in engine.links()
    assert Path(first.hosts_path).read_text() == "what the container wrote\n"


def test_a_restarted_owner_keeps_its_address_in_a_new_namespace(engine: Engine) -> None:
    old = engine.container()
    owner = engine.owner()
    ports = [PortMapping(container_port=80)]
    request = pb.AttachRequest(owner=owner, netns_path=old.path, hostname="x", ports=ports)
    first = engine.stub.Attach(request)
    new = engine.container()
    request.netns_path = new.path
    second = engine.stub.Attach(request)
    assert second.endpoint == first.endpoint
    assert "eth0" not in old.links()
    with Answerer(new, "new", 80):
        assert engine.host.fetch("127.0.0.1", first.endpoint.ports[0].host_port).startswith("new")
    engine.stub.Detach(pb.DetachRequest(owner=owner))


def test_detaching_gives_everything_back(engine: Engine) -> None:
    table = engine.table()
    container, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    owner = answer.endpoint.owner
    with Answerer(container, "web", 80):
        assert engine.host.reaches("127.0.0.1", 8080)
        engine.stub.Detach(pb.DetachRequest(owner=owner))
        assert not engine.host.reaches("127.0.0.1", 8080)
        assert not engine.host.reaches(answer.endpoint.ip_address, 80)
    assert engine.table() == table
    assert not Path(answer.hosts_path).parent.exists()
    assert list(engine.stub.Get(pb.GetRequest()).network.endpoints) == []
    # The container lives on: its link is deleted by the service.
    processes.wait_for(lambda: answer.endpoint.host_link not in engine.links(), "the link's end")
    engine.stub.Detach(pb.DetachRequest(owner=owner))


def test_an_unknown_owner_is_no_error(engine: Engine) -> None:
    engine.stub.Detach(pb.DetachRequest(owner="container/nonesuch"))


def test_wished_addresses(engine: Engine) -> None:
    wished = str(ipaddress.IPv4Address(engine.gateway) + 100)
    _, answer = engine.attach(ipv4_address=wished, mac_address="02:00:00:00:00:07")
    assert answer.endpoint.ip_address == wished
    assert answer.endpoint.mac_address == "02:00:00:00:00:07"
    error = refused(engine, ipv4_address=wished)
    assert isinstance(error, AddressInUse)
    assert error.which == wished
    assert isinstance(refused(engine, ipv4_address=engine.gateway), InvalidArgument)
    assert isinstance(refused(engine, mac_address="x"), InvalidArgument)


def test_errors_name_what_and_which(engine: Engine) -> None:
    error = refused(engine, network="nonesuch")
    assert isinstance(error, NetworkNotFound)
    assert error.which == "nonesuch"
    error = refused(engine, ports=[PortMapping(container_port=0)])
    assert isinstance(error, InvalidPort)
    assert isinstance(
        refused(engine, ports=[PortMapping(container_port=1, host_ip="203.0.113.1")]), InvalidPort
    )
    assert isinstance(refused(engine, owner="x"), InvalidArgument)
    assert isinstance(refused(engine, dns=["x"]), InvalidArgument)
    error = refused(engine, netns_path="/proc/0/ns/net")
    assert isinstance(error, LinkFailed)
    assert error.metadata["what"] == "network namespace"
    assert isinstance(refused(engine, netns_path="/proc/self/ns/mnt"), LinkFailed)
    assert isinstance(refused(engine, netns_path=f"/proc/{engine.service.pid}/ns/net"), LinkFailed)


def test_a_namespace_with_an_eth0_of_its_own(engine: Engine) -> None:
    container = engine.container()
    container.run("ip link add eth0 type bridge")
    request = pb.AttachRequest(owner=engine.owner(), netns_path=container.path, hostname="x")
    with pytest.raises(grpc.RpcError) as caught:
        engine.stub.Attach(request)
    error = from_rpc_error(caught.value)
    assert isinstance(error, LinkFailed)
    assert error.metadata["errno"] == "EEXIST"
    assert engine.reconcile() == []
    assert list(engine.stub.Get(pb.GetRequest()).network.endpoints) == []


@pytest.mark.parametrize("network", ["host", "none"])
def test_networks_without_a_bridge_only_have_files(engine: Engine, network: str) -> None:
    links = engine.links()  # those of earlier tests may still be on their way out
    container = engine.container()
    path = container.path if network == "none" else ""
    request = pb.AttachRequest(
        owner=engine.owner(),
        network=network,
        netns_path=path,
        hostname="box",
        extra_hosts=["db:192.0.2.5", "me:host-gateway"],
        ports=[PortMapping(host_port=8080, container_port=80)],
    )
    answer = engine.stub.Attach(request)
    assert not answer.HasField("endpoint")
    lines = [line.split() for line in Path(answer.hosts_path).read_text().splitlines()]
    assert lines[-2:] == [["192.0.2.5", "db"], [engine.gateway, "me"]]
    assert Path(answer.hostname_path).read_text() == "box\n"
    assert engine.links() <= links
    if network == "none":
        assert container.links() == {"lo"}
        assert "LOOPBACK,UP" in container.run("ip link show dev lo")
    [attached] = engine.stub.Get(pb.GetRequest(network=network)).network.endpoints
    assert attached.owner == request.owner
    engine.stub.Detach(pb.DetachRequest(owner=request.owner))
    assert not Path(answer.hosts_path).exists()


def test_names_that_the_request_gives(engine: Engine) -> None:
    _, answer = engine.attach(
        dns=["203.0.113.53"],
        dns_search=["a.example", "b.example"],
        dns_options=["ndots:3"],
        extra_hosts=["gw:host-gateway"],
    )
    assert Path(answer.resolv_conf_path).read_text() == (
        "nameserver 203.0.113.53\nsearch a.example b.example\noptions ndots:3\n"
    )
    assert f"{engine.gateway}\tgw\n" in Path(answer.hosts_path).read_text()


def test_two_networks_of_one_owner(engine: Engine) -> None:
    container, answer = engine.attach()
    request = pb.AttachRequest(
        owner=answer.endpoint.owner, network="none", netns_path=container.path, hostname="x"
    )
    second = engine.stub.Attach(request)
    assert second.hosts_path == answer.hosts_path
    assert answer.endpoint.ip_address in Path(second.hosts_path).read_text()
    engine.stub.Detach(pb.DetachRequest(owner=request.owner))
    for network in ("bridge", "none"):
        assert not engine.stub.Get(pb.GetRequest(network=network)).network.endpoints


def test_watch_tells_who_came_and_went(engine: Engine) -> None:
    events = engine.stub.Watch(pb.WatchRequest(from_revision=1), timeout=30)
    created = [next(events).event for _ in range(3)]
    assert {event.attributes["name"] for event in created} == {"bridge", "host", "none"}
    assert {event.action for event in created} == {"create"}
    events.cancel()
    last = engine.stub.Watch(pb.WatchRequest(from_revision=1), timeout=30)
    _, answer = engine.attach()
    engine.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))
    identity = answer.endpoint.owner.partition("/")[2]
    seen = []
    for message in last:
        if message.event.attributes["container"] == identity:
            seen.append((message.event.action, message.event.attributes["name"]))
        if len(seen) == 2:
            break
    last.cancel()
    assert seen == [("connect", "bridge"), ("disconnect", "bridge")]


def test_list_and_get(engine: Engine) -> None:
    _, answer = engine.attach(name="web")
    listed = engine.stub.List(pb.ListRequest(page_size=2))
    assert [n.name for n in listed.networks] == ["bridge", "host"]
    rest = engine.stub.List(pb.ListRequest(page_size=2, page_token=listed.next_page_token))
    assert [n.name for n in rest.networks] == ["none"]
    network = listed.networks[0]
    assert list(network.endpoints) == [answer.endpoint]
    assert network.endpoints[0].name == "web"
    assert engine.stub.Get(pb.GetRequest(network=network.id[:12])).network == network
    with pytest.raises(grpc.RpcError) as caught:
        engine.stub.Get(pb.GetRequest(network="nonesuch"))
    assert isinstance(from_rpc_error(caught.value), NetworkNotFound)


def test_many_at_once_and_a_caller_that_goes_away(engine: Engine) -> None:
    namespaces = [engine.container() for _ in range(10)]
    owners = [f"container/many{n}" for n in range(10)]
    calls = [
        engine.stub.Attach.future(
            pb.AttachRequest(owner=owner, netns_path=namespace.path, hostname="x")
        )
        for owner, namespace in zip(owners, namespaces, strict=True)
    ]
    for call in calls[5:]:
        call.cancel()
    addresses = {call.result(timeout=30).endpoint.ip_address for call in calls[:5]}
    assert len(addresses) == 5
    left = set(owners[:5])

    def settled() -> bool:
        attached = engine.stub.Get(pb.GetRequest()).network.endpoints
        return {e.owner for e in attached} >= left and len(engine.links()) == len(attached)

    processes.wait_for(settled, "as many links as endpoints")
    for owner in owners:
        engine.stub.Detach(pb.DetachRequest(owner=owner))
    processes.wait_for(lambda: engine.links() == set(), "the end of all links")
    assert engine.reconcile() == []


def test_a_deadline_that_passes_leaves_nothing(engine: Engine) -> None:
    container = engine.container()
    owner = engine.owner()
    request = pb.AttachRequest(
        owner=owner, netns_path=container.path, hostname="x", ports=[PortMapping(container_port=80)]
    )
    table = engine.table()
    outcomes = set()
    for milliseconds in (2, 3, 4, 5):
        try:
            engine.stub.Attach(request, timeout=milliseconds / 1000)
            outcomes.add("done")
            engine.stub.Detach(pb.DetachRequest(owner=owner))
        except grpc.RpcError as error:
            assert isinstance(error, grpc.Call)
            outcomes.add(error.code().name)
    assert outcomes <= {"done", "DEADLINE_EXCEEDED"}
    time.sleep(0.1)
    engine.stub.Detach(pb.DetachRequest(owner=owner))
    assert engine.table() == table
    assert list(engine.stub.Get(pb.GetRequest()).network.endpoints) == []


def test_a_subnet_that_is_full() -> None:
    for engine in running_engine({"SCOW_NETWORK_SUBNET": "10.77.0.0/29"}):
        given = [engine.attach()[1].endpoint.ip_address for _ in range(5)]
        assert given == [f"10.77.0.{n}" for n in range(2, 7)]
        error = refused(engine)
        assert isinstance(error, SubnetFull)
        assert error.which == "10.77.0.0/29"
