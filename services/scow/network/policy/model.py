"""A policy: rules that are looked at in order, and what holds where none of them does."""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import asdict, dataclass

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import InvalidArgument

ALLOW, DENY = "allow", "deny"
_PROTOCOLS = ("", "tcp", "udp", "sctp")
_DNS = "dns:"
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")
_MAX_RULES, _MAX_NAME, _MAX_PORT = 100, 253, 65535


@dataclass(frozen=True)
class Rule:
    """What is allowed or denied.

    Attributes:
        action: "allow" or "deny".
        block: Of addresses; empty means all, or those of the name.
        name: In lower case; "*.example.org" stands for all names below.
        protocol: Empty means all, or TCP, UDP and SCTP where there are ports.
        first: Of the ports; 0 means all.
        last: Of the ports.
    """

    action: str
    block: str = ""
    name: str = ""
    protocol: str = ""
    first: int = 0
    last: int = 0

    def is_of_name(self, name: str) -> bool:
        """Tell whether it is about a name in lower case."""
        if self.name.startswith("*."):
            return name.endswith(self.name[1:])
        return bool(self.name) and name == self.name


@dataclass(frozen=True)
class Policy:
    """A container's policy.

    Attributes:
        default: "allow" or "deny", for what no rule is about.
        rules: In order.
    """

    default: str
    rules: tuple[Rule, ...]

    def allows_name(self, name: str) -> bool:
        """Tell whether a name in lower case may be asked for."""
        for rule in self.rules:
            if rule.is_of_name(name):
                return rule.action == ALLOW
        return self.default == ALLOW

    def rules_of_name(self, name: str) -> list[int]:
        """Return the numbers of the rules that are about a name."""
        return [number for number, rule in enumerate(self.rules) if rule.is_of_name(name)]


def check(message: pb.Policy) -> Policy:
    """Return the policy of a message.

    Raises:
        InvalidArgument: Something in it cannot be meant.
    """
    if message.default_action not in (ALLOW, DENY):
        raise _invalid("default action", message.default_action, "allow or deny")
    if len(message.rules) > _MAX_RULES:
        raise _invalid("number of rules", str(len(message.rules)), f"{_MAX_RULES} at most")
    return Policy(message.default_action, tuple(map(_rule, message.rules)))


def _rule(message: pb.PolicyRule) -> Rule:
    if message.action not in (ALLOW, DENY):
        raise _invalid("action", message.action, "allow or deny")
    if message.protocol not in _PROTOCOLS:
        raise _invalid("protocol", message.protocol, "tcp, udp, sctp or none")
    last = message.port_last or message.port
    if not message.port <= last <= _MAX_PORT or (last and not message.port):
        raise _invalid("port", f"{message.port}-{last}", "1 to 65535")
    block, name = _target(message.to)
    return Rule(message.action, block, name, message.protocol, message.port, last)


def _target(text: str) -> tuple[str, str]:
    """Return block of addresses and name of a rule's target."""
    if text in ("", "all"):
        return "", ""
    if text.startswith(_DNS):
        name = text.removeprefix(_DNS).lower().rstrip(".")
        if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
            raise _invalid("name", text, "dns:example.org or dns:*.example.org")
        return "", name
    try:
        return str(ipaddress.ip_network(text, strict=False)), ""
    except ValueError:
        raise _invalid("target", text, "a block such as 192.0.2.0/24, dns:NAME, or all") from None


def to_proto(owner: str, policy: Policy) -> pb.Policy:
    """Return the message, without what was counted."""
    message = pb.Policy(owner=owner, default_action=policy.default)
    for rule in policy.rules:
        message.rules.add(
            action=rule.action,
            to=f"{_DNS}{rule.name}" if rule.name else rule.block or "all",
            protocol=rule.protocol,
            port=rule.first,
            port_last=rule.last,
        )
    return message


def to_json(policy: Policy) -> str:
    """Return the text that the database keeps."""
    return json.dumps({"default": policy.default, "rules": [asdict(r) for r in policy.rules]})


def from_json(text: str) -> Policy:
    """Return what `to_json` was given."""
    kept = json.loads(text)
    return Policy(kept["default"], tuple(Rule(**rule) for rule in kept["rules"]))


def _invalid(what: str, which: str, do: str) -> InvalidArgument:
    return InvalidArgument(
        f"invalid {what} of a policy: {which!r}", what=what, which=which, do=f"give {do}"
    )
