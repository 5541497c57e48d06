"""Servers that take logs, as far as a test needs them: they keep all that arrives."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgpack


class Datagrams:
    """A socket that keeps the datagrams it gets.

    Args:
        path: Of a unix socket; None: UDP, on a port of `port`.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        family = socket.AF_INET if path is None else socket.AF_UNIX
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0) if path is None else str(path))
        self.port = 0 if path else self.socket.getsockname()[1]
        self.received: list[bytes] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = self.socket.recv(1 << 18)
                if data == b"end":
                    return
                self.received.append(data)

    def __enter__(self) -> Datagrams:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(self.socket.family, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", self.socket.getsockname())
        self._thread.join()
        self.socket.close()


class Stream:
    """A TCP server that keeps the bytes it gets, of all connections one after the other.

    Args:
        tls: With TLS.
        answer: What to answer to bytes.
        port: To listen on; 0: any.
    """

    def __init__(
        self,
        tls: ssl.SSLContext | None = None,
        answer: Callable[[bytes], bytes] | None = None,
        port: int = 0,
    ) -> None:
        self._tls = tls
        self._answer = answer
        self.socket = socket.create_server(("127.0.0.1", port))
        self.port: int = self.socket.getsockname()[1]
        self.received = b""
        self._connections: list[socket.socket] = []

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                if self._tls is not None:
                    connection = self._tls.wrap_socket(connection, server_side=True)
                self._connections.append(connection)
                threading.Thread(target=self._receive, args=(connection,), daemon=True).start()

    def _receive(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 16):
                self.received += data
                if self._answer is not None:
                    connection.sendall(self._answer(data))

    def __enter__(self) -> Stream:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for each in (self.socket, *self._connections):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def unpacked(data: bytes) -> Iterator[list[object]]:
    """Yield the messages of MessagePack in bytes."""
    unpacker = msgpack.Unpacker(timestamp=0)
    unpacker.feed(data)
    yield from unpacker
