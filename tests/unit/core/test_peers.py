"""What travels with a call from one service to another, whatever kind of call it is."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.struct_pb2 import Struct

from scow.core.actor import current_actor
from scow.core.admission import Admission
from scow.core.config import Config
from scow.core.interceptor import CallInterceptor
from scow.core.peers import Peers
from scow.core.trace import current_deadline, current_traceparent, remaining

_TRACE = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
_KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")


def _context() -> Struct:
    """Return what a handler knows of the call that it serves."""
    found = Struct()
    found.update(
        {
            "trace": current_traceparent.get(),
            "actor": current_actor.get(),
            "seconds": remaining(),
        }
    )
    return found


async def _answer(_: Any, __: Any) -> Struct:
    return _context()


async def _answers(_: Any, __: Any) -> AsyncIterator[Struct]:
    yield _context()


async def _requests() -> AsyncIterator[Empty]:
    yield Empty()


@pytest.fixture
async def channel(tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A channel as services have it, to a server as services have it."""
    config = Config(run=tmp_path)
    server = grpc.aio.server(interceptors=[CallInterceptor(Admission(10, 10))])
    handlers = {
        kind: getattr(grpc, f"{kind}_rpc_method_handler")(
            _answers if kind.endswith("stream") else _answer,
            Empty.FromString,
            Struct.SerializeToString,
        )
        for kind in _KINDS
    }
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("scow.api.test.v1.TestService", handlers),)
    )
    server.add_insecure_port(f"unix://{config.socket('image')}")
    await server.start()
    peers = Peers(config)
    yield peers.channel("image")
    await peers.close()
    await server.stop(None)


async def _called(channel: grpc.aio.Channel, kind: str) -> dict[str, Any]:
    """Return what the first message of the response has."""
    call = getattr(channel, kind)(
        f"/scow.api.test.v1.TestService/{kind}", Empty.SerializeToString, Struct.FromString
    )
    made = call(_requests() if kind.startswith("stream") else Empty())
    return dict(await (made.read() if kind.endswith("stream") else made))


@pytest.mark.parametrize("kind", _KINDS)
async def test_trace_actor_and_deadline_travel(channel: grpc.aio.Channel, kind: str) -> None:
    current_traceparent.set(_TRACE)
    current_actor.set("me")
    current_deadline.set(time.monotonic() + 50)
    found = await _called(channel, kind)
    assert (found["trace"], found["actor"]) == (_TRACE, "me")
    assert 0 < found["seconds"] < 60  # gRPC rounds up


@pytest.mark.parametrize("kind", _KINDS)
async def test_a_call_without_context(channel: grpc.aio.Channel, kind: str) -> None:
    found = await _called(channel, kind)
    assert found["trace"].startswith("00-")  # a new one
    assert found["seconds"] is None
