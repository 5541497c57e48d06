"""The servicer of exec sessions: a wire shell."""

from __future__ import annotations

from typing import Any

import grpc

from scow.api.container.v1 import execs_pb2 as pb
from scow.api.container.v1 import execs_pb2_grpc as pb_grpc
from scow.container.execs.sessions import ExecSessions
from scow.container.shared import Shared
from scow.core.requests import Requests
from scow.core.tasks import completed

Context = grpc.aio.ServicerContext[Any, Any]


class ExecsServicer(pb_grpc.ExecsServiceServicer):
    """Serves scow.api.container.v1.ExecsService."""

    def __init__(self, shared: Shared, requests: Requests) -> None:
        self._sessions = ExecSessions(shared)
        self._requests = requests

    async def ListExecs(
        self, request: pb.ListExecsRequest, context: Context
    ) -> pb.ListExecsResponse:
        """Describe sessions."""
        sessions = self._sessions.list(request.container, all_=request.all)
        return pb.ListExecsResponse(sessions=sessions)

    async def InspectExec(
        self, request: pb.InspectExecRequest, context: Context
    ) -> pb.InspectExecResponse:
        """Describe one."""
        return pb.InspectExecResponse(session=self._sessions.find(request.exec_id))

    async def KillExec(self, request: pb.KillExecRequest, context: Context) -> pb.KillExecResponse:
        """Send a signal to a session's process."""

        async def kill() -> pb.KillExecResponse:
            await self._sessions.kill(request.exec_id, request.signal)
            return pb.KillExecResponse()

        return await self._requests.once("KillExec", request, pb.KillExecResponse, kill)

    async def RemoveExec(
        self, request: pb.RemoveExecRequest, context: Context
    ) -> pb.RemoveExecResponse:
        """Forget a session."""

        async def remove() -> pb.RemoveExecResponse:
            await completed(self._sessions.remove(request.exec_id, force=request.force))
            return pb.RemoveExecResponse()

        return await self._requests.once("RemoveExec", request, pb.RemoveExecResponse, remove)
