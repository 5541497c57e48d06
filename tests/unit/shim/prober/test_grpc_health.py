"""grpc.health.v1 against grpcio's own server, and against servers that speak nonsense."""

import random
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from scow.shim.prober.exchange import READ_MAX, Verdict
from scow.shim.prober.grpc_health import GrpcHealth


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    servicer.set("a.Sick", health_pb2.HealthCheckResponse.NOT_SERVING)
    found = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield found
    server.stop(None).wait()


def ask(port: int, service: str) -> Verdict:
    exchange = GrpcHealth(f"127.0.0.1:{port}", service)
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(exchange.request)
        while True:
            verdict = exchange.feed(connection.recv(4096))
            if verdict is not None:
                return verdict
            connection.sendall(exchange.reply())


def test_a_server_answers(port: int) -> None:
    assert ask(port, "") == Verdict(True, "SERVING")
    assert ask(port, "a.Sick") == Verdict(False, "NOT_SERVING")
    # grpcio's server sends an empty answer beside NOT_FOUND.
    assert ask(port, "x" * 300) == Verdict(False, "UNKNOWN")


def test_a_server_without_the_service() -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        assert not ask(port, "").healthy
    finally:
        server.stop(None).wait()


def answer(status: int, *, flags: int = 0, padding: bytes = b"") -> bytes:
    body = b"\0\0\0\0\x02\x08" + bytes((status,))
    payload = bytes((len(padding),)) + body + padding if flags & 8 else body
    return len(payload).to_bytes(3, "big") + bytes((0, flags)) + b"\0\0\0\x01" + payload


@pytest.mark.parametrize("step", [1, 5, 1000])
def test_frames_come_in_pieces(step: int) -> None:
    settings = b"\0\0\0\x04\0\0\0\0\0"
    data = settings + answer(1, flags=8, padding=b"\0" * 9)
    exchange = GrpcHealth("h", "")
    verdict = None
    for start in range(0, len(data), step):
        verdict = exchange.feed(data[start : start + step]) or verdict
    assert verdict == Verdict(True, "SERVING")
    assert exchange.reply() == b"\0\0\0\x04\x01\0\0\0\0"
    assert exchange.reply() == b""


def test_nonsense_ends() -> None:
    generator = random.Random(7)
    for _ in range(2000):
        exchange = GrpcHealth("h", "")
        read, verdict = 0, None
        while verdict is None and read <= READ_MAX + 4096:
            data = generator.randbytes(generator.randint(1, 4096))
            read += len(data)
            verdict = exchange.feed(data)
        assert verdict is not None


def test_the_end_of_the_stream_is_an_answer() -> None:
    assert not GrpcHealth("h", "").feed(b"").healthy  # type: ignore[union-attr]
