"""Proxies between a client and a server: one that cuts connections, and an HTTP proxy as the environment names them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType

_PIECE = 1 << 16


class _Listener:
    """Takes connections on loopback, each in a thread of its own."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def __enter__(self) -> _Listener:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(
                    target=self._serve_quietly, args=(connection,), daemon=True
                ).start()

    def _serve_quietly(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            self.serve(connection)

    def serve(self, connection: socket.socket) -> None:
        """Serve a connection."""
        raise NotImplementedError


def _copy(source: socket.socket, target: socket.socket, seen: Callable[[int], bool]) -> None:
    """Copy until the end, or until `seen`, told the number of bytes, says to stop."""
    with contextlib.suppress(OSError):
        while data := source.recv(_PIECE):
            target.sendall(data)
            if seen(len(data)):
                break
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


class CuttingProxy(_Listener):
    """Passes on to an address, and cuts connections on which a client sent more than so many bytes.

    Args:
        target: "127.0.0.1:PORT".
        size: Bytes that a client may send before it is cut.
        times: How many connections are cut.

    Attributes:
        cuts: How many were.
    """

    def __init__(self, target: str, size: int, times: int = 1) -> None:
        super().__init__()
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._size = size
        self._times = times
        self.cuts = 0

    def __enter__(self) -> CuttingProxy:
        super().__enter__()
        return self

    def serve(self, connection: socket.socket) -> None:
        """Pass on, and cut."""
        sent = 0

        def seen(size: int) -> bool:
            nonlocal sent
            sent += size
            if sent < self._size or self.cuts >= self._times:
                return False
            self.cuts += 1
            return True

        with socket.create_connection(self._target) as server:
            back = threading.Thread(
                target=_copy, args=(server, connection, lambda _: False), daemon=True
            )
            back.start()
            _copy(connection, server, seen)
            back.join(10)


class HttpProxy(_Listener):
    """An HTTP proxy (RFC 9110, 7.6, and CONNECT): it alone knows where names are.

    Args:
        names: "HOST:PORT" as clients ask for it, and the address behind it.

    Attributes:
        asked: The first lines of requests.
    """

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__()
        self._names = names
        self.asked: list[str] = []

    def __enter__(self) -> HttpProxy:
        super().__enter__()
        return self

    def serve(self, connection: socket.socket) -> None:
        """Serve one request, or a tunnel."""
        head = b""
        while b"\r\n\r\n" not in head:
            data = connection.recv(_PIECE)
            if not data:
                return
            head += data
        line, _, rest = head.partition(b"\r\n")
        method, target, version = line.decode().split()
        self.asked.append(f"{method} {target}")
        name = target if method == "CONNECT" else target.split("/")[2]
        if name not in self._names:
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = self._names[name].rpartition(":")
        with socket.create_connection((host, int(port))) as server:
            if method == "CONNECT":
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.split("/", 3)[3]
                # One request a connection: the next one may be for another host.
                fields, _, body = rest.partition(b"\r\n\r\n")
                server.sendall(
                    f"{method} {path} {version}\r\n".encode()
                    + fields
                    + b"\r\nConnection: close\r\n\r\n"
                    + body
                )
            back = threading.Thread(
                target=_copy, args=(server, connection, lambda _: False), daemon=True
            )
            back.start()
            _copy(connection, server, lambda _: False)
            back.join(10)
