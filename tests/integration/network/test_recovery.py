"""Crashes, and what others do to the engine's links, rules and host."""

from __future__ import annotations

import ipaddress
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import KernelUnsupported
from scow.network.firewall import nftables, rules
from scow.network.firewall.nftables import Nftables
from scow.network.firewall.table import Table, Wanted
from scow.network.ipam.addresses import Pool
from scow.network.store import Network
from tests.integration.network.conftest import Containers, Engine
from tests.integration.network.machines import Answerer, Namespace, host_and_neighbour
from tests.support import processes
from tests.support.service import Service, from_rpc_error

WEB = PortMapping(host_port=8080, container_port=80)


def test_a_crash_changes_nothing(own_engine: Engine) -> None:
    engine = own_engine
    web, answer = engine.attach(ports=[WEB, PortMapping(container_port=80)])
    described = engine.stub.Get(pb.GetRequest())
    with Answerer(web, "web", 80):
        engine.service.stop(signal.SIGKILL)
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web "), "while no service runs"
        engine.host.call(engine.service.start)
        assert engine.stub.Get(pb.GetRequest()) == described
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
        with pytest.raises(OSError, match="in use"):  # the ports are held again
            Answerer(engine.host, "program", answer.endpoint.ports[1].host_port)
        _, other = engine.attach()
        assert other.endpoint.ip_address != answer.endpoint.ip_address


def test_stopping_leaves_containers_connected(own_engine: Engine) -> None:
    engine = own_engine
    web, _ = engine.attach(ports=[WEB])
    with Answerer(web, "web", 80):
        assert engine.service.stop() == 0
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
        engine.host.call(engine.service.start)


def test_killed_at_any_moment_nothing_leaks(own_engine: Engine, containers: Containers) -> None:
    engine = own_engine
    table = engine.table()
    for step in range(7):
        container = Namespace()
        request = pb.AttachRequest(
            owner=f"container/k{step}", netns_path=container.path, hostname="x", ports=[WEB]
        )
        call = engine.stub.Attach.future(request)
        time.sleep(step * 0.0015)
        engine.service.stop(signal.SIGKILL)
        call.cancel()
        container.end()
        # The container service knows nobody, so all of it is to be released.
        engine.host.call(engine.service.start)
        assert list(engine.stub.Get(pb.GetRequest()).network.endpoints) == []
        assert engine.links() == set()
        assert engine.table() == table
        assert list((engine.service.data / "files").iterdir()) == []


def test_a_half_made_attach_is_completed_by_its_repetition(own_engine: Engine) -> None:
    engine = own_engine
    for step in range(5):
        container = engine.container()
        owner = engine.owner()
        request = pb.AttachRequest(
            owner=owner, netns_path=container.path, hostname="x", ports=[WEB]
        )
        call = engine.stub.Attach.future(request)
        time.sleep(step * 0.002)
        engine.service.stop(signal.SIGKILL)
        call.cancel()
        engine.host.call(engine.service.start)
        answer = engine.stub.Attach(request)
        with Answerer(container, "web", 80):
            assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
        assert container.links() == {"lo", "eth0"}
        assert len(engine.links()) == 1
        assert answer.endpoint.host_link in engine.links()
        engine.stub.Detach(pb.DetachRequest(owner=owner))
        processes.wait_for(lambda: engine.links() == set(), "the end of links")


def test_owners_that_are_gone(own_engine: Engine, containers: Containers) -> None:
    engine = own_engine
    web, kept = engine.attach(ports=[WEB])
    _, gone = engine.attach(ports=[PortMapping(host_port=8081, container_port=80)])
    containers.known = {kept.endpoint.owner}
    assert engine.reconcile() == [(gone.endpoint.owner, "released")]
    [left] = engine.stub.Get(pb.GetRequest()).network.endpoints
    assert left == kept.endpoint
    assert not Path(gone.hosts_path).exists()
    with Answerer(web, "web", 80), Answerer(engine.host, "program", 8081):
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
        assert engine.host.fetch("127.0.0.1", 8081).startswith("program ")


def test_on_doubt_nothing_is_released(own_engine: Engine) -> None:
    _, answer = own_engine.attach()
    assert own_engine.reconcile() == []  # no container service answers
    assert list(own_engine.stub.Get(pb.GetRequest()).network.endpoints) == [answer.endpoint]


def test_a_flush_of_all_rules_is_mended_within_a_moment(own_engine: Engine) -> None:
    engine = own_engine
    web, _ = engine.attach(ports=[WEB])
    table = engine.table()
    engine.host.run("nft flush ruleset")
    with Answerer(web, "web", 80):
        processes.wait_for(lambda: engine.table() == table, "the table", seconds=5)
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
        assert engine.neighbour.fetch("192.0.2.1", 8080).startswith("web ")
    assert engine.reconcile() == []


@pytest.mark.parametrize(
    "damage",
    [
        "nft flush chain ip {table} postrouting",
        "nft flush map ip {table} moved_port",
        "nft add rule ip {table} forward drop",
        "nft add element ip {table} direct '{{ 0.0.0.0/0 . tcp . 99 : 10.0.0.1 }}'",
    ],
)
def test_changed_rules_are_mended(quiet_engine: Engine, damage: str) -> None:
    engine = quiet_engine
    engine.attach(ports=[WEB])
    table = engine.table()
    engine.host.run(damage.format(table=engine.instance))
    assert engine.table() != table
    assert engine.reconcile() == [("table", "rebuilt")]
    assert engine.table() == table


def test_a_damaged_map_does_not_keep_anyone_from_attaching(quiet_engine: Engine) -> None:
    """Neither the one whose port is there already nor the one whose port is missing."""
    engine = quiet_engine
    port = PortMapping(host_port=99, container_port=99)
    element = f"ip {engine.instance} direct '{{ 0.0.0.0/0 . tcp . 99 : 10.0.0.1 }}'"
    engine.host.run(f"nft add element {element}")
    web, answer = engine.attach(ports=[port])
    with Answerer(web, "web", 99):
        assert engine.host.fetch("127.0.0.1", 99).startswith("web ")
    engine.host.run(f"nft flush map ip {engine.instance} direct")
    engine.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))
    assert engine.reconcile() == []


def test_tables_of_others_are_left_alone(quiet_engine: Engine) -> None:
    engine = quiet_engine
    engine.host.run("nft add table ip theirs && nft add chain ip theirs c && nft add table inet x")
    theirs = engine.host.run("nft list table ip theirs")
    engine.attach(ports=[WEB])
    engine.host.run(f"nft delete table ip {engine.instance}")
    assert engine.reconcile() == [("table", "rebuilt")]
    assert engine.host.run("nft list table ip theirs") == theirs
    engine.host.run("nft delete table ip theirs && nft delete table inet x")


def test_a_bridge_that_was_removed(quiet_engine: Engine) -> None:
    engine = quiet_engine
    one, first = engine.attach()
    two, second = engine.attach()
    engine.host.run(f"ip link delete {engine.bridge}")
    with Answerer(one, "one", 80):
        assert not two.reaches(first.endpoint.ip_address, 80)
        done = engine.reconcile()
        assert done[0] == ("network/bridge", "rebuilt")
        assert sorted(done[1:]) == sorted((e.endpoint.owner, "rebuilt") for e in (first, second))
        assert two.fetch(first.endpoint.ip_address, 80).startswith("one ")
        assert engine.host.fetch(first.endpoint.ip_address, 80).startswith("one ")
    assert engine.reconcile() == []


def test_attaching_brings_a_removed_bridge_back(quiet_engine: Engine) -> None:
    engine = quiet_engine
    engine.host.run(f"ip link delete {engine.bridge}")
    container, answer = engine.attach()
    with Answerer(container, "web", 80):
        assert engine.host.fetch(answer.endpoint.ip_address, 80).startswith("web ")


@pytest.mark.parametrize("damage", ["ip link set {bridge} down", "ip addr flush dev {bridge}"])
def test_a_bridge_that_was_changed(quiet_engine: Engine, damage: str) -> None:
    engine = quiet_engine
    container, answer = engine.attach()
    engine.host.run(damage.format(bridge=engine.bridge))
    assert engine.reconcile() == [("network/bridge", "rebuilt")]
    with Answerer(container, "web", 80):
        assert engine.host.fetch(answer.endpoint.ip_address, 80).startswith("web ")


@pytest.mark.parametrize(
    "damage", ["ip link delete {link}", "ip link set {link} nomaster", "ip link set {link} down"]
)
def test_a_link_that_was_removed_or_cut_off(quiet_engine: Engine, damage: str) -> None:
    engine = quiet_engine
    container, answer = engine.attach(ports=[WEB])
    engine.host.run(damage.format(link=answer.endpoint.host_link))
    with Answerer(container, "web", 80):
        assert not engine.host.reaches(answer.endpoint.ip_address, 80)
        assert engine.reconcile() == [(answer.endpoint.owner, "rebuilt")]
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web ")
        assert container.fetch("192.0.2.1", 8080).startswith("web ")
    assert engine.reconcile() == []


def test_a_container_that_died_is_left_to_its_owner(quiet_engine: Engine) -> None:
    engine = quiet_engine
    container, answer = engine.attach(ports=[WEB])
    container.end()
    processes.wait_for(lambda: engine.links() == set(), "the end of its link")
    assert engine.reconcile() == []
    [left] = engine.stub.Get(pb.GetRequest()).network.endpoints
    assert left == answer.endpoint


def test_links_and_files_without_a_record(quiet_engine: Engine) -> None:
    engine = quiet_engine
    orphan = f"{engine.instance}-abcdef"
    engine.host.run(f"ip link add {orphan} type veth peer name other")
    engine.host.run(f"ip link add {engine.instance}1-abcde type veth peer name theirs")
    folder = engine.service.data / "files" / "container_lost"
    folder.mkdir()
    assert engine.reconcile() == [
        (f"link/{orphan}", "released"),
        ("files/container_lost", "released"),
    ]
    assert not folder.exists()
    assert f"{engine.instance}1-abcde" in engine.host.links(), "of an engine that begins alike"
    engine.host.run("ip link delete theirs")


def test_a_port_that_was_taken_while_no_service_ran(own_engine: Engine) -> None:
    engine = own_engine
    web, answer = engine.attach(ports=[WEB])
    engine.service.stop(signal.SIGKILL)
    with Answerer(engine.host, "program", 8080), Answerer(web, "web", 80):
        engine.host.call(engine.service.start)
        assert (answer.endpoint.owner, "reported") not in engine.reconcile()
        assert "is not held" in engine.service.log.read_text()
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web "), "still diverted"


def test_the_subnet_is_free_and_kept() -> None:
    with host_and_neighbour() as (host, _):
        # A VPN has 10.0.0.0/8, and the host is in 172.31.0.0/16.
        host.run("ip route add 10.0.0.0/8 via 192.0.2.2 && ip addr add 172.31.0.1/16 dev wan")
        service = Service("network", "nsub")
        try:
            host.call(service.start)
            stub: Any = _stub(service)
            [subnet] = stub.Get(pb.GetRequest()).network.subnets
            chosen = ipaddress.IPv4Network(subnet.subnet)
            assert chosen.subnet_of(ipaddress.IPv4Network("172.16.0.0/12"))
            assert chosen != ipaddress.IPv4Network("172.31.0.0/16")
            host.run("ip route del 10.0.0.0/8")
            service.stop()
            host.call(service.start)
            assert list(stub.Get(pb.GetRequest()).network.subnets) == [subnet]
            _reconfigure(host, service, str(chosen))
        finally:
            service.__exit__(None, None, None)


def _reconfigure(host: Namespace, service: Service, old: str) -> None:
    """Change network.subnet: as long as somebody has an address, the old one is kept."""
    stub: Any = _stub(service)
    request = pb.AttachRequest(owner="container/a", hostname="x")
    with Namespace() as container:
        request.netns_path = container.path
        stub.Attach(request)
        service._settings["SCOW_NETWORK_SUBNET"] = "10.50.0.0/24"
        service.stop()
        host.call(service.start)
        assert [s.subnet for s in stub.Get(pb.GetRequest()).network.subnets] == [old]
        stub.Detach(pb.DetachRequest(owner="container/a"))
        answer = stub.Attach(request)
        assert answer.endpoint.ip_address == "10.50.0.2"
        assert answer.endpoint.prefix_length == 24
        addresses = host.run("ip -4 -o addr show dev nsub0")
        assert "10.50.0.1/24" in addresses
        assert old.split("/")[0][:7] not in addresses
        assert "10.50.0.0/24" in host.run("nft list table ip nsub")


def _stub(service: Service) -> Any:
    from scow.api.network.v1.network_pb2_grpc import NetworkServiceStub

    return NetworkServiceStub(service.channel)


def test_engines_that_start_together_choose_different_subnets() -> None:
    with host_and_neighbour() as (host, _):
        services = [Service("network", f"par{n}") for n in range(4)]
        try:
            starting = [threading.Thread(target=lambda s=s: host.call(s.start)) for s in services]
            for thread in starting:
                thread.start()
            for thread in starting:
                thread.join()
            subnets = {_stub(s).Get(pb.GetRequest()).network.subnets[0].subnet for s in services}
            assert len(subnets) == 4
        finally:
            for service in services:
                service.__exit__(None, None, None)


def test_two_engines_side_by_side() -> None:
    with host_and_neighbour() as (host, neighbour), Namespace() as one, Namespace() as two:
        services = [Service("network", f"side{n}") for n in range(2)]
        try:
            for service in services:
                host.call(service.start)
            answers = []
            for n, (service, container) in enumerate(zip(services, (one, two), strict=True)):
                request = pb.AttachRequest(
                    owner="container/same",
                    netns_path=container.path,
                    hostname="x",
                    ports=[PortMapping(host_port=8080 + n, container_port=80)],
                )
                answers.append(_stub(service).Attach(request))
            with Answerer(one, "one", 80), Answerer(two, "two", 80):
                assert two.fetch("192.0.2.1", 8080).startswith("one ")
                assert one.fetch("192.0.2.1", 8081).startswith("two ")
                assert not two.reaches(answers[0].endpoint.ip_address, 80), "isolated"
                _teardown(host, "side0")
                assert not host.reaches("127.0.0.1", 8080)
                assert neighbour.fetch("192.0.2.1", 8081) == "two 192.0.2.2"
        finally:
            for service in services:
                service.__exit__(None, None, None)


def _teardown(host: Namespace, instance: str) -> None:
    command = [sys.executable, "-m", "scow.network.teardown", "--instance", instance]
    host.call(lambda: subprocess.run(command, check=True, capture_output=True))


def test_teardown_leaves_nothing() -> None:
    with host_and_neighbour() as (host, _), Namespace() as container:
        before = host.links()
        service = Service("network", "gone")
        try:
            host.call(service.start)
            _stub(service).Attach(
                pb.AttachRequest(
                    owner="container/a", netns_path=container.path, hostname="x", ports=[WEB]
                )
            )
            service.stop(signal.SIGKILL)
            for _ in range(2):  # the second time there is nothing to do
                _teardown(host, "gone")
                assert host.links() == before
                assert host.run("nft list tables") == ""
        finally:
            service.__exit__(None, None, None)


def test_a_firewall_that_drops_is_named(own_engine: Engine) -> None:
    """As dockerd leaves it: policy drop in ip filter FORWARD, and DOCKER-USER for those who know."""
    engine = own_engine
    engine.host.run(
        "nft add table ip filter; nft add chain ip filter DOCKER-USER;"
        "nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }';"
        "nft add rule ip filter FORWARD jump DOCKER-USER"
    )
    web, _ = engine.attach(ports=[WEB])
    with Answerer(web, "web", 80):
        assert engine.host.fetch("127.0.0.1", 8080).startswith("web "), "the host itself passes"
        assert not engine.neighbour.reaches("192.0.2.1", 8080)
        engine.reconcile()
        log = engine.service.log.read_text()
        assert f"iptables -I DOCKER-USER -o {engine.bridge} -j ACCEPT" in log
        for way in ("iifname", "oifname"):
            engine.host.run(f"nft add rule ip filter DOCKER-USER {way} {engine.bridge} accept")
        assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"


def test_a_host_whose_bridge_cannot_be_made() -> None:
    """Somebody else's link has the bridge's name: a typed error, no crash, and recovery without a restart."""
    with host_and_neighbour() as (host, _), Namespace() as container:
        host.run("ip link add block0 type veth peer name block1")
        service = Service("network", "block")
        try:
            host.call(service.start)
            request = pb.AttachRequest(owner="container/a", netns_path=container.path, hostname="x")
            with pytest.raises(grpc.RpcError) as caught:
                _stub(service).Attach(request)
            error = from_rpc_error(caught.value)
            assert error.code_name == "FAILED_PRECONDITION"
            assert error.which == "bridge block0"
            assert list(_stub(service).Get(pb.GetRequest()).network.endpoints) == []
            host.run("ip link delete block1")
            assert _stub(service).Attach(request).endpoint.ip_address
            assert "masquerade" in host.run("nft list table ip block")
        finally:
            service.__exit__(None, None, None)


def test_a_listing_that_cannot_be_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of another version of libnftables: the table is not built again and again."""
    monkeypatch.setattr(
        rules, "differences", lambda _, listed, *__: "missing" if listed is None else "odd"
    )
    pools = (
        Pool.of(ipaddress.ip_network("10.0.0.0/24")),
        Pool.of(ipaddress.ip_network("fd00::/64")),
    )
    wanted = Wanted([Network("n", "n", "bridge", "odd0", 1, pools)], [])
    with Namespace() as host:
        table = Table("odd")

        def restore() -> list[str]:
            return [table.restore(wanted) for _ in range(3)]

        assert host.call(lambda: [Nftables().list_table("ip", "odd"), *restore()]) == [
            None,
            "missing",
            "",
            "",
        ]
        host.run("nft delete table ip odd")
        assert host.call(restore) == ["missing", "", ""]
        table.close()


def test_a_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nftables, "_LIBRARY", "libnonesuch.so.1")
    with pytest.raises(KernelUnsupported) as caught:
        nftables.Nftables()
    assert caught.value.which == "libnonesuch.so.1"


def test_a_flush_again_and_again_under_load(own_engine: Engine) -> None:
    """Whatever is being changed when the tables go, all of it is there in the end, and calls do not fail."""
    engine = own_engine
    web, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    owner = answer.endpoint.owner
    policy = pb.Policy(owner=owner, default_action="allow")
    engine.stub.SetPolicy(pb.SetPolicyRequest(policy=policy))
    boxes = [engine.container() for _ in range(3)]

    def live(number: int) -> None:
        for turn in range(8):
            name, port = f"container/load{number}", 9000 + number
            ports = [PortMapping(host_port=port, container_port=80, allow=["192.0.2.0/24"])]
            request = pb.AttachRequest(owner=name, netns_path=boxes[number].path, hostname="box")
            request.ports.extend(ports)
            engine.stub.Attach(request)
            more = [PortMapping(host_port=9100 + number, container_port=81, protocol="udp")]
            engine.stub.Publish(pb.PublishRequest(owner=name, ports=more))
            if turn < 7:
                engine.stub.Detach(pb.DetachRequest(owner=name))

    with ThreadPoolExecutor(3) as pool:
        lives = [pool.submit(live, number) for number in range(3)]
        while not all(each.done() for each in lives):
            engine.host.run("nft flush ruleset")
        for each in lives:
            each.result()
    processes.wait_for(lambda: engine.reconcile() == [], "the tables are as they must be")
    assert engine.table().count("9000") >= 1
    with Answerer(web, "web", 80), Answerer(boxes[2], "box", 80):
        assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
        assert engine.neighbour.fetch("192.0.2.1", 9002) == "box 192.0.2.2"
    for number in range(3):
        engine.stub.Detach(pb.DetachRequest(owner=f"container/load{number}"))
