"""A service made of the bootstrap alone, driven over a real socket by bare grpc."""

import asyncio
import collections
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.api.volume.v1 import volume_pb2 as pb
from scow.api.volume.v1 import volume_pb2_grpc as pb_grpc
from scow.contract.channel import channel_options
from scow.contract.errors import (
    DETAILS_KEY,
    FailedPrecondition,
    TooManyCalls,
    VolumeNotFound,
    from_wire,
)
from scow.core.actor import current_actor
from scow.core.config import Config, ServerSection
from scow.core.peers import translated
from scow.core.server import Context, Wiring, serve
from scow.core.trace import current_traceparent, remaining

if TYPE_CHECKING:
    Stub = pb_grpc.VolumeServiceAsyncStub


class Servicer(pb_grpc.VolumeServiceServicer):
    def __init__(self, context: Context) -> None:
        self._context = context
        self.cleaned_up = asyncio.Event()
        self.release = asyncio.Event()
        self.begun: set[str] = set()

    async def Get(self, request: pb.GetRequest, context: Any) -> pb.GetResponse:  # noqa: N802
        self.begun.add("Get")
        if request.name == "defect":
            raise KeyError("x")
        if request.name == "slow":
            try:
                await self.release.wait()
            finally:
                self.cleaned_up.set()
        if request.name == "tidy":
            try:
                await self.release.wait()
            finally:
                await asyncio.sleep(0.1)
                self._context.store.one("SELECT 1")  # raises when it is closed
                self.cleaned_up.set()
        if request.name == "facts":
            labels = {
                "actor": current_actor.get(),
                "traceparent": current_traceparent.get(),
                "remaining": str(remaining()),
            }
            return pb.GetResponse(volume=pb.Volume(labels=labels))
        raise VolumeNotFound(f"no volume {request.name}", what="volume", which=request.name)

    async def Watch(  # noqa: N802
        self, request: pb.WatchRequest, context: Any
    ) -> AsyncIterator[pb.WatchResponse]:
        self.begun.add("Watch")
        try:
            async for response in self._context.journal.watch(request, pb.WatchResponse):
                yield response
        finally:
            self.cleaned_up.set()


class Running:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.reconciled = 0
        self.servicer: Servicer

    async def wire(self, context: Context) -> Wiring:
        self.servicer = Servicer(context)  # type: ignore[abstract]  # the rest is unimplemented

        async def reconcile() -> list[ReconcileAction]:
            self.reconciled += 1
            raise RuntimeError("cannot mend everything")

        return Wiring(
            register=lambda server: pb_grpc.add_VolumeServiceServicer_to_server(
                self.servicer, server
            ),
            reconcile=reconcile,
        )


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the other side of a socket
            await asyncio.sleep(0.01)


@asynccontextmanager
async def service(**section: Any) -> AsyncIterator[tuple[Running, "Stub", asyncio.Task[None]]]:
    with tempfile.TemporaryDirectory(prefix="scow") as folder:
        config = Config(
            root=Path(folder, "root"), run=Path(folder, "run"), server=ServerSection(**section)
        )
        running = Running(config)
        task = asyncio.create_task(serve("volume", config, (), running.wire))
        while not config.socket("volume").exists():
            await asyncio.sleep(0.01)
            assert not task.done(), task.exception()
        try:
            async with grpc.aio.insecure_channel(f"unix://{config.socket('volume')}") as channel:
                yield running, pb_grpc.VolumeServiceStub(channel), task
        finally:
            if not task.done():
                os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(task, 10)


async def test_errors_cross_the_wire_whole() -> None:
    async with service() as (_, stub, _task):
        with pytest.raises(VolumeNotFound) as caught, translated("volume"):
            await stub.Get(pb.GetRequest(name="v"))
        assert caught.value.metadata == {"what": "volume", "which": "v"}


async def test_a_defect_is_internal_and_names_the_method() -> None:
    async with service() as (_, stub, _task):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Get(pb.GetRequest(name="defect"))
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        details = dict(caught.value.trailing_metadata() or ())[DETAILS_KEY]
        assert isinstance(details, bytes)
        assert from_wire(13, "", details).which == "/scow.api.volume.v1.VolumeService/Get"


async def test_trace_actor_and_deadline_reach_the_domain() -> None:
    async with service() as (_, stub, _task):
        metadata = (("traceparent", "00-aa-bb-01"), ("scow-actor", "me"))
        response = await stub.Get(pb.GetRequest(name="facts"), metadata=metadata, timeout=5)
        labels = response.volume.labels
        assert (labels["actor"], labels["traceparent"]) == ("me", "00-aa-bb-01")
        assert 0 < float(labels["remaining"]) <= 5.1
        response = await stub.Get(pb.GetRequest(name="facts"))
        assert response.volume.labels["traceparent"].startswith("00-")
        assert response.volume.labels["remaining"] == "None"


async def test_a_client_that_leaves_or_is_late_cancels_the_call() -> None:
    async with service() as (running, stub, _task):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Get(pb.GetRequest(name="slow"), timeout=0.1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(running.servicer.cleaned_up.wait(), 2)
        running.servicer.cleaned_up.clear()
        stream = stub.Watch(pb.WatchRequest(from_revision=1))
        reading = asyncio.ensure_future(stream.read())
        await eventually(lambda: "Watch" in running.servicer.begun)
        stream.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        await asyncio.wait_for(running.servicer.cleaned_up.wait(), 2)


async def test_health_and_reflection_answer() -> None:
    async with service() as (running, _stub, _task):
        socket = running.config.socket("volume")
        assert socket.stat().st_mode & 0o777 == 0o660
        assert running.config.run.stat().st_mode & 0o777 == 0o750
        async with grpc.aio.insecure_channel(f"unix://{socket}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            status = await health.Check(health_pb2.HealthCheckRequest())
            assert status.status == health_pb2.HealthCheckResponse.SERVING
            call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
            await call.write(reflection_pb2.ServerReflectionRequest(list_services=""))
            names = {s.name for s in (await call.read()).list_services_response.service}
            assert "scow.api.volume.v1.VolumeService" in names
            call.cancel()


async def test_stopping_drains_short_calls_and_cuts_long_ones() -> None:
    async with service(drain_seconds=5) as (running, stub, task):
        slow = asyncio.ensure_future(stub.Get(pb.GetRequest(name="slow")))
        watch = stub.Watch(pb.WatchRequest(from_revision=1))
        reading = asyncio.ensure_future(watch.read())
        await eventually(lambda: running.servicer.begun == {"Get", "Watch"})
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await asyncio.wait_for(reading, 2)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not slow.done()
        running.servicer.release.set()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await slow
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        await asyncio.wait_for(task, 2)


async def test_a_call_that_is_cancelled_at_the_end_has_the_database_to_clean_up() -> None:
    async with service(drain_seconds=0.1) as (running, stub, task):
        call = asyncio.ensure_future(stub.Get(pb.GetRequest(name="tidy")))
        await eventually(lambda: running.servicer.begun == {"Get"})
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 8)
        assert running.servicer.cleaned_up.is_set()
        with pytest.raises(grpc.aio.AioRpcError):
            await call


# Its own calls are made all at once.
@pytest.mark.blocks_event_loop
async def test_a_burst_is_answered_or_refused_never_dropped() -> None:
    async with service(max_concurrent_calls=500) as (_, stub, _task):

        async def call() -> grpc.StatusCode:
            try:
                await stub.Get(pb.GetRequest(name="facts"))
            except grpc.aio.AioRpcError as error:
                return error.code()
            return grpc.StatusCode.OK

        codes = await asyncio.gather(*(call() for _ in range(3000)))
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert codes.count(grpc.StatusCode.OK) >= 500, collections.Counter(codes)


# Its own streams are opened all at once.
@pytest.mark.blocks_event_loop
async def test_one_client_with_many_streams_stops_no_other() -> None:
    """Found by attack: 2,500 open streams of one client gave RESOURCE_EXHAUSTED to everybody."""
    async with service(max_concurrent_calls=200, max_calls_per_client=100) as (running, _, _task):
        path = f"unix://{running.config.socket('volume')}"
        many = grpc.aio.insecure_channel(path, options=channel_options("scow-client"))
        other = grpc.aio.insecure_channel(path, options=channel_options("scow-client"))
        async with many, other:
            stub = pb_grpc.VolumeServiceStub(many)
            streams = [stub.Watch(pb.WatchRequest()) for _ in range(100)]
            with pytest.raises(TooManyCalls) as caught, translated("volume"):
                async with asyncio.timeout(10):
                    while True:  # until the last stream has arrived
                        await stub.Get(pb.GetRequest(name="facts"))
            assert "100 calls" in caught.value.message
            assert "max_calls_per_client" in caught.value.metadata["do"]
            stub_of_other = pb_grpc.VolumeServiceStub(other)
            assert (await stub_of_other.Get(pb.GetRequest(name="facts"))).HasField("volume")
            for stream in streams:
                stream.cancel()
            async with asyncio.timeout(10):
                while True:  # until the last stream has gone
                    with contextlib.suppress(grpc.aio.AioRpcError):
                        await stub.Get(pb.GetRequest(name="facts"))
                        break


async def test_a_failing_reconciliation_does_not_keep_the_service_down() -> None:
    async with service(reconcile_seconds=0.05) as (running, stub, _task):
        await eventually(lambda: running.reconciled >= 2)
        assert (await stub.Get(pb.GetRequest(name="facts"))).HasField("volume")


async def test_a_second_instance_is_refused() -> None:
    async with service(drain_seconds=-1) as (running, _stub, _task):
        with pytest.raises(FailedPrecondition, match="another scow-volume serves"):
            await serve("volume", running.config, (), running.wire)


async def test_a_stale_socket_is_replaced() -> None:
    async with service() as (running, _stub, task):
        os.kill(os.getpid(), signal.SIGTERM)
        await task
        running.config.socket("volume").touch()
        again = asyncio.create_task(serve("volume", running.config, (), running.wire))
        async with grpc.aio.insecure_channel(
            f"unix://{running.config.socket('volume')}"
        ) as channel:
            stub = pb_grpc.VolumeServiceStub(channel)
            response = await stub.Get(pb.GetRequest(name="facts"), wait_for_ready=True, timeout=5)
            assert response.HasField("volume")
        os.kill(os.getpid(), signal.SIGTERM)
        await again
