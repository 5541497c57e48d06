"""Files at URLs."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.build.context.download import Download, download
from scow.contract.errors import (
    DigestMismatch,
    InvalidArgument,
    LimitExceeded,
    PermissionDenied,
    SourceDenied,
    SourceUnavailable,
)
from scow.core import download as downloads
from tests.support.httpserver import HttpHandler, HttpServer

DATA = b"content" * 1000


class Handler(HttpHandler):
    def do_GET(self) -> None:
        # One who takes this for a proxy names the host, too.
        self.path = self.path.removeprefix("http://8.8.8.8")
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/missing":
            self.send_error(404)
        else:
            self.send_response(200)
            self.send_header("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
            self.send_header("X-Authorization", self.headers.get("Authorization", ""))
            self.send_header("Content-Length", str(len(DATA) * (2 if path == "/short" else 1)))
            self.end_headers()
            if path == "/stalls":
                self.wfile.write(DATA[:10])
                self.wfile.flush()
                time.sleep(3)
                return
            self.wfile.write(DATA)
            self.close_connection = True


@pytest.fixture
def server() -> Iterator[str]:
    with HttpServer(Handler) as running:
        yield f"http://{running.address}"


def content(found: Download) -> bytes:
    try:
        return os.pread(found.contents.descriptor, found.size, 0)
    finally:
        found.contents.close()


async def test_a_file(server: str, tmp_path: Path) -> None:
    digest = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    found = await download(f"{server}/a/file.txt?x=y", str(tmp_path), checksum=digest)
    assert (found.name, found.digest, found.size) == ("file.txt", digest, len(DATA))
    assert found.mtime_ns == 1767323045 * 10**9
    assert content(found) == DATA
    assert list(tmp_path.iterdir()) == []


async def test_other_checksums(server: str, tmp_path: Path) -> None:
    digest = f"sha512:{hashlib.sha512(DATA).hexdigest()}"
    content(await download(f"{server}/f", str(tmp_path), checksum=digest))
    with pytest.raises(DigestMismatch, match="not sha256:0000"):
        await download(f"{server}/f", str(tmp_path), checksum="sha256:" + "0" * 64)


async def test_redirects(server: str, tmp_path: Path) -> None:
    checked: list[str] = []
    found = await download(f"{server}/to//to//f", str(tmp_path), check=checked.append)
    assert content(found) == DATA
    assert checked == [f"{server}/to//to//f", f"{server}/to//f", f"{server}/f"]


async def test_what_a_policy_refuses_after_a_redirect(server: str, tmp_path: Path) -> None:
    def check(url: str) -> None:
        if url.endswith("/secret"):
            raise SourceDenied("no")

    with pytest.raises(SourceDenied):
        await download(f"{server}/to//secret", str(tmp_path), check=check)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "it answers 404 Not Found"),
        ("/to/" * 8 + "/f", "redirects more than 5 times"),
        ("/to/file:///etc/passwd", "it redirects to 'file:///etc/passwd'"),
        ("/to/http://x:y/", "it redirects to 'http://x:y/'"),
        ("/short", "cannot be fetched"),
    ],
)
async def test_what_cannot_be_fetched(server: str, path: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable) as caught:
        await download(server.replace("//", "//user:secret@") + path, str(tmp_path))
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


async def test_a_server_that_stalls(server: str, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailable, match="it stalls"):
        await download(f"{server}/stalls", str(tmp_path), stall_seconds=0.2)


async def test_a_file_that_is_too_large(server: str, tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="more than 100 bytes"):
        await download(f"{server}/f", str(tmp_path), size_max=100)


@pytest.mark.parametrize("url", ["ftp://x/y", "file:///etc/passwd", "https://", "x", "http://[::1"])
async def test_what_is_no_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        await download(url, str(tmp_path))


async def test_a_redirect_from_the_public_net_into_the_private_one(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content(
        await download(f"{server}/to/{server.replace('127.0.0.1', 'localhost')}/f", str(tmp_path))
    )
    monkeypatch.setattr(downloads, "is_public", lambda address: address == "127.0.0.1")
    with pytest.raises(PermissionDenied, match="private address"):
        await download(f"{server}/to/http://127.0.0.2/f", str(tmp_path))


async def test_a_name_that_leads_into_the_private_net(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def is_public(address: str) -> bool:
        asked.append(address)
        return len(asked) == 1  # where it begins

    monkeypatch.setattr(downloads, "is_public", is_public)
    monkeypatch.setattr(downloads._Guard, "check_literal", first_literal)
    with pytest.raises(PermissionDenied, match="private address"):
        await download(f"{server}/to/{server.replace('127.0.0.1', 'localhost')}/f", str(tmp_path))


async def test_a_proxy_in_the_private_net_leads_into_the_public_one(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", server.replace("127.0.0.1", "localhost"))
    found = await download("http://8.8.8.8/file", str(tmp_path))
    assert content(found) == DATA
    with pytest.raises(PermissionDenied):
        await download(f"http://8.8.8.8/to/{server}/file", str(tmp_path))


def first_literal(guard: downloads._Guard, host: str) -> bool:
    guard.is_public = guard.is_public or downloads.is_public(host)
    return True


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:10.0.0.1", False),
        ("fd00::1", False),
    ],
)
def test_public_addresses(address: str, expected: bool) -> None:
    assert downloads.is_public(address) is expected
