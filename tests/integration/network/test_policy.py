"""Egress policies: what a container reaches, what is counted, and what survives whom."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import dns.rcode
import grpc
import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import InvalidArgument, PolicyNotFound, PolicyUnsupported
from scow.core.store import Store
from scow.network.policy.model import Policy, Rule
from scow.network.store import MIGRATIONS, NetworkStore
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import Answerer, Namespace
from tests.integration.network.test_dns import Outside, ask, made_network, texts
from tests.support.service import from_rpc_error

FAR = "192.0.2.2"


def rule(action: str, to: str = "", port: int = 0, protocol: str = "") -> pb.PolicyRule:
    return pb.PolicyRule(action=action, to=to, port=port, protocol=protocol)


def set_policy(engine: Engine, owner: str, default: str, *rules: pb.PolicyRule) -> None:
    policy = pb.Policy(owner=owner, default_action=default, rules=rules)
    engine.stub.SetPolicy(pb.SetPolicyRequest(policy=policy))


def get_policy(engine: Engine, owner: str) -> pb.Policy:
    policy: pb.Policy = engine.stub.GetPolicy(pb.GetPolicyRequest(owner=owner)).policy
    return policy


@pytest.fixture
def far(engine: Engine) -> Iterator[None]:
    """Servers on the neighbour, which plays the world."""
    with Answerer(engine.neighbour, "a", 81), Answerer(engine.neighbour, "b", 82):
        yield


def test_addresses_and_ports(engine: Engine, far: None) -> None:
    box, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    owner = answer.endpoint.owner
    assert box.reaches(FAR, 81)
    set_policy(engine, owner, "deny", rule("allow", "192.0.2.0/24", 81, "tcp"))
    assert box.reaches(FAR, 81)
    assert not box.reaches(FAR, 82)
    with Answerer(box, "web", 80):
        assert engine.neighbour.fetch("192.0.2.1", 8080).startswith("web "), "answers pass"
    policy = get_policy(engine, owner)
    assert policy.rules[0].packets >= 1
    assert policy.default_packets >= 1
    set_policy(engine, owner, "allow", rule("deny", "192.0.2.2/32"))
    assert not box.reaches(FAR, 81)
    engine.stub.RemovePolicy(pb.RemovePolicyRequest(owner=owner))
    assert box.reaches(FAR, 81)
    assert "policy" not in engine.host.run("nft list tables")


def test_what_is_denied_is_an_event(engine: Engine, far: None) -> None:
    box, answer = engine.attach()
    owner = answer.endpoint.owner
    set_policy(engine, owner, "deny", rule("deny", FAR, 82))
    events = engine.stub.Watch(pb.WatchRequest(from_revision=1))
    assert (box.reaches(FAR, 81), box.reaches(FAR, 82)) == (False, False)
    denied: dict[str, str] = {}
    for response in events:
        if response.event.action == "deny" and response.event.object_id == owner.partition("/")[2]:
            facts = response.event.attributes
            denied[facts["destination"]] = facts["rule"]
        if len(denied) == 2:
            break
    events.cancel()
    assert denied == {f"{FAR}:81/tcp": "default", f"{FAR}:82/tcp": "0"}


def test_others_on_the_same_bridge_and_the_host(engine: Engine) -> None:
    box, answer = engine.attach()
    web, other = engine.attach()
    owner, at = answer.endpoint.owner, other.endpoint.ip_address
    with Answerer(web, "web", 80), Answerer(web, "admin", 22), Answerer(engine.host, "host", 90):
        set_policy(engine, owner, "deny", rule("allow", at, 80))
        assert box.fetch(at, 80).startswith("web ")
        assert not box.reaches(at, 22)
        assert not box.reaches(engine.gateway, 90)
    with Answerer(box, "box", 80):
        assert web.fetch(answer.endpoint.ip_address, 80).startswith("box "), "answers pass"


def test_names(engine: Engine, far: None) -> None:
    outside = Outside(engine.neighbour, FAR)
    try:
        for net in made_network(engine, "net"):
            box, answer = engine.attach(network=net, name="box", dns=[FAR])
            web, at = engine.attach(network=net, name="web")
            owner = answer.endpoint.owner
            set_policy(
                engine, owner, "deny", rule("allow", "dns:*.good.example"), rule("allow", "dns:web")
            )
            assert ask(box, "bad.example").rcode() == dns.rcode.NXDOMAIN
            assert ask(box, "good.example").rcode() == dns.rcode.NXDOMAIN
            assert get_policy(engine, owner).denied_names == 2
            with Answerer(web, "web", 80):
                assert not box.reaches(at.endpoint.ip_address, 80), "nobody asked for its name"
                assert texts(box, "web") == [at.endpoint.ip_address]
                assert box.fetch(at.endpoint.ip_address, 80).startswith("web ")
            assert texts(box, "www.good.example") == ["198.51.100.1"]
            sets = engine.host.run("nft list ruleset")
            assert "198.51.100.1 timeout 1m30s" in sets
            assert "size 4096" in sets, "names do not fill the kernel's memory"
            assert outside.asked == ["www.good.example."], "nothing else left the host"
    finally:
        outside.close()


def test_what_is_known_is_not_learned_again(engine: Engine) -> None:
    for net in made_network(engine, "net"):
        box, answer = engine.attach(network=net, name="box")
        _, at = engine.attach(network=net, name="web")
        owner, address = answer.endpoint.owner, at.endpoint.ip_address
        table = f"inet {engine.instance}-policy-{owner.partition('/')[2]}"
        for _ in range(2):
            set_policy(engine, owner, "deny", rule("allow", "dns:web"))
            assert texts(box, "web") == [address]
            # Each change of the kernel's is one that others wait for.
            engine.host.run(f"nft delete element {table} rule0_4 '{{ {address} }}'")
            assert texts(box, "web") == [address]
            assert address not in engine.host.run(f"nft list set {table} rule0_4")


def reached(box: Namespace) -> tuple[bool, bool]:
    return box.reaches(FAR, 81), box.reaches(FAR, 82)


def test_a_policy_is_there_from_the_first_packet_and_for_each_life(
    engine: Engine, far: None
) -> None:
    owner = "container/early"
    set_policy(engine, owner, "deny", rule("allow", port=82))
    for _ in range(2):
        box, _ = engine.attach(owner=owner)
        assert reached(box) == (False, True)
        engine.stub.Detach(pb.DetachRequest(owner=owner))
        assert "policy" not in engine.host.run("nft list tables")
    engine.stub.RemovePolicy(pb.RemovePolicyRequest(owner=owner))


def test_a_policy_survives_the_service_and_a_flush(own_engine: Engine) -> None:
    engine = own_engine
    with Answerer(engine.neighbour, "a", 81), Answerer(engine.neighbour, "b", 82):
        box, answer = engine.attach()
        set_policy(engine, answer.endpoint.owner, "deny", rule("allow", port=82))
        engine.service.stop(signal.SIGKILL)
        assert reached(box) == (False, True)
        engine.host.call(engine.service.start)
        assert reached(box) == (False, True)
        engine.host.run("nft flush ruleset")
        engine.reconcile()
        assert reached(box) == (False, True)
        assert engine.reconcile() == []
        engine.host.run(f"nft add table inet {engine.instance}-policy-lost")
        assert engine.reconcile() == [(f"{engine.instance}-policy-lost", "released")]


def test_a_policy_that_was_recorded_and_not_made(engine: Engine, far: None) -> None:
    box, answer = engine.attach()
    owner = answer.endpoint.owner
    set_policy(engine, owner, "allow", rule("deny", FAR, 82))
    assert engine.reconcile() == []
    assert reached(box) == (True, False)
    store = Store.open(engine.service.data / "network.db", MIGRATIONS)
    with store.transaction() as tx:  # as a service does that is killed here
        NetworkStore.set_policy(
            tx, owner, Policy("allow", (Rule("deny", f"{FAR}/32", first=81, last=81),))
        )
    store.close()
    assert engine.reconcile() == [(owner, "rebuilt")]
    assert reached(box) == (False, True)
    assert engine.reconcile() == []
    engine.stub.RemovePolicy(pb.RemovePolicyRequest(owner=owner))


def test_networks_on_which_no_policy_holds(engine: Engine) -> None:
    for lan in made_network(engine, "lan", driver="macvlan"):
        box, answer = engine.attach(network=lan)
        with pytest.raises(grpc.RpcError) as caught:
            set_policy(engine, answer.endpoint.owner, "deny")
        assert isinstance(from_rpc_error(caught.value), PolicyUnsupported)
        with pytest.raises(grpc.RpcError):
            get_policy(engine, answer.endpoint.owner)
        for network in (lan, "host"):
            owner = engine.owner()
            set_policy(engine, owner, "deny")
            request = pb.AttachRequest(owner=owner, network=network)
            if network == lan:
                request.netns_path = box.path
            with pytest.raises(grpc.RpcError) as caught:
                engine.stub.Attach(request)
            assert isinstance(from_rpc_error(caught.value), PolicyUnsupported)
            request.network, request.netns_path = "none", box.path
            engine.stub.Attach(request)  # where nothing can be sent
            engine.stub.Detach(pb.DetachRequest(owner=owner))
            engine.stub.RemovePolicy(pb.RemovePolicyRequest(owner=owner))
        engine.stub.Detach(pb.DetachRequest(owner=answer.endpoint.owner))


@pytest.mark.parametrize(
    ("default", "wrong"),
    [
        ("maybe", rule("allow")),
        ("deny", rule("perhaps")),
        ("deny", rule("allow", "everything")),
        ("deny", rule("allow", "dns:")),
        ("deny", rule("allow", "dns:*")),
        ("deny", rule("allow", "dns:a b")),
        ("deny", rule("allow", port=70000)),
        ("deny", pb.PolicyRule(action="allow", port=2, port_last=1)),
        ("deny", rule("allow", protocol="icmp")),
    ],
)
def test_what_is_no_policy(engine: Engine, default: str, wrong: pb.PolicyRule) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        set_policy(engine, "container/box", default, wrong)
    assert isinstance(from_rpc_error(caught.value), InvalidArgument)
    with pytest.raises(grpc.RpcError) as caught:
        get_policy(engine, "container/box")
    assert isinstance(from_rpc_error(caught.value), PolicyNotFound)
