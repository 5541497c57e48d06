"""Imports from URLs, and what servers do wrong; compressed tars that are damaged."""

from __future__ import annotations

import base64
import bz2
import lzma
from collections.abc import Iterator

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.contract import errors
from tests.support.archives import tar
from tests.support.digests import digest_of
from tests.support.httpserver import HttpHandler, HttpServer
from tests.support.service import Service, from_rpc_error

TAR = tar({"etc/motd": b"fetched\n" * 100_000})
CREDENTIALS = f"Basic {base64.b64encode(b'me:secret').decode()}"


class _Handler(HttpHandler):
    protocol_version = "HTTP/1.0"  # the connection's end cuts an answer

    def do_GET(self) -> None:
        self.owner.seen.append((self.path, self.headers.get("Authorization")))
        kind, _, rest = self.path[1:].partition("/")
        if kind == "to":
            self._answer(302, b"", Location=rest)
        elif kind == "round":
            self._answer(302, b"", Location="/round")
        elif kind == "cut":
            self._answer(200, TAR[:1000], length=len(TAR))
        elif kind == "private" and self.headers.get("Authorization") != CREDENTIALS:
            self._answer(401, b"who are you?")
        elif kind in ("tar.xz", "private"):
            self._answer(200, lzma.compress(TAR))
        else:
            self._answer(404, b"nothing")

    def _answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)


class _Server(HttpServer):
    def __init__(self) -> None:
        super().__init__(_Handler)
        self.seen: list[tuple[str, str | None]] = []


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server() as running:
        yield running


def fetch(service: Service, url: str, *chunks: bytes) -> pb.Image:
    requests = [pb.ImportRequest(open=pb.ImportRequest.Open(reference="fetched:1", url=url))]
    requests += [pb.ImportRequest(chunk=chunk) for chunk in chunks]
    try:
        return ImageServiceStub(service.channel).Import(iter(requests), timeout=60).image
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


def remove(service: Service) -> None:
    ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image="fetched:1"))


def test_it_is_fetched(service: Service, server: _Server) -> None:
    image = fetch(service, f"http://{server.address}/to//to//tar.xz")
    assert list(image.diff_ids) == [digest_of(TAR)]
    assert image.comment == f"Imported from http://{server.address}/to//to//tar.xz"
    assert [path for path, _ in server.seen] == ["/to//to//tar.xz", "/to//tar.xz", "/tar.xz"]
    remove(service)


def test_credentials_stay_where_they_belong(service: Service, server: _Server) -> None:
    fetch(service, f"http://me:secret@{server.address}/to//private")
    remove(service)
    assert server.seen == [("/to//private", CREDENTIALS), ("/private", CREDENTIALS)]
    server.seen.clear()
    other = f"http://localhost:{server.address.rpartition(':')[2]}/private"
    with pytest.raises(errors.SourceUnavailable, match="401") as caught:
        fetch(service, f"http://me:secret@{server.address}/to/{other}")
    assert "secret" not in str(caught.value)
    assert server.seen[-1] == ("/private", None)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("nothing", "404"),
        ("round", "more than 5 times"),
        ("to/file:///etc/passwd", "file:///etc/passwd"),
        ("cut", "cannot be fetched"),
    ],
)
def test_what_servers_do_wrong(service: Service, server: _Server, path: str, told: str) -> None:
    with pytest.raises(errors.SourceUnavailable, match=told):
        fetch(service, f"http://{server.address}/{path}")


@pytest.mark.parametrize("url", ["ftp://host/x", "http://", "http://[1/x", "file:///etc/passwd"])
def test_no_url(service: Service, url: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        fetch(service, url)


def test_nobody_is_there(service: Service) -> None:
    with pytest.raises(errors.SourceUnavailable, match="cannot be fetched"):
        fetch(service, "http://127.0.0.1:1/x")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (lzma.compress(TAR)[:-20], "cut short"),
        (bz2.compress(TAR)[:-20], "cut short"),
        (lzma.compress(b"no tar" * 1000), "header|no tar"),
        (lzma.compress(TAR)[:200] + bytes(200), "decompressed|cut short"),
    ],
    ids=["xz", "bzip2", "no tar", "damaged"],
)
def test_damaged(service: Service, data: bytes, told: str) -> None:
    with pytest.raises(errors.LayerCorrupt, match=told):
        fetch(service, "", data)


def test_a_bomb(service: Service) -> None:
    """The service of the tests takes 64 MiB."""
    with pytest.raises(errors.LimitExceeded, match="max_layer_bytes"):
        fetch(service, "", lzma.compress(bytes(80 << 20), preset=0))
