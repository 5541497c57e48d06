"""What names mean, while containers come and go."""

from __future__ import annotations

import ipaddress

import dns.message
import dns.reversename

from scow.network.dns import message
from scow.network.dns.records import Member, Records


def member(number: int, *names: str, network: str = "n", domain: str = "net") -> Member:
    texts = (f"10.0.0.{number}", f"fd00::{number}")
    return Member(f"e{number}", network, domain, names, tuple(map(ipaddress.ip_address, texts)))


def ask(
    records: Records, name: str, kind: str = "A", networks: tuple[str, ...] = ("n",)
) -> list[str]:
    """Return the records that there are of a name; it is an error if there is no such name."""
    query = message.parse(dns.message.make_query(name, kind).to_wire())
    node = records.find(networks, query.name)
    assert node is not None
    answer = dns.message.from_wire(message.answer(query, node.records(query.kind)))
    return [str(one) for found in answer.answer for one in found]


def knows(records: Records, name: str, networks: tuple[str, ...] = ("n",)) -> bool:
    return records.find(networks, message.name_to_wire(name)) is not None


def test_names_addresses_and_back() -> None:
    records = Records()
    records.put(member(2, "web", "www", "0123456789ab"))
    for name in ("web", "WWW", "0123456789ab", "web.net", "www.net"):
        assert ask(records, name) == ["10.0.0.2"]
        assert ask(records, name, "AAAA") == ["fd00::2"]
    assert sorted(ask(records, "web", "ANY")) == ["10.0.0.2", "fd00::2"]
    assert ask(records, "web", "MX") == []
    for address in ("10.0.0.2", "fd00::2"):
        name = dns.reversename.from_address(address).to_text()
        assert ask(records, name, "PTR") == ["web.net."]
    assert not knows(records, "net")
    assert not knows(records, "web.other")


def test_a_name_of_several_gives_each_in_turn() -> None:
    records = Records()
    for number in (2, 3, 4):
        records.put(member(number, f"c{number}", "app"))
    answers = [ask(records, "app") for _ in range(6)]
    assert {answer[0] for answer in answers} == {"10.0.0.2", "10.0.0.3", "10.0.0.4"}
    assert all(len(answer) == 3 for answer in answers)
    records.remove("e3")
    assert set(ask(records, "app")) == {"10.0.0.2", "10.0.0.4"}


def test_who_is_gone_is_forgotten_at_once_and_whole() -> None:
    records = Records()
    records.put(member(2, "web"))
    records.remove("e2")
    records.remove("e2")
    for name in ("web", "web.net", "2.0.0.10.in-addr.arpa"):
        assert not knows(records, name)


def test_names_change() -> None:
    records = Records()
    records.put(member(2, "web"))
    records.put(member(2, "shop"))
    assert not knows(records, "web")
    records.replace([member(3, "shop"), member(4, "db")])
    assert ask(records, "shop") == ["10.0.0.3"]
    assert ask(records, "db") == ["10.0.0.4"]


def test_networks_are_apart() -> None:
    records = Records()
    records.put(member(2, "web"))
    records.put(member(3, "web", network="m", domain="other"))
    assert ask(records, "web", networks=("n",)) == ["10.0.0.2"]
    assert ask(records, "web", networks=("m", "n")) == ["10.0.0.3"]
    assert ask(records, "web.net", networks=("m", "n")) == ["10.0.0.2"]
    assert not knows(records, "web.other", ("n",))
    assert not knows(records, "web", ())


def test_names_that_dns_has_no_form_for() -> None:
    records = Records()
    records.put(member(2, "w" * 70, "web"))
    assert ask(records, "web") == ["10.0.0.2"]
