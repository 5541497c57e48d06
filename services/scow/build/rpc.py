"""The servicer: a wire shell around builds, their history and the cache."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any

import grpc

from scow.api.build.v1 import build_pb2 as pb
from scow.api.build.v1 import build_pb2_grpc as pb_grpc
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.build.cache.prune import Pruner
from scow.build.context.session import Session
from scow.build.history.builds import Builds, Running
from scow.contract.errors import Cancelled, InvalidArgument, ScowError
from scow.core import filters as filter_rules
from scow.core.journal import Journal
from scow.core.paging import message_size, page
from scow.core.requests import Requests

Context = grpc.aio.ServicerContext[Any, Any]
Start = Callable[[pb.BuildOptions, Session, Running], Awaitable[pb.BuildResult]]
_FILTERS = frozenset({"status", "id", "name"})
_STATUSES = {
    "running": pb.BUILD_STATUS_RUNNING,
    "completed": pb.BUILD_STATUS_COMPLETED,
    "error": pb.BUILD_STATUS_FAILED,
    "canceled": pb.BUILD_STATUS_CANCELED,
}


class BuildServicer(pb_grpc.BuildServiceServicer):
    """Serves scow.api.build.v1."""

    def __init__(
        self,
        builds: Builds,
        build: Start,
        pruner: Pruner,
        journal: Journal,
        requests: Requests,
        reconcile: Callable[[], Awaitable[list[ReconcileAction]]],
    ) -> None:
        self._builds = builds
        self._build = build
        self._pruner = pruner
        self._journal = journal
        self._requests = requests
        self._reconcile = reconcile

    async def Build(
        self, request_iterator: AsyncIterator[pb.BuildRequest], context: Context
    ) -> AsyncIterator[pb.BuildResponse]:
        """Make images."""
        first = await anext(aiter(request_iterator), None)
        if first is None or not first.HasField("open"):
            raise InvalidArgument(
                "a build starts with what to build", what="message", do="send `open` first"
            )
        session = Session(request_iterator, first.open.ssh)
        running = self._builds.begin(first.open)
        task = asyncio.create_task(self._run(first.open, session, running))
        running.task = task
        accepted = pb.BuildResponse.Accepted(build_id=running.record.id)
        try:
            yield pb.BuildResponse(accepted=accepted)
            async with contextlib.aclosing(_told(session, running)) as told:
                async for response in told:
                    yield response
            yield pb.BuildResponse(result=await asyncio.shield(task))
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                task.exception()

    async def _run(
        self, options: pb.BuildOptions, session: Session, running: Running
    ) -> pb.BuildResult:
        """Build, and record how it ends."""
        reading = asyncio.create_task(session.read())
        result, error, canceled = None, "", False
        try:
            result = await self._build(options, session, running)
            return result
        except asyncio.CancelledError:
            error, canceled = "the build was canceled", True
            raise Cancelled(
                error, what="build", which=running.record.id, do="build again"
            ) from None
        except ScowError as failure:
            error = str(failure)
            raise
        except Exception as failure:
            error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            self._builds.end(running, result, error, canceled=canceled)

    async def Follow(
        self, request: pb.FollowRequest, context: Context
    ) -> AsyncIterator[pb.FollowResponse]:
        """Replay the events of a build, and follow it."""
        build = self._builds.find(request.build).id
        async for event in self._builds.follow(build, follow=request.follow):
            yield pb.FollowResponse(event=event)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Describe builds."""
        wanted = filter_rules.parse(request.filters, _FILTERS)
        found = [record for record in self._builds.all() if _matches(record, wanted)]
        items, token = page(
            found,
            request.page_size,
            request.page_token,
            key=lambda record: (
                f"{1 << 63 | ~record.created_at.ToNanoseconds() & (1 << 63) - 1:020x}{record.id}"
            ),
            size=message_size,
        )
        return pb.ListResponse(builds=items, next_page_token=token)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Describe one build."""
        record = self._builds.find(request.build)
        return pb.GetResponse(build=record, vertices=self._builds.vertices(record.id))

    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.StopResponse:
        """End a running build."""
        self._builds.stop(self._builds.find(request.build).id)
        return pb.StopResponse()

    async def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:
        """Delete builds of the history."""

        async def remove() -> pb.RemoveResponse:
            removed = self._builds.remove(request.builds, every=request.all)
            return pb.RemoveResponse(removed=removed)

        return await self._requests.once("Remove", request, pb.RemoveResponse, remove)

    async def DiskUsage(
        self, request: pb.DiskUsageRequest, context: Context
    ) -> pb.DiskUsageResponse:
        """Tell what the cache holds."""
        return pb.DiskUsageResponse(records=await self._pruner.usage(request.filters))

    async def Prune(self, request: pb.PruneRequest, context: Context) -> pb.PruneResponse:
        """Delete parts of the cache."""

        async def prune() -> pb.PruneResponse:
            return await self._pruner.prune(request)

        return await self._requests.once("Prune", request, pb.PruneResponse, prune)

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Context
    ) -> pb.ReconcileResponse:
        """Compare records with the other services now."""
        return pb.ReconcileResponse(actions=await self._reconcile())

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Replay the journal, then follow it."""
        async for response in self._journal.watch(request, pb.WatchResponse):
            yield response


async def _told(session: Session, running: Running) -> AsyncGenerator[pb.BuildResponse, None]:
    """Give what the client is asked for and the events, until the build has ended and all is told."""
    events = running.log.follow()
    event = asyncio.ensure_future(anext(events, None))
    asked = asyncio.ensure_future(session.outgoing())
    try:
        while True:
            await asyncio.wait([event, asked], return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                yield asked.result()
                asked = asyncio.ensure_future(session.outgoing())
            if event.done():
                found = event.result()
                if found is None:
                    break
                yield pb.BuildResponse(event=found)
                event = asyncio.ensure_future(anext(events, None))
        # No event follows, and still the end of an output may wait; questions need no answer any more.
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        left = session.rest() if asked.cancelled() else [asked.result(), *session.rest()]
        for response in left:
            if response.HasField("output"):
                yield response
    finally:
        event.cancel()
        asked.cancel()
        await asyncio.gather(event, asked, return_exceptions=True)
        await events.aclose()


def _matches(record: pb.BuildRecord, wanted: dict[str, list[str]]) -> bool:
    if "status" in wanted and record.status not in {_STATUSES.get(v) for v in wanted["status"]}:
        return False
    if "id" in wanted and not any(record.id.startswith(value) for value in wanted["id"]):
        return False
    return "name" not in wanted or any(value in record.name for value in wanted["name"])
