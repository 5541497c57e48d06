"""The relay, as the service has it: ports of an address family that a container does not speak.

nftables does not translate between families, and most containers have IPv4 alone. Who connects to such a port by IPv6
is carried by a process (`relay_process`), as Docker's userland proxy does; the container sees the bridge's
address as its peer. The process is started when the first port of that kind is first used, one for an engine: until
then the service itself waits for the first packet, and reads nothing. It outlives the service by as long as its
connections last.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import structlog

from scow.network.kernel.worker import Worker
from scow.network.ports.holds import Held

_PROGRAM = Path(__file__).with_name("relay_process.py")
# The process answers within microseconds; silence is a defect that must not hang the service.
_PATIENCE_SECONDS = 5.0
# After a start that failed.
_AGAIN_SECONDS = 5.0
_BATCH = 200
# Where each has up to 100 blocks of addresses.
_GUARDED_BATCH = 10
_BACKLOG = 128
_log = structlog.get_logger()


@dataclass(frozen=True)
class Door:
    """A bound socket and where what comes to it is carried."""

    number: int
    socket: socket.socket
    protocol: str
    address: str
    port: int
    # Blocks of addresses that may use it, and the host; empty means all.
    allow: tuple[str, ...]


class Relay:
    """The doors of one engine, by endpoint, and the process, once there is one."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._doors: dict[str, list[Door]] = {}
        self._numbers = count(1)
        self._process: _Process | None = None
        self._starting: asyncio.Task[None] | None = None

    async def open(self, endpoint: str, held: Held, address: str) -> None:
        """Carry what comes to held ports to an address of a container, unless that is done already."""
        known = self._doors.setdefault(endpoint, [])
        if any(door.socket is held.sockets[0] for door in known):
            return
        p = held.publish
        doors = [
            Door(next(self._numbers), one, p.protocol, address, p.container_port + n, p.allow)
            for n, one in enumerate(held.sockets)
        ]
        for door in doors:
            if door.protocol == "tcp":
                # As every server does, so that ended connections do not keep the port.
                door.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                door.socket.listen(_BACKLOG)
        if self._starting is not None:
            await self._starting
        known.extend(doors)
        if self._process is None:
            self._wait_for_use(doors)
        else:
            await self._order(lambda process: process.open(doors))

    async def shut(self, endpoint: str) -> None:
        """Carry nothing more to an endpoint; when it returns, the process has no socket of it."""
        await self._shut(self._doors.pop(endpoint, []))

    async def _shut(self, doors: Sequence[Door]) -> None:
        if not doors:
            return
        if self._starting is not None:
            await self._starting
        if self._process is None:
            self._stop_waiting(doors)
        else:
            await self._order(lambda process: process.shut(doors))

    async def shut_some(self, endpoint: str, sockets: Collection[socket.socket]) -> None:
        """Carry nothing more that comes to some sockets of an endpoint."""
        doors = [door for door in self._doors.get(endpoint, ()) if door.socket in sockets]
        self._doors[endpoint] = [d for d in self._doors.get(endpoint, ()) if d not in doors]
        await self._shut(doors)

    async def close(self) -> None:
        """Let go of everything; connections go on."""
        if self._starting is not None:
            await self._starting
        self._stop_waiting(self._all())
        self._doors.clear()
        self._forget_process()

    def _all(self) -> list[Door]:
        return [door for doors in self._doors.values() for door in doors]

    def _wait_for_use(self, doors: Sequence[Door]) -> None:
        loop = asyncio.get_running_loop()
        for door in doors:
            loop.add_reader(door.socket, self._use)

    def _stop_waiting(self, doors: Sequence[Door]) -> None:
        loop = asyncio.get_running_loop()
        for door in doors:
            loop.remove_reader(door.socket)

    def _use(self) -> None:
        """Somebody uses a port: hand all of them to a process."""
        self._stop_waiting(self._all())
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())

    async def _start(self) -> None:
        try:
            self._process = await self._worker.run(_Process)
            asyncio.get_running_loop().add_reader(self._process.orders, self._ended)
            doors = self._all()
            await self._order(lambda process: process.open(doors))
        except OSError as error:
            _log.error("the relay cannot be started", error=str(error))
            asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._ended)
        finally:
            self._starting = None

    async def _order(self, order: Callable[[_Process], None]) -> None:
        process = self._process
        assert process is not None
        loop = asyncio.get_running_loop()
        # Only the worker reads the answer.
        loop.remove_reader(process.orders)
        try:
            await self._worker.run(order, process)
            if process is self._process:
                loop.add_reader(process.orders, self._ended)
        except OSError as error:
            _log.warning("the relay does not answer", error=str(error))
            self._ended()

    def _ended(self) -> None:
        """The process died: its connections are lost, the next use starts another."""
        if self._process is not None:
            _log.warning("the relay ended, its connections are lost")
            self._process.reap()
        self._forget_process()
        self._wait_for_use(self._all())

    def _forget_process(self) -> None:
        if self._process is not None:
            asyncio.get_running_loop().remove_reader(self._process.orders)
            self._process.close()
            self._process = None


class _Process:
    """The process, and the socket over which it gets orders. All of it but `orders` is the worker's."""

    def __init__(self) -> None:
        self.orders, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.orders.settimeout(_PATIENCE_SECONDS)
        with its:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_PROGRAM)],
                stdin=its.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )

    def open(self, doors: Sequence[Door]) -> None:
        """Hand doors over."""
        for batch in _batches(doors):
            described = [[d.number, d.protocol, d.address, d.port, d.allow] for d in batch]
            message = json.dumps({"open": described}).encode()
            socket.send_fds(self.orders, [message], [d.socket.fileno() for d in batch])
            self._answer()

    def shut(self, doors: Sequence[Door]) -> None:
        """Take doors back."""
        for batch in _batches(doors):
            self.orders.send(json.dumps({"shut": [d.number for d in batch]}).encode())
            self._answer()

    def _answer(self) -> None:
        if not self.orders.recv(16):
            raise OSError("it ended")

    def reap(self) -> None:
        """End it, if it has not ended, and forget it."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Let it go on by itself."""
        self.orders.close()


def _batches(doors: Sequence[Door]) -> Iterator[Sequence[Door]]:
    """Yield doors that one message has room for."""
    size = _GUARDED_BATCH if any(door.allow for door in doors) else _BATCH
    for start in range(0, len(doors), size):
        yield doors[start : start + size]
