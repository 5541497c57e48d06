"""Exec sessions, as a client sees them."""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.container.v1 import execs_pb2 as pb
from scow.client._async.service import AsyncService
from scow.client._link import request_id


class AsyncExecs:
    """The part of AsyncContainers that knows exec sessions."""

    def __init__(self, service: AsyncService) -> None:
        self._service = service

    async def execs(
        self, container: str = "", *, ended: bool = False, timeout: float | None = None
    ) -> Sequence[pb.ExecSession]:
        """Describe exec sessions that run, the earliest first.

        Args:
            container: Theirs; empty means those of all containers.
            ended: Also those that have ended, some minutes ago at most.
            timeout: Seconds.

        Raises:
            ContainerNotFound: No such container.

        Example::

            for session in await client.containers.execs("web"):
                print(session.exec_id, session.args)
        """
        request = pb.ListExecsRequest(container=container, all=ended)
        response = await self._service.call(
            "ExecsService/ListExecs", request, pb.ListExecsResponse, timeout
        )
        return response.sessions

    async def inspect_exec(self, exec_id: str, *, timeout: float | None = None) -> pb.ExecSession:
        """Describe an exec session, given by its id or the beginning of it.

        Raises:
            ExecNotFound, AmbiguousId: There is none, or several begin so.

        Example::

            print((await client.containers.inspect_exec(session.exec_id)).running)
        """
        request = pb.InspectExecRequest(exec_id=exec_id)
        response = await self._service.call(
            "ExecsService/InspectExec", request, pb.InspectExecResponse, timeout
        )
        return response.session

    async def kill_exec(
        self, exec_id: str, signal: str = "", *, timeout: float | None = None
    ) -> None:
        """Send a signal to the process of an exec session.

        Args:
            exec_id: Its id or the beginning of it.
            signal: Name or number; empty means SIGKILL.
            timeout: Seconds.

        Raises:
            ExecNotFound, AmbiguousId: There is none, or several begin so.
            ContainerNotRunning: It has ended.

        Example::

            await client.containers.kill_exec(session.exec_id, "TERM")
        """
        request = pb.KillExecRequest(request_id=request_id(), exec_id=exec_id, signal=signal)
        await self._service.call("ExecsService/KillExec", request, pb.KillExecResponse, timeout)

    async def remove_exec(
        self, exec_id: str, *, force: bool = False, timeout: float | None = None
    ) -> None:
        """Forget an exec session that has ended.

        Args:
            exec_id: Its id or the beginning of it.
            force: Kill it first when it runs.
            timeout: Seconds.

        Raises:
            ExecNotFound, AmbiguousId: There is none, or several begin so.
            ExecRunning: It runs, and `force` is not set.

        Example::

            await client.containers.remove_exec(session.exec_id, force=True)
        """
        request = pb.RemoveExecRequest(request_id=request_id(), exec_id=exec_id, force=force)
        await self._service.call("ExecsService/RemoveExec", request, pb.RemoveExecResponse, timeout)
