"""Whose turn it is to have a password checked, and who has to wait."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from scow.image.registry_server.auth.attempts import Attempts, network_of
from scow.image.registry_server.http.connections import Doors
from scow.image.registry_server.http.errors import Refusal


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def try_wrong(attempts: Attempts, address: str) -> bool:
    """Return whether an attempt, which is wrong, was let through."""
    try:
        async with attempts.turn(address):
            attempts.wrong(address)
    except Refusal as refusal:
        assert (refusal.code, refusal.status) == ("TOOMANYREQUESTS", 429)
        assert int(refusal.headers["Retry-After"]) >= 1
        return False
    return True


async def test_an_address_that_was_wrong_often_waits_and_no_other() -> None:
    clock = Clock()
    attempts = Attempts(clock)
    assert [await try_wrong(attempts, "a") for _ in range(12)] == [True] * 10 + [False] * 2
    assert await try_wrong(attempts, "b")
    clock.now += 7
    assert [await try_wrong(attempts, "a") for _ in range(2)] == [True, False]
    clock.now += 1000
    assert [await try_wrong(attempts, "a") for _ in range(11)] == [True] * 10 + [False]


async def test_addresses_take_turns() -> None:
    attempts = Attempts()
    order: list[str] = []

    async def check(address: str) -> None:
        async with attempts.turn(address):
            order.append(address)
            await asyncio.sleep(0)

    many = [asyncio.create_task(check("many")) for _ in range(10)]
    await asyncio.sleep(0)
    one = asyncio.create_task(check("one"))
    other = asyncio.create_task(check("other"))
    await asyncio.gather(*many, one, other)
    assert max(order.index("one"), order.index("other")) <= 4
    assert order.count("many") == 10


async def test_attempts_of_one_address_do_not_heap_up() -> None:
    attempts = Attempts()
    async with attempts.turn("a"):
        waiting = [asyncio.create_task(try_wrong(attempts, "a")) for _ in range(17)]
        await asyncio.sleep(0)
    assert [await each for each in waiting][16] is False


async def test_one_that_goes_away_gives_its_turn_back() -> None:
    attempts = Attempts()

    async def check() -> None:
        async with attempts.turn("a"):
            await asyncio.sleep(0)

    for wait in range(4):
        async with attempts.turn("a"):
            waiting = [asyncio.create_task(check()) for _ in range(3)]
            await asyncio.sleep(0)
            if wait % 2:
                waiting[0].cancel()
        for _ in range(wait):
            await asyncio.sleep(0)
        waiting[1].cancel()
        for task in waiting:
            with contextlib.suppress(asyncio.CancelledError):
                await task
    async with asyncio.timeout(5):
        await check()


async def test_memory_is_bounded() -> None:
    attempts = Attempts(Clock())
    for number in range(5000):
        await try_wrong(attempts, f"10.0.{number // 256}.{number % 256}")
    assert len(attempts._whole_at) == 4096


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


class Connection(asyncio.Transport):
    """A connection from an address."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 1)})
        self.aborted = False

    def abort(self) -> None:
        self.aborted = True


async def test_connections_of_one_address_are_bounded() -> None:
    doors = Doors(10, 3, 60)
    same = [Connection("2001:db8::1"), Connection("2001:db8::2"), Connection("2001:db8::3")]
    for connection in same:
        doors.enter(connection)
    further, other = Connection("2001:db8::4"), Connection("192.0.2.1")
    doors.enter(further)
    doors.enter(other)
    assert [each.aborted for each in (*same, further, other)] == [False] * 3 + [True, False]
    doors.leave(further)
    doors.leave(same[0])
    again = [Connection("2001:db8::5"), Connection("2001:db8::6")]
    for connection in again:
        doors.enter(connection)
    assert [each.aborted for each in again] == [False, True]
    for connection in (*same[1:], *again, other):
        doors.leave(connection)
    assert not doors._counts
