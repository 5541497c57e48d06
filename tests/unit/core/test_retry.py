import time

import grpc
import pytest

from scow.contract.errors import ImageNotFound, ServiceUnavailable
from scow.core import retry
from scow.core.trace import current_deadline


def away() -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), details="away"
    )


class Peer:
    def __init__(self, failures: int, error: Exception) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self.calls


async def test_a_service_that_comes_back() -> None:
    assert await retry.ask("image", Peer(2, away())) == 3


async def test_one_that_stays_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_SECONDS", 0.25)
    with pytest.raises(ServiceUnavailable):
        await retry.ask("image", Peer(99, away()))


async def test_patience_ends_with_the_callers_deadline() -> None:
    current_deadline.set(time.monotonic() + 0.15)
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable):
        await retry.ask("image", Peer(99, away()))
    assert time.monotonic() - began < 1


async def test_what_a_service_says_is_final() -> None:
    peer = Peer(1, ImageNotFound("no"))
    with pytest.raises(ImageNotFound):
        await retry.ask("image", peer)
    assert peer.calls == 1
