"""The conversation with the client of a build, of which several parts ask at the same time."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.api.image.v1.image_pb2 import Auth
from scow.api.image.v1.layer_pb2 import Layer
from scow.build.cache import folder as folders
from scow.build.cache.folder import ClientFolder
from scow.build.context.session import Session
from scow.contract.errors import LimitExceeded
from scow.core.archive.read.streams import Feed
from scow.words import build_cache

CREDENTIALS = pb.BuildRequest(
    credentials=pb.BuildRequest.Credentials(registry="r.example", auth=Auth(username="me"))
)


async def test_two_who_ask_for_the_same_get_an_answer_each() -> None:
    asking: list[asyncio.Task[Auth | None]] = []

    async def client() -> AsyncIterator[pb.BuildRequest]:
        await session.outgoing()
        yield CREDENTIALS
        await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
        await session.outgoing()
        yield CREDENTIALS
        await asyncio.wait(asking)

    session = Session(client())
    asking += [asyncio.create_task(session.credentials("r.example")) for _ in range(2)]
    await session.read()
    assert [auth and auth.username for auth in await asyncio.gather(*asking)] == ["me", "me"]


async def test_a_file_that_is_too_long_leaves_the_conversation_alone(tmp_path: Path) -> None:
    async def client() -> AsyncIterator[pb.BuildRequest]:
        want = (await session.outgoing()).want_cache_file
        piece = pb.BuildRequest.CacheFile(cache=0, path=want.path, chunk=bytes(1 << 20))
        for _ in range(40):
            yield pb.BuildRequest(cache_file=piece)
        await session.outgoing()
        yield CREDENTIALS

    session = Session(client())
    reading = asyncio.create_task(session.read())
    option = build_cache.parse_from("type=local,src=folder")
    with pytest.raises(LimitExceeded):
        await ClientFolder(session, 0, str(tmp_path)).image(option)
    async with asyncio.timeout(20):
        auth = await session.credentials("r.example")
        await reading
    assert auth is not None


@pytest.mark.parametrize(
    "index",
    [
        b"[" * 100_000,
        b'{"manifests": 5}',
        b'{"manifests": [{"annotations": ["x"]}, 5]}',
        b'{"manifests": [{"annotations": 5, "digest": 5}]}',
    ],
)
async def test_an_index_that_is_none(tmp_path: Path, index: bytes) -> None:
    async def client() -> AsyncIterator[pb.BuildRequest]:
        want = (await session.outgoing()).want_cache_file
        piece = pb.BuildRequest.CacheFile(cache=0, path=want.path, chunk=index, last=True)
        yield pb.BuildRequest(cache_file=piece)

    session = Session(client())
    reading = asyncio.create_task(session.read())
    option = build_cache.parse_from("type=local,src=folder")
    with pytest.raises(ValueError, match=r"\S"):
        await ClientFolder(session, 0, str(tmp_path)).image(option)
    await reading


async def test_a_layer_is_open_until_nobody_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, go, finished = threading.Event(), threading.Event(), threading.Event()
    read: list[bytes] = []

    def plain(file: Feed) -> tuple[None, Iterator[bytes]]:
        def pieces() -> Iterator[bytes]:
            started.set()
            go.wait(20)
            try:
                read.append(file.read(5))
            finally:
                finished.set()
            yield b"x"

        return None, pieces()

    async def client() -> AsyncIterator[pb.BuildRequest]:
        path = (await session.outgoing()).want_cache_file.path
        piece = pb.BuildRequest.CacheFile(cache=0, path=path, chunk=b"layer", last=True)
        yield pb.BuildRequest(cache_file=piece)

    async def unpack() -> None:
        digest = f"sha256:{hashlib.sha256(b'layer').hexdigest()}"
        layer = Layer(digest=digest)
        async for _ in ClientFolder(session, 0, str(tmp_path)).plain(layer):
            pass

    monkeypatch.setattr(folders, "plain", plain)
    session = Session(client())
    reading = asyncio.create_task(session.read())
    unpacking = asyncio.create_task(unpack())
    await asyncio.to_thread(started.wait, 20)
    unpacking.cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    go.set()
    await asyncio.to_thread(finished.wait, 20)
    await asyncio.gather(unpacking, reading, return_exceptions=True)
    assert read == [b"layer"]


async def test_a_layer_is_read_piece_by_piece(tmp_path: Path) -> None:
    data = bytes(8 << 20)

    async def client() -> AsyncIterator[pb.BuildRequest]:
        path = (await session.outgoing()).want_cache_file.path
        piece = pb.BuildRequest.CacheFile(cache=0, path=path, chunk=data, last=True)
        yield pb.BuildRequest(cache_file=piece)

    session = Session(client())
    reading = asyncio.create_task(session.read())
    layer = Layer(digest=f"sha256:{hashlib.sha256(data).hexdigest()}")
    pieces = [len(piece) async for piece in ClientFolder(session, 0, str(tmp_path)).plain(layer)]
    await reading
    assert sum(pieces) == len(data)
    assert max(pieces) <= 1 << 20
