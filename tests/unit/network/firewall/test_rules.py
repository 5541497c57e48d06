import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from scow.network import gateway_modes
from scow.network.firewall import elements, rules
from scow.network.firewall.elements import Bridge, BridgeElement, PortElement, Published
from scow.network.ipam.addresses import IPV4, IPV6
from scow.network.ports.port_mapping import Publish

BRIDGES = [Bridge("scow0", ip_network("10.200.0.0/16"))]
PUBLISHED = [
    Published(ip_address("10.200.0.2"), Publish("0.0.0.0", 8080, 80, "tcp", 1)),
    Published(ip_address("10.200.0.3"), Publish("127.0.0.1", 9000, 9000, "udp", 10)),
]


def listing(commands: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what libnftables would list after these commands."""
    listed: list[dict[str, Any]] = [{"metainfo": {}}]
    maps: dict[str, dict[str, Any]] = {}
    kinds: dict[str, str] = {}
    for command in commands:
        added: dict[str, Any] = command.get("add", {})
        kind = next(iter(added), "")
        described: dict[str, Any] = added.get(kind, {})
        if kind in ("map", "set"):
            maps[described["name"]] = {**described}
            kinds[described["name"]] = kind
        elif kind == "element":
            maps[described["name"]].setdefault("elem", []).extend(described["elem"])
        elif kind:
            listed.append({kind: {**described, "handle": 1}})
    return listed + [{kinds[name]: described} for name, described in maps.items()]


def test_ports_that_stay_the_same_are_one_interval() -> None:
    assert elements.of_ports(PUBLISHED[1:]) == [
        PortElement("direct", "127.0.0.1", "udp", 9000, 9009, "10.200.0.3")
    ]


def test_ports_that_change_are_single() -> None:
    found = elements.of_ports(
        [Published(ip_address("10.200.0.2"), Publish("0.0.0.0", 8080, 80, "tcp", 2))]
    )
    assert found == [
        PortElement("moved_address", "0.0.0.0", "tcp", 8080, 8080, "10.200.0.2"),
        PortElement("moved_port", "0.0.0.0", "tcp", 8080, 8080, 80),
        PortElement("moved_address", "0.0.0.0", "tcp", 8081, 8081, "10.200.0.2"),
        PortElement("moved_port", "0.0.0.0", "tcp", 8081, 8081, 81),
    ]


def test_elements_survive_the_way_through_json() -> None:
    commands = rules.build(IPV4, "t", BRIDGES, PUBLISHED)
    listed = json.loads(json.dumps(listing(commands)))
    wanted = {*elements.of_ports(PUBLISHED), *elements.of_bridges(BRIDGES)}
    assert set(elements.parse(listed, IPV4)) == wanted


def test_protocols_are_read_by_name_and_by_number() -> None:
    commands = rules.build(IPV4, "t", BRIDGES, PUBLISHED)
    numbers = json.dumps(listing(commands))
    names = numbers.replace(", 6, ", ', "tcp", ').replace(", 17, ", ', "udp", ')
    assert names != numbers
    for text in (names, numbers):
        assert set(elements.parse(json.loads(text), IPV4)) >= set(elements.of_ports(PUBLISHED))


def test_deleting_names_keys_alone() -> None:
    [command] = elements.change(IPV4, "t", "delete", elements.of_ports(PUBLISHED[1:]))
    [entry] = command["delete"]["element"]["elem"]
    assert entry == {"concat": ["127.0.0.1", 17, {"range": [9000, 9009]}]}


def test_the_table_is_replaced_in_one_transaction() -> None:
    commands = rules.build(IPV4, "t", BRIDGES, [])
    head = {"table": {"family": "ip", "name": "t"}}
    assert commands[:3] == [{"add": head}, {"delete": head}, {"add": head}]
    tables = {next(iter(c["add"].values())).get("table") for c in commands[3:]}
    assert tables == {"t"}


def test_a_table_as_it_must_be_differs_in_nothing() -> None:
    listed = listing(rules.build(IPV4, "t", BRIDGES, PUBLISHED))
    assert rules.differences(IPV4, listed, BRIDGES, PUBLISHED) == ""


@pytest.mark.parametrize("kind", ["rule", "chain"])
def test_each_missing_part_is_seen(kind: str) -> None:
    listed = listing(rules.build(IPV4, "t", BRIDGES, PUBLISHED))
    parts = [entry for entry in listed if kind in entry]
    assert parts
    for part in parts:
        rest = [entry for entry in listed if entry is not part]
        assert rules.differences(IPV4, rest, BRIDGES, PUBLISHED), part


def test_other_ports_are_seen() -> None:
    listed = listing(rules.build(IPV4, "t", BRIDGES, PUBLISHED))
    assert rules.differences(IPV4, listed, BRIDGES, PUBLISHED[:1]) == "published ports were changed"
    assert rules.differences(IPV4, listed, BRIDGES, []) == "published ports were changed"


def test_other_subnets_are_seen() -> None:
    listed = listing(rules.build(IPV4, "t", BRIDGES, []))
    other = [Bridge("scow0", ip_network("10.201.0.0/16"))]
    assert rules.differences(IPV4, listed, other, []) == "networks were changed"


def test_no_table() -> None:
    assert rules.differences(IPV4, None, BRIDGES, []) == "the table was missing"


def test_without_a_subnet_of_its_family_there_is_no_table() -> None:
    head = {"table": {"family": "ip6", "name": "t"}}
    assert rules.build(IPV6, "t", [], []) == [{"add": head}, {"delete": head}]
    assert rules.differences(IPV6, None, [], []) == ""
    assert rules.differences(IPV6, [], [], []) == "the table had no network"


def test_ipv6_is_the_same_in_other_words() -> None:
    bridges = [Bridge("scow0", ip_network("fd00::/64"))]
    published = [Published(ip_address("fd00::2"), Publish("::", 8080, 80, "tcp", 1))]
    listed = listing(rules.build(IPV6, "t", bridges, published))
    assert rules.differences(IPV6, listed, bridges, published) == ""
    assert rules.differences(IPV6, listed, bridges, []) == "published ports were changed"
    text = json.dumps(listed)
    assert "127.0.0" not in text
    assert '"ip"' not in text


GUARDED = Publish("0.0.0.0", 8080, 8080, "tcp", 2, ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"))


def test_ports_that_not_everybody_may_use() -> None:
    found = elements.of_ports([Published(ip_address("10.200.0.2"), GUARDED)])
    place = ("0.0.0.0", "tcp", 8080, 8081)
    assert found == [
        PortElement("guarded", *place, ""),
        PortElement("allowed", *place, "10.0.0.0/8"),
        PortElement("allowed", *place, "192.0.2.7/32"),
        PortElement("direct", *place, "10.200.0.2"),
    ]
    everybody = Publish("0.0.0.0", 8080, 8080, "tcp", 1, ("0.0.0.0/0",))
    assert len(elements.of_ports([Published(ip_address("10.200.0.2"), everybody)])) == 1


def test_who_may_use_ports_survives_the_way_through_json() -> None:
    published = [Published(ip_address("10.200.0.2"), GUARDED)]
    listed = json.loads(json.dumps(listing(rules.build(IPV4, "t", BRIDGES, published))))
    assert set(elements.parse(listed, IPV4)) >= set(elements.of_ports(published))
    assert rules.differences(IPV4, listed, BRIDGES, published) == ""
    open_to_all = [Published(ip_address("10.200.0.2"), Publish("0.0.0.0", 8080, 8080, "tcp", 2))]
    assert rules.differences(IPV4, listed, BRIDGES, open_to_all) == "published ports were changed"


@pytest.mark.parametrize(
    ("listed", "block"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ({"prefix": {"addr": "10.0.0.0", "len": 8}}, "10.0.0.0/8"),
        ({"range": ["10.0.0.0", "10.0.0.3"]}, "10.0.0.0/30"),
    ],
)
def test_blocks_are_listed_in_several_forms(listed: Any, block: str) -> None:
    assert elements._listed_prefix(listed, IPV4) == block


def test_rules_do_not_grow_with_networks() -> None:
    def grown(number: int) -> int:
        many = [Bridge(f"br{n}", ip_network(f"10.{n}.0.0/16")) for n in range(number)]
        return sum("rule" in c.get("add", {}) for c in rules.build(IPV4, "t", many, []))

    assert grown(1) == grown(200)


def elements_of(**fields: Any) -> set[BridgeElement]:
    bridge = Bridge("b", ip_network("10.1.0.0/16"), **fields)
    return set(elements.of_bridges([bridge]))


def test_what_a_bridge_may_be() -> None:
    subnet = "10.1.0.0/16"
    plain = elements_of()
    assert {
        BridgeElement("into", ("b",), "protected"),
        BridgeElement("masqueraded", (subnet,)),
    } < plain
    assert BridgeElement("among", ("b", "b"), "accept") in plain
    assert BridgeElement("among", ("b", "b"), "protected") in elements_of(icc=False)
    inner = elements_of(internal=True)
    assert {BridgeElement("into", ("b",), "drop"), BridgeElement("from", ("b",), "drop")} < inner
    assert BridgeElement("masqueraded", (subnet,)) not in inner
    own = elements_of(snat="192.0.2.9")
    assert BridgeElement("sources", (subnet,), "192.0.2.9") in own
    routed = elements_of(mode=gateway_modes.ROUTED)
    assert BridgeElement("into", ("b",), "routed") in routed
    assert not any(element.map in ("masqueraded", "sources") for element in routed)
    reached = elements_of(mode=gateway_modes.UNPROTECTED)
    assert BridgeElement("into", ("b",), "unprotected") in reached


def test_what_is_routed_is_open_at_the_containers_address() -> None:
    where = ip_address("10.1.0.2")
    some = Publish("0.0.0.0", 8080, 80, "tcp", 2, ("192.0.2.0/24", "2001:db8::/32"))
    assert elements.of_ports([Published(where, some, routed=True)]) == [
        PortElement("opened_to", "10.1.0.2", "tcp", 80, 81, "192.0.2.0/24")
    ]
    everybody = Published(where, Publish("0.0.0.0", 8080, 80, "tcp", 1), routed=True)
    assert elements.of_ports([everybody]) == [PortElement("opened", "10.1.0.2", "tcp", 80, 80, "")]
