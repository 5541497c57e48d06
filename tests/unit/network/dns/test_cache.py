"""Answers that are kept, for as long as they say."""

from __future__ import annotations

import dns.message

from scow.network.dns import message
from scow.network.dns.cache import Cache
from tests.unit.network.dns.test_message import reply, wire


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_gets_older_and_ends() -> None:
    clock = Clock()
    cache = Cache(clock=clock)
    cache.put("key", reply(wire("a.b"), "a.b. 60 IN A 10.0.0.2"))
    clock.now += 20
    kept = cache.get("key")
    assert kept is not None
    assert dns.message.from_wire(kept).answer[0].ttl == 40
    clock.now += 40
    assert cache.get("key") is None
    assert cache.get("other") is None


def test_what_is_not_kept() -> None:
    cache = Cache()
    asked = wire("a.b")
    cache.put("nothing said", reply(asked))
    cache.put("failed", reply(asked, "b. 60 IN SOA a. a. 1 1 1 1 60", rcode=2))
    cut = bytearray(reply(asked, "a.b. 60 IN A 10.0.0.2"))
    cut[2] |= 2
    cache.put("cut", bytes(cut))
    cache.put("rubbish", message.refusal(message.parse(asked), 0)[:7] + b"\1" + b"\0" * 40)
    cache.put("for no time", reply(asked, "a.b. 0 IN A 10.0.0.2"))
    for key in ("nothing said", "failed", "cut", "rubbish", "for no time"):
        assert cache.get(key) is None


def test_that_there_is_no_such_name_is_kept() -> None:
    cache = Cache()
    cache.put("key", reply(wire("a.b"), "b. 60 IN SOA a. a. 1 1 1 1 60", rcode=3))
    assert cache.get("key") is not None


def test_what_was_not_used_goes_first() -> None:
    cache = Cache(size=5000)
    answer = reply(wire("a.b"), "a.b. 60 IN A 10.0.0.2")
    cache.put("used", answer)
    for number in range(50):
        assert cache.get("used") is not None
        cache.put(number, answer)
    assert cache.get(0) is None
    assert cache.get(49) is not None
