import asyncio
import struct

import pytest

from scow.contract.errors import NetworkNotFound
from scow.network.kernel.watch import DELETED_TABLES, ROUTES, Watch, has_message

NEW_TABLE, DELETED_TABLE, NEW_RULE = 0xA00, 0xA02, 0xA06


def messages(*kinds: int) -> bytes:
    return b"".join(struct.pack("=IHHII", 21, kind, 0, 0, 0) + bytes(8) for kind in kinds)


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        ((), False),
        ((NEW_TABLE, NEW_RULE), False),
        ((DELETED_TABLE,), True),
        ((NEW_RULE, NEW_TABLE, DELETED_TABLE), True),
    ],
)
def test_deleted_tables_are_found(kinds: tuple[int, ...], found: bool) -> None:
    assert has_message(messages(*kinds), DELETED_TABLES.kinds) is found


def test_a_damaged_message_ends() -> None:
    assert not has_message(struct.pack("=IHHII", 0, NEW_RULE, 0, 0, 0) * 3, ROUTES.kinds)


async def test_what_fails_once_is_called_again_and_ends_quietly() -> None:
    called: asyncio.Queue[None] = asyncio.Queue()

    async def fail() -> None:
        called.put_nowait(None)
        raise NetworkNotFound("gone meanwhile")

    watch = Watch(ROUTES, fail)
    for _ in range(2):
        watch._schedule()
        async with asyncio.timeout(10):
            await called.get()
            assert watch._task is not None
            await asyncio.wait([watch._task])
    await watch.close()
