"""What containers may send, as commands and as facts to compare with."""

from __future__ import annotations

import json
from ipaddress import ip_address
from typing import Any

from scow.network.firewall import spoofing
from scow.network.firewall.spoofing import Sender

WEB = Sender("t-00aa", "02:42:0a:00:00:02", (ip_address("10.0.0.2"), ip_address("fd00::2")))
FREE = Sender("t-00bb", "02:42:0a:00:00:03", (ip_address("10.0.0.3"),), free=True)


def listing(commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what libnftables would list after these commands."""
    sets: dict[str, dict[str, Any]] = {}
    listed: list[dict[str, Any]] = []
    for command in commands[2:]:
        [(kind, described)] = command.get("add", {"": {}}).items()
        if kind in ("set", "map"):
            sets[described["name"]] = {**described}
        elif kind == "element":
            sets[described["name"]].setdefault("elem", []).extend(described["elem"])
        else:
            listed.append({kind: described})
    held = [{"map" if "map" in each else "set": each} for each in sets.values()]
    found = json.loads(json.dumps([*listed, *held]))
    assert isinstance(found, list)
    return found


def test_a_sender_has_its_addresses_and_that_of_its_link() -> None:
    assert WEB.elements() == {
        ("macs", "t-00aa", "02:42:0a:00:00:02"),
        ("advertised", "t-00aa"),
        ("ipv4", "t-00aa", "10.0.0.2"),
        ("ipv6", "t-00aa", "fd00::2"),
        ("ipv6", "t-00aa", "fe80::42:aff:fe00:2"),
    }
    assert FREE.elements() == {("free", "t-00bb")}


def test_the_table_is_recognized_and_its_faults_are_told() -> None:
    senders = [WEB, FREE]
    listed = listing(spoofing.build("t", "t-", senders))
    assert spoofing.differences(listed, "t-", senders) == ""
    assert "missing" in spoofing.differences(None, "t-", senders)
    assert "rules" in spoofing.differences(listed, "x-", senders)
    assert "rules" in spoofing.differences(listed, "t-", senders[1:])
    other = Sender(WEB.link, WEB.mac, (ip_address("10.0.0.9"), *WEB.addresses[1:]))
    assert "addresses" in spoofing.differences(listed, "t-", [other, FREE])
    del listed[0]["table"], listed[2]["rule"]
    assert "rules" in spoofing.differences(listed, "t-", senders)
