"""Messages: read and written as dnspython does it, and whatever else comes in."""

from __future__ import annotations

import ipaddress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.network.dns import message
from scow.network.dns.message import MalformedError


def wire(name: str, kind: str = "A", **options: object) -> bytes:
    return dns.message.make_query(name, kind, **options).to_wire()  # type: ignore[arg-type]


def address(text: str) -> bytes:
    packed = ipaddress.ip_address(text).packed
    return message.record(message.A if len(packed) == 4 else message.AAAA, 5, packed)


def test_a_question_is_read() -> None:
    query = message.parse(wire("Web.Example."))
    assert message.name_of_wire(query.name) == "web.example"
    assert (query.kind, query.group, query.edns, query.size) == (message.A, message.IN, False, 512)


def test_what_edns_says_is_read() -> None:
    query = message.parse(wire("web", use_edns=0, payload=1400, want_dnssec=True))
    assert (query.edns, query.size, query.dnssec) == (True, 1400, True)
    assert message.parse(wire("web", use_edns=0, payload=65000)).size == message.MAX_UDP_SIZE
    assert message.parse(wire("web", use_edns=0, payload=20)).size == message.UDP_SIZE
    with pytest.raises(MalformedError) as caught:
        message.parse(wire("web", use_edns=1))
    assert caught.value.code == message.BADVERS


def test_an_answer_is_what_others_read() -> None:
    query = message.parse(wire("WEB", use_edns=0))
    made = message.answer(query, [address("10.0.0.2"), address("10.0.0.3")])
    answer = dns.message.from_wire(made)
    assert answer.id == query.identity
    assert answer.flags & dns.flags.AA
    assert answer.flags & dns.flags.RA
    assert answer.edns == 0
    [found] = answer.answer
    assert str(found.name) == "WEB."
    assert sorted(map(str, found)) == ["10.0.0.2", "10.0.0.3"]


def test_an_answer_without_an_address_of_the_family() -> None:
    answer = dns.message.from_wire(message.answer(message.parse(wire("web", "AAAA")), []))
    assert (answer.rcode(), answer.answer) == (dns.rcode.NOERROR, [])


def test_a_large_answer_is_cut() -> None:
    query = message.parse(wire("web"))
    records = [address(f"10.0.{n // 250}.{n % 250}") for n in range(300)]
    made = message.answer(query, records, query.size)
    assert len(made) <= 512
    answer = dns.message.from_wire(made)
    assert answer.flags & dns.flags.TC
    assert 25 < len(answer.answer[0]) < 35
    whole = dns.message.from_wire(message.answer(query, records))
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 300


def test_refusals() -> None:
    query = message.parse(wire("web", use_edns=0))
    assert dns.message.from_wire(message.refusal(query, 3)).rcode() == dns.rcode.NXDOMAIN
    made = rejected(wire("web", use_edns=1))
    assert made is not None
    assert dns.message.from_wire(made).rcode() == dns.rcode.BADVERS
    assert dns.message.from_wire(made).question
    made = rejected(wire("web")[:14])
    assert made is not None
    assert dns.message.from_wire(made).rcode() == dns.rcode.FORMERR
    assert rejected(made) is None, "an answer is not answered"
    assert rejected(b"\0" * 11) is None


def rejected(data: bytes) -> bytes | None:
    with pytest.raises(MalformedError) as caught:
        message.parse(data)
    return message.rejection(data, caught.value)


@pytest.mark.parametrize(
    "question",
    [
        b"\xc0\x0c\0\1\0\1",  # leads to itself
        b"\x40a\0\0\1\0\1",
        b"\x05ab\0",
        b"\x03www",
        b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\0\0\1\0\1",
        b"\0\0\1",
        b"",
    ],
)  # fmt: skip
def test_what_is_no_question(question: bytes) -> None:
    with pytest.raises(MalformedError) as caught:
        message.parse(bytes.fromhex("123401000001000000000000") + question)
    assert caught.value.code == message.FORMERR


def test_what_nobody_answers() -> None:
    update = bytes.fromhex("123428000001000000000000") + b"\0\0\6\0\1"
    with pytest.raises(MalformedError) as caught:
        message.parse(update)
    assert caught.value.code == message.NOTIMP


def test_a_question_is_passed_on_without_the_options_of_the_asker() -> None:
    query = message.parse(wire("web.example", use_edns=0, want_dnssec=True))
    passed = dns.message.from_wire(message.forwarded(query, 77))
    assert (passed.id, passed.edns, passed.payload) == (77, 0, message.OWN_SIZE)
    assert passed.ednsflags & dns.flags.DO
    assert passed.flags & dns.flags.RD


def reply(query: bytes, *records: str, rcode: int = 0) -> bytes:
    asked = dns.message.from_wire(query)
    made = dns.message.make_response(asked)
    made.set_rcode(dns.rcode.Rcode(rcode))
    section = made.authority if rcode else made.answer
    for text in records:
        name, ttl, group, kind, data = text.split(" ", 4)
        section.append(dns.rrset.from_text(name, int(ttl), group, kind, data))
    return made.to_wire(max_size=65535)


def test_whose_answer_it_is() -> None:
    query = message.parse(wire("web.example"))
    asked = message.forwarded(query, 77)
    answer = reply(asked, "web.example. 60 IN A 10.0.0.2")
    assert message.answers(answer, query, 77)
    assert not message.answers(answer, query, 78)
    assert not message.answers(asked, query, 77)
    other = message.parse(wire("web.exampla"))
    assert not message.answers(answer, other, 77)
    assert not message.answers(b"\0M", query, 77)


def test_how_long_an_answer_is_good() -> None:
    asked = wire("web.example")
    answer = reply(asked, "web.example. 60 IN A 10.0.0.2", "other.example. 30 IN A 10.0.0.2")
    life = message.lifetime(answer)
    assert life.seconds == 30
    older = dns.message.from_wire(message.aged(answer, life, 40))
    assert [found.ttl for found in older.answer] == [20, 0]
    soa = "example. 900 IN SOA ns.example. me.example. 1 2 3 4 77"
    assert message.lifetime(reply(asked, soa, rcode=3)).seconds == 77
    assert message.lifetime(reply(asked)).seconds == 0


def test_an_answer_is_given_back_as_the_question_was_written() -> None:
    query = message.parse(wire("WEB.example", id=5))
    given = reply(wire("web.example"), "web.example. 60 IN A 10.0.0.2")
    answer = dns.message.from_wire(message.returned(given, query))
    assert answer.id == 5
    assert answer.question[0].name.to_text() == "WEB.example."
    many = reply(wire("web.example"), *(f"web.example. 60 IN A 10.0.0.{n}" for n in range(99)))
    cut = message.returned(many, query, query.size)
    assert message.is_truncated(cut)
    assert len(cut) <= 512
    assert dns.message.from_wire(cut).answer == []


def test_names() -> None:
    assert message.name_to_wire("Web.net.") == b"\x03web\x03net\0"
    for wrong in ("", "a..b", "a" * 64, ".".join(["a" * 60] * 5), ".web"):
        with pytest.raises(ValueError, match="DNS"):
            message.name_to_wire(wrong)


_RUBBISH = st.binary(max_size=80).map(
    lambda tail: bytes.fromhex("1234010000010000000000") + b"\1" + tail
)


@given(st.one_of(st.binary(max_size=600), _RUBBISH))
def test_rubbish_is_refused_or_read(data: bytes) -> None:
    try:
        query = message.parse(data)
    except MalformedError as error:
        message.rejection(data, error)
        return
    assert len(message.answer(query, [address("10.0.0.2")] * 50, query.size)) <= query.size
    assert message.parse(message.forwarded(query, 1)).key == query.key


@given(st.binary(max_size=300), st.integers(0, 5))
def test_rubbish_in_answers(tail: bytes, count: int) -> None:
    query = message.parse(wire("web"))
    data = message.refusal(query, 0)
    data = data[:6] + bytes([0, count]) + data[8:] + tail
    try:
        life = message.lifetime(data)
    except MalformedError:
        return
    assert len(message.aged(data, life, 5)) == len(data)


def test_names_of_one_label() -> None:
    assert message.is_single(message.name_to_wire("web"))
    assert not message.is_single(message.name_to_wire("web.example"))
    assert not message.is_single(b"\0")
