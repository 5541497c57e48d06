"""What statuses and headers mean."""

from __future__ import annotations

import datetime
import email.utils

import pytest

from scow.contract.errors import RegistryRateLimited, RegistryUnavailable
from scow.image.registry_client.errors import ComeBack, retry_after, unavailable
from scow.image.registry_client.retry import patiently


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0), ("7", 7), ("1.5", 1.5), ("-3", 0), ("", None), ("soon", None), ("nan", None)],
)
def test_retry_after_in_seconds(value: str, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=100)
    found = retry_after(email.utils.format_datetime(later, usegmt=True))
    assert found is not None
    assert 90 < found <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 -0000") == 0


async def test_failures_are_counted_anew_after_progress() -> None:
    reached = 0

    async def attempt() -> int:
        nonlocal reached
        reached += 1
        if reached < 5:
            raise ComeBack("host", 0.0)
        return reached

    assert await patiently(attempt, retries=1, longest_wait=1, progress=lambda: reached) == 5


async def test_what_lasts_is_raised() -> None:
    attempts = 0

    async def attempt() -> None:
        nonlocal attempts
        attempts += 1
        raise ComeBack("host", 0.0)

    with pytest.raises(RegistryRateLimited):
        await patiently(attempt, retries=2, longest_wait=1)
    assert attempts == 3

    async def slow() -> None:
        raise ComeBack("host", 2.0)

    with pytest.raises(RegistryRateLimited) as caught:
        await patiently(slow, retries=2, longest_wait=1)
    assert caught.value.metadata["retry_after"] == "2"

    async def broken() -> None:
        raise unavailable("host", TimeoutError())

    with pytest.raises(RegistryUnavailable, match="in time"):
        await patiently(broken, retries=0, longest_wait=1)
