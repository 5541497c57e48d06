"""What sets of rules have been told."""

from __future__ import annotations

import ipaddress

from scow.network.ipam.addresses import Address
from scow.network.policy.learned import Learned

A, B = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")


def tell(
    learned: Learned, owner: str, number: int, addresses: list[Address], seconds: int
) -> list[Address]:
    found = learned.new(owner, number, addresses, seconds)
    learned.told(owner, number, found, seconds)
    return found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_there_is_not_told_again_before_half_its_time() -> None:
    clock = Clock()
    learned = Learned(clock)
    assert tell(learned, "box", 0, [A, B, A], 90) == [A, B]
    clock.now += 44
    assert tell(learned, "box", 0, [A], 90) == []
    assert tell(learned, "box", 1, [A], 90) == [A], "another rule"
    assert tell(learned, "other", 0, [A], 90) == [A], "another container"
    assert tell(learned, "box", 0, [A], 900) == [A], "for longer"
    clock.now += 1
    assert tell(learned, "box", 0, [A, B], 90) == [B]
    learned.forget("box")
    assert tell(learned, "box", 0, [A, B], 90) == [A, B]


def test_what_is_remembered_is_bounded() -> None:
    learned = Learned(Clock())
    many = [ipaddress.ip_address(number) for number in range(20_000)]
    for first in range(0, len(many), 64):
        tell(learned, "box", 0, many[first : first + 64], 90)
    assert learned.new("box", 0, many[:1], 90) == many[:1]
