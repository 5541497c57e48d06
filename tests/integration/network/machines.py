"""Network namespaces that play machines and containers, with sockets inside of them.

The service under test runs in a namespace that plays the host, so that no test touches the network of the machine
it runs on, and tests may do to their host what they like.
"""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from tests.support import processes

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)
_T = TypeVar("_T")
SECONDS = 5.0 * processes.PATIENCE


class Namespace:
    """A network namespace, kept by a process that sleeps."""

    def __init__(self) -> None:
        own = Path("/proc/self/ns/net").stat().st_ino
        self._process = subprocess.Popen(["unshare", "-n", "sleep", "1000"])
        self.path = f"/proc/{self._process.pid}/ns/net"
        processes.wait_for(lambda: Path(self.path).stat().st_ino != own, "a network namespace")

    def __enter__(self) -> Namespace:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()

    @property
    def pid(self) -> int:
        """PID of the process that keeps it."""
        return self._process.pid

    def call(self, function: Callable[[], _T]) -> _T:
        """Return what a function returns inside; sockets that it opens stay inside."""
        results: list[_T] = []
        errors: list[BaseException] = []

        def enter() -> None:
            try:
                with open(self.path) as namespace:
                    assert _libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0
                results.append(function())
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        if errors:
            raise errors[0]
        return results[0]

    def run(self, command: str, check: bool = True) -> str:
        """Return what a shell command prints inside."""
        done = subprocess.run(
            ["nsenter", f"--net={self.path}", "sh", "-c", command],
            capture_output=True,
            text=True,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def links(self) -> set[str]:
        """Return the names of its links."""
        return self.call(lambda: {name for _, name in socket.if_nameindex()})

    def sysctl(self, name: str) -> str:
        """Return a value below /proc/sys/net."""
        return self.call(lambda: Path("/proc/sys/net", name).read_text().strip())

    def fetch(self, address: str, port: int, source: str = "") -> str:
        """Connect by TCP and return what the server says: see `Answerer`.

        Raises:
            OSError: It cannot be reached.
        """

        def connect() -> str:
            origin = (source, 0) if source else None
            with socket.create_connection((address, port), SECONDS, origin) as one:
                return one.recv(100).decode()

        return self.call(connect)

    def reaches(self, address: str, port: int) -> bool:
        """Tell whether TCP connects within a second."""

        def connect() -> bool:
            try:
                with socket.create_connection((address, port), 1):
                    return True
            except OSError:
                return False

        return self.call(connect)

    def ask(self, address: str, port: int) -> str:
        """Send by UDP and return the answer: see `Answerer`. A datagram may be lost: it is sent once more."""

        def send() -> str:
            with socket.socket(_family(address), socket.SOCK_DGRAM) as one:
                one.settimeout(SECONDS)
                one.connect((address, port))
                one.send(b"?")
                try:
                    return one.recv(100).decode()
                except TimeoutError:
                    one.send(b"?")
                    return one.recv(100).decode()

        return self.call(send)


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Answerer:
    """A server in a namespace that tells each caller a name and the caller's address: `web 192.0.2.7`."""

    def __init__(
        self, where: Namespace, name: str, port: int, udp: bool = False, address: str = "0.0.0.0"
    ) -> None:
        self._name = name
        self._udp = udp

        def listen() -> socket.socket:
            kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
            one = socket.socket(_family(address), kind)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind((address, port))
            if not udp:
                one.listen()
            return one

        self._socket = where.call(listen)
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def __enter__(self) -> Answerer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(1)

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                if self._udp:
                    _, caller = self._socket.recvfrom(100)
                    if not caller:  # shut down
                        return
                    self._socket.sendto(f"{self._name} {caller[0]}".encode(), caller)
                else:
                    connection, caller = self._socket.accept()
                    with connection:
                        connection.sendall(f"{self._name} {caller[0]}".encode())


def connect(left: Namespace, right: Namespace, left_address: str, right_address: str) -> None:
    """Connect two namespaces with a cable that is called `wan` at both ends; addresses with a prefix length."""
    left.run(f"ip link add wan type veth peer name wan netns {right.pid}")
    for namespace, address in ((left, left_address), (right, right_address)):
        namespace.run(f"ip addr add {address} dev wan && ip link set wan up")


@contextlib.contextmanager
def host_and_neighbour() -> Iterator[tuple[Namespace, Namespace]]:
    """Two machines in one subnet: the host is 192.0.2.1, its neighbour 192.0.2.2 has it as its router."""
    with Namespace() as host, Namespace() as neighbour:
        for machine in (host, neighbour):
            machine.run("ip link set lo up")
        connect(host, neighbour, "192.0.2.1/24", "192.0.2.2/24")
        host.run("ip route add default via 192.0.2.2")
        neighbour.run("ip route add default via 192.0.2.1")
        yield host, neighbour


def instance_name() -> str:
    """Return the name of an engine of a test's own."""
    return f"n{secrets.token_hex(3)}"
