"""The servicer: a wire shell around the parts of the container service."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import grpc

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1 import container_pb2_grpc as pb_grpc
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.container.content.commit import Commits
from scow.container.content.export import Exports
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.create import Creation
from scow.container.lifecycle.hold import Holds
from scow.container.lifecycle.kill import Signals
from scow.container.lifecycle.live_mounts import LiveMounts
from scow.container.lifecycle.networking import Networking
from scow.container.lifecycle.ports import Ports
from scow.container.lifecycle.preflight import Preflight
from scow.container.lifecycle.recovery import Recovery
from scow.container.lifecycle.remove import Removal
from scow.container.lifecycle.rename import Renames
from scow.container.lifecycle.restart import Restarts
from scow.container.lifecycle.start import Starter
from scow.container.lifecycle.supervision import Supervision
from scow.container.lifecycle.transitions import Respond
from scow.container.logs import records
from scow.container.logs.sender import Senders
from scow.container.query.info import info
from scow.container.query.queries import Queries
from scow.container.query.top import top
from scow.container.shared import Shared
from scow.container.streams.execs import Execs
from scow.container.streams.sessions import Sessions
from scow.contract.errors import ContainerNotFound
from scow.core.journal import Journal
from scow.core.requests import Requests
from scow.core.tasks import completed

Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True)
class Parts:
    """What the servicer calls."""

    shared: Shared
    commits: Commits
    creation: Creation
    preflight: Preflight
    networking: Networking
    ports: Ports
    mounts: LiveMounts
    starter: Starter
    supervision: Supervision
    restarts: Restarts
    signals: Signals
    holds: Holds
    removal: Removal
    renames: Renames
    cleanup: Cleanup
    sessions: Sessions
    logs: records.Logs
    senders: Senders
    execs: Execs
    exports: Exports
    queries: Queries
    recovery: Recovery


class ContainerServicer(pb_grpc.ContainerServiceServicer):
    """Serves scow.api.container.v1."""

    def __init__(self, parts: Parts, journal: Journal, requests: Requests) -> None:
        self._parts = parts
        self._containers = parts.shared.containers
        self._journal = journal
        self._requests = requests

    async def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:
        """Record a container and prepare its file system and volumes."""
        return await self._requests.once(
            "Create",
            request,
            pb.CreateResponse,
            lambda: self._parts.creation.create(request),
            lambda made: pb.CreateResponse(container=made.container, warnings=made.warnings),
        )

    async def Preflight(
        self, request: pb.PreflightRequest, context: Context
    ) -> pb.PreflightResponse:
        """Tell what Create and Start would refuse."""
        problems = await self._parts.preflight.problems(request)
        return pb.PreflightResponse(problems=[each.to_status() for each in problems])

    async def Start(self, request: pb.StartRequest, context: Context) -> pb.StartResponse:
        """Execute the container's process."""

        async def start() -> pb.StartResponse:
            entry = self._containers.find(request.container)
            respond: Respond = lambda container: pb.StartResponse(container=container)  # noqa: E731
            await self._parts.starter.start(entry, respond=respond)
            return pb.StartResponse(container=entry.described)

        return await self._requests.once("Start", request, pb.StartResponse, start)

    async def Stop(self, request: pb.StopRequest, context: Context) -> pb.StopResponse:
        """Send the stop signal, wait, then kill."""

        async def stop() -> pb.StopResponse:
            entry = self._containers.find(request.container)
            grace = request.timeout if request.HasField("timeout") else None
            await self._parts.signals.stop(entry, grace, request.signal)
            return pb.StopResponse(container=entry.described)

        return await self._requests.once("Stop", request, pb.StopResponse, stop)

    async def Restart(self, request: pb.RestartRequest, context: Context) -> pb.RestartResponse:
        """Stop, then start."""

        async def restart() -> pb.RestartResponse:
            entry = self._containers.find(request.container)
            grace = request.timeout if request.HasField("timeout") else None
            await self._parts.restarts.restart(entry, grace, request.signal)
            return pb.RestartResponse(container=entry.described)

        return await self._requests.once("Restart", request, pb.RestartResponse, restart)

    async def Rename(self, request: pb.RenameRequest, context: Context) -> pb.RenameResponse:
        """Give a container another name."""

        async def rename() -> pb.RenameResponse:
            entry = self._containers.find(request.container)
            respond: Respond = lambda container: pb.RenameResponse(container=container)  # noqa: E731
            await completed(self._parts.renames.rename(entry, request.name, respond))
            return pb.RenameResponse(container=entry.described)

        return await self._requests.once("Rename", request, pb.RenameResponse, rename)

    async def Kill(self, request: pb.KillRequest, context: Context) -> pb.KillResponse:
        """Send a signal."""

        async def kill() -> pb.KillResponse:
            entry = self._containers.find(request.container)
            await self._parts.signals.kill(entry, request.signal)
            return pb.KillResponse()

        return await self._requests.once("Kill", request, pb.KillResponse, kill)

    async def Pause(self, request: pb.PauseRequest, context: Context) -> pb.PauseResponse:
        """Freeze every process."""

        async def pause() -> pb.PauseResponse:
            await self._parts.signals.pause(self._containers.find(request.container))
            return pb.PauseResponse()

        return await self._requests.once("Pause", request, pb.PauseResponse, pause)

    async def Unpause(self, request: pb.UnpauseRequest, context: Context) -> pb.UnpauseResponse:
        """Thaw every process."""

        async def unpause() -> pb.UnpauseResponse:
            await self._parts.signals.unpause(self._containers.find(request.container))
            return pb.UnpauseResponse()

        return await self._requests.once("Unpause", request, pb.UnpauseResponse, unpause)

    async def Wait(self, request: pb.WaitRequest, context: Context) -> pb.WaitResponse:
        """Answer when the condition is met."""
        return await self._parts.queries.wait(request)

    async def Remove(self, request: pb.RemoveRequest, context: Context) -> pb.RemoveResponse:
        """Give everything back; a removal that was begun is finished also when the caller goes away."""

        async def remove() -> pb.RemoveResponse:
            entry = self._containers.find(request.container)
            work = self._parts.removal.remove(entry, force=request.force, volumes=request.volumes)
            await completed(work)
            return pb.RemoveResponse()

        return await self._requests.once("Remove", request, pb.RemoveResponse, remove)

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:
        """Describe one container."""
        return await self._parts.queries.get(request)

    async def List(self, request: pb.ListRequest, context: Context) -> pb.ListResponse:
        """Describe many."""
        return await self._parts.queries.list(request)

    async def Top(self, request: pb.TopRequest, context: Context) -> pb.TopResponse:
        """List the processes of a container."""
        return await top(self._parts.shared, request)

    async def Logs(
        self, request: pb.LogsRequest, context: Context
    ) -> AsyncIterator[pb.LogsResponse]:
        """Stream what a container wrote."""
        found = self._parts.logs.read(self._containers.find(request.container), request)
        answers = records.Answers(request)
        async for some in found:
            for response in answers.of(some):
                yield response

    async def Attach(
        self, request_iterator: AsyncIterator[pb.AttachRequest], context: Context
    ) -> AsyncIterator[pb.AttachResponse]:
        """Connect to the stdio of a container's process."""
        async for response in self._parts.sessions.attach(request_iterator):
            yield response

    async def Exec(
        self, request_iterator: AsyncIterator[pb.ExecRequest], context: Context
    ) -> AsyncIterator[pb.ExecResponse]:
        """Run a further process in a running container."""
        async for response in self._parts.sessions.exec(request_iterator):
            yield response

    async def GetExec(self, request: pb.GetExecRequest, context: Context) -> pb.GetExecResponse:
        """Tell what became of an exec session."""
        return await self._parts.execs.get(request)

    async def Commit(self, request: pb.CommitRequest, context: Context) -> pb.CommitResponse:
        """Make an image of what a container changed."""
        return await self._requests.once(
            "Commit",
            request,
            pb.CommitResponse,
            lambda: self._parts.commits.commit(request),
            lambda image_id: pb.CommitResponse(image_id=image_id),
        )

    async def Export(
        self, request: pb.ExportRequest, context: Context
    ) -> AsyncIterator[pb.ExportResponse]:
        """Stream a tar of a container's root file system."""
        async with contextlib.aclosing(self._parts.exports.export(request.container)) as tar:
            async for chunk in tar:
                yield pb.ExportResponse(chunk=chunk)

    async def Connect(self, request: pb.ConnectRequest, context: Context) -> pb.ConnectResponse:
        """Put a container into a further network."""

        async def connect() -> pb.ConnectResponse:
            entry = self._containers.find(request.container)
            respond: Respond = lambda container: pb.ConnectResponse(container=container)  # noqa: E731
            await completed(self._parts.networking.connect(entry, request.attachment, respond))
            return pb.ConnectResponse(container=entry.described)

        return await self._requests.once("Connect", request, pb.ConnectResponse, connect)

    async def PublishPorts(
        self, request: pb.PublishPortsRequest, context: Context
    ) -> pb.PublishPortsResponse:
        """Publish further ports of a container."""

        async def publish() -> pb.PublishPortsResponse:
            entry = self._containers.find(request.container)
            respond: Respond = lambda container: pb.PublishPortsResponse(container=container)  # noqa: E731
            await completed(self._parts.ports.publish(entry, request.ports, respond))
            return pb.PublishPortsResponse(container=entry.described)

        return await self._requests.once("PublishPorts", request, pb.PublishPortsResponse, publish)

    async def UnpublishPorts(
        self, request: pb.UnpublishPortsRequest, context: Context
    ) -> pb.UnpublishPortsResponse:
        """Take published ports of a container back."""

        async def unpublish() -> pb.UnpublishPortsResponse:
            entry = self._containers.find(request.container)
            respond: Respond = lambda container: pb.UnpublishPortsResponse(container=container)  # noqa: E731
            await completed(self._parts.ports.unpublish(entry, request.ports, respond))
            return pb.UnpublishPortsResponse(container=entry.described)

        return await self._requests.once(
            "UnpublishPorts", request, pb.UnpublishPortsResponse, unpublish
        )

    async def LimitNetwork(
        self, request: pb.LimitNetworkRequest, context: Context
    ) -> pb.LimitNetworkResponse:
        """Change the bandwidth that a container has in a network."""

        async def limit() -> pb.LimitNetworkResponse:
            entry = self._containers.find(request.container)
            respond: Respond = lambda container: pb.LimitNetworkResponse(container=container)  # noqa: E731
            await completed(self._parts.networking.limit(entry, request, respond))
            return pb.LimitNetworkResponse(container=entry.described)

        return await self._requests.once("LimitNetwork", request, pb.LimitNetworkResponse, limit)

    async def AttachMount(
        self, request: pb.AttachMountRequest, context: Context
    ) -> pb.AttachMountResponse:
        """Give a container one more mount."""

        async def attach() -> pb.AttachMountResponse:
            entry = self._containers.find(request.container)
            return await completed(self._parts.mounts.attach(entry, request.mount))

        return await self._requests.once("AttachMount", request, pb.AttachMountResponse, attach)

    async def DetachMount(
        self, request: pb.DetachMountRequest, context: Context
    ) -> pb.DetachMountResponse:
        """Take a mount of a container away."""

        async def detach() -> pb.DetachMountResponse:
            entry = self._containers.find(request.container)
            mounts = self._parts.mounts
            return await completed(mounts.detach(entry, request.target, force=request.force))

        return await self._requests.once("DetachMount", request, pb.DetachMountResponse, detach)

    async def Disconnect(
        self, request: pb.DisconnectRequest, context: Context
    ) -> pb.DisconnectResponse:
        """Take a container out of a network."""

        async def disconnect() -> pb.DisconnectResponse:
            try:
                entry = self._containers.find(request.container)
            except ContainerNotFound:
                if not request.force:
                    raise
                return pb.DisconnectResponse()
            respond: Respond = lambda container: pb.DisconnectResponse(container=container)  # noqa: E731
            networking = self._parts.networking
            await completed(networking.disconnect(entry, request.network, request.force, respond))
            return pb.DisconnectResponse(container=entry.described)

        return await self._requests.once("Disconnect", request, pb.DisconnectResponse, disconnect)

    async def CheckOwners(
        self, request: pb.CheckOwnersRequest, context: Context
    ) -> pb.CheckOwnersResponse:
        """Tell which owners are unknown here."""
        return self._parts.queries.check_owners(request)

    async def Hold(
        self, request_iterator: AsyncIterator[pb.HoldRequest], context: Context
    ) -> AsyncIterator[pb.HoldResponse]:
        """Keep containers as they are until the caller has done."""
        requests = aiter(request_iterator)
        wanted = await anext(requests, pb.HoldRequest())
        async with self._parts.holds.hold(wanted) as held:
            yield held
            async for _ in requests:
                pass

    async def Reconcile(
        self, request: pb.ReconcileRequest, context: Context
    ) -> pb.ReconcileResponse:
        """Compare records with reality now."""
        return pb.ReconcileResponse(actions=await self.reconcile())

    async def Watch(
        self, request: pb.WatchRequest, context: Context
    ) -> AsyncIterator[pb.WatchResponse]:
        """Replay the journal, then follow it."""
        async for response in self._journal.watch(request, pb.WatchResponse):
            yield response

    async def Info(self, request: pb.InfoRequest, context: Context) -> pb.InfoResponse:
        """Tell what this engine is."""
        return info(self._parts.shared.config)

    async def reconcile(self) -> list[ReconcileAction]:
        """Compare records with reality."""
        return await completed(self._parts.recovery.reconcile())
