"""Policies as records: read, kept, and asked about names."""

from __future__ import annotations

from scow.api.network.v1 import network_pb2 as pb
from scow.network.policy import model
from scow.network.policy.model import Policy, Rule

MESSAGE = pb.Policy(
    owner="container/a",
    default_action="deny",
    rules=[
        pb.PolicyRule(action="deny", to="10.1.2.3/8", port=80, port_last=90, protocol="tcp"),
        pb.PolicyRule(action="allow", to="dns:*.Example.org."),
        pb.PolicyRule(action="allow", to="2001:db8::1", port=53),
        pb.PolicyRule(action="allow", to="all", protocol="udp"),
    ],
)
POLICY = Policy(
    "deny",
    (
        Rule("deny", "10.0.0.0/8", "", "tcp", 80, 90),
        Rule("allow", "", "*.example.org"),
        Rule("allow", "2001:db8::1/128", "", "", 53, 53),
        Rule("allow", "", "", "udp"),
    ),
)


def test_a_policy_is_read_kept_and_told() -> None:
    assert model.check(MESSAGE) == POLICY
    assert model.from_json(model.to_json(POLICY)) == POLICY
    assert model.check(model.to_proto("container/a", POLICY)) == POLICY


def test_names() -> None:
    assert POLICY.allows_name("www.example.org")
    assert POLICY.rules_of_name("www.example.org") == [1]
    for name in ("example.org", "badexample.org", "example.org.evil", ""):
        assert not POLICY.allows_name(name)
        assert POLICY.rules_of_name(name) == []
    first = Policy("allow", (Rule("deny", name="a.b"), Rule("allow", name="a.b")))
    assert not first.allows_name("a.b")
    assert first.allows_name("c.b")
    assert first.rules_of_name("a.b") == [0, 1]
