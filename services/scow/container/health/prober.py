"""The prober, as the container service sees it: probes of all containers go to one process over one connection.

Its protocol is in scow/api/shim/v1/prober.proto. It is there while a container with probes runs; one that was killed is
replaced with the next probe.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterator

from scow.api.container.v1.supervision_pb2 import Probe
from scow.api.shim.v1 import prober_pb2 as pb
from scow.container.runtime.spawner import Spawner
from scow.contract.errors import ScowError

_PACKET_MAX = 8 << 10
# Beyond a probe's own timeout, which the prober keeps: after that it is taken for dead.
_GRACE_SECONDS = 5.0
_LOCAL = "127.0.0.1"


class Prober:
    """Has probes made.

    Args:
        spawner: Forks the process.
    """

    def __init__(self, spawner: Spawner) -> None:
        self._spawner = spawner
        self._connection: socket.socket | None = None
        self._connecting = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[pb.ProbeAnswer]] = {}
        self._users = 0

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Keep the process for the length of the block."""
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._drop()

    async def probe(self, pid: int, ticks: int, probe: Probe, timeout: int) -> pb.ProbeAnswer:
        """Make a probe.

        Args:
            pid: Of a process in the network namespace.
            ticks: Its start time.
            probe: The probe.
            timeout: Nanoseconds.

        Raises:
            ScowError: There is no prober.
            TimeoutError: It does not answer.
        """
        connection = await self._connected()
        request = pb.ProbeRequest(
            id=next(self._numbers),
            pid=pid,
            pid_start_ticks=ticks,
            timeout=timeout,
            protocol=probe.protocol,
            address=probe.address or _LOCAL,
            port=probe.port,
            target=probe.target,
        )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[pb.ProbeAnswer] = loop.create_future()
        self._waiting[request.id] = answer
        try:
            async with asyncio.timeout(timeout / 1e9 + _GRACE_SECONDS):
                await self._send(connection, request.SerializeToString())
                return await answer
        except TimeoutError:
            self._drop()
            raise
        finally:
            self._waiting.pop(request.id, None)

    async def _send(self, connection: socket.socket, packet: bytes) -> None:
        try:
            connection.send(packet)
        except BlockingIOError:
            await asyncio.get_running_loop().sock_sendall(connection, packet)
        except OSError:
            self._drop()

    async def _connected(self) -> socket.socket:
        async with self._connecting:
            if self._connection is None:
                connection = await self._spawner.prober()
                connection.setblocking(False)
                asyncio.get_running_loop().add_reader(connection, self._receive, connection)
                self._connection = connection
            return self._connection

    def _receive(self, connection: socket.socket) -> None:
        while True:
            try:
                packet = connection.recv(_PACKET_MAX)
            except BlockingIOError:
                return
            except OSError:
                packet = b""
            if not packet:
                self._drop()
                return
            answer = pb.ProbeAnswer.FromString(packet)
            waiting = self._waiting.get(answer.id)
            if waiting is not None and not waiting.done():
                waiting.set_result(answer)

    def _drop(self) -> None:
        """Let go of a process that has ended or is not needed; who waits for it is told."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        asyncio.get_running_loop().remove_reader(connection)
        connection.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ScowError("the prober has ended"))
