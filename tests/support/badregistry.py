"""A registry that misbehaves as a test tells it to, on loopback, in a thread of its own."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import tarfile
import time
from collections.abc import Callable
from typing import Any

from tests.support.digests import digest_of
from tests.support.httpserver import HttpHandler, HttpServer

Answer = Callable[["Handler"], bool]
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def kind_of(document: bytes) -> str:
    """Return the media type as what a document is sent: an index's where it says that it is one."""
    return INDEX if INDEX.encode() in document[:100] else MANIFEST


def layer_tar(files: dict[str, bytes]) -> bytes:
    """Return a tar of regular files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


class BadRegistry(HttpServer):
    """Serves one image, `bad/image:1`, of the given plain tars.

    Attributes:
        documents: Further manifests and indexes, by digest.
        misbehave: Called first for every request; True means that it answered.
        requests: "METHOD PATH" with the Range header, of all requests.
    """

    def __init__(self, tars: list[bytes]) -> None:
        super().__init__(Handler)
        self.misbehave: Answer = lambda _: False
        self.documents: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.authorizations: list[str] = []
        self.layers = [gzip.compress(tar, mtime=0) for tar in tars]
        config = {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Cmd": ["sh"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
        }
        self.blobs: dict[str, bytes] = {digest_of(layer): layer for layer in self.layers}
        data = json.dumps(config).encode()
        self.blobs[digest_of(data)] = data
        self.config = digest_of(data)
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": {"mediaType": CONFIG, "digest": self.config, "size": len(data)},
                "layers": [
                    {"mediaType": LAYER, "digest": digest_of(layer), "size": len(layer)}
                    for layer in self.layers
                ],
            }
        ).encode()
        self.reference = f"{self.address}/bad/image:1"

    def entry(self) -> dict[str, Any]:
        """Return what an index says of what is served for the tag."""
        kind = json.loads(self.manifest).get("mediaType", MANIFEST)
        platform = {"os": "linux", "architecture": "amd64"}
        about = {"mediaType": kind, "platform": platform}
        return {**about, "digest": digest_of(self.manifest), "size": len(self.manifest)}

    def index(self, entries: list[Any]) -> None:
        """Serve an index for the tag; what was served for it stays, by its digest."""
        self.documents[digest_of(self.manifest)] = self.manifest
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        self.manifest = json.dumps(value).encode()

    @property
    def layer_path(self) -> str:
        """Path of the first layer."""
        return f"/v2/bad/image/blobs/{digest_of(self.layers[0])}"


class Handler(HttpHandler):
    """Answers one request."""

    form = ""

    @property
    def registry(self) -> BadRegistry:
        """The registry."""
        found: BadRegistry = self.owner
        return found

    def do_POST(self) -> None:
        """Answer as to a GET; `form` has what was sent."""
        self.form = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.do_GET()

    def do_GET(self) -> None:
        """Answer, or misbehave."""
        registry = self.registry
        registry.requests.append(f"{self.path} {self.headers.get('Range', '')}".strip())
        registry.authorizations.append(self.headers.get("Authorization", ""))
        if registry.misbehave(self):
            return
        name = self.path.partition("?")[0].rsplit("/", 1)[1]
        if "/manifests/" in self.path and name in ("1", digest_of(registry.manifest)):
            self.send(registry.manifest, kind_of(registry.manifest))
        elif "/manifests/" in self.path and name in registry.documents:
            self.send(registry.documents[name], kind_of(registry.documents[name]))
        elif "/blobs/" in self.path and name in registry.blobs:
            self.send(registry.blobs[name])
        else:
            self.refuse(404)

    def send(self, data: bytes, kind: str = "application/octet-stream") -> None:
        """Answer with bytes, from where the Range header says."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start:])

    def answer(self, body: bytes = b"", *headers: str, status: int = 200, end: bool = True) -> bool:
        """Answer with headers as they are given, "NAME: VALUE", and these bytes; then hang up.

        With `end` false the headers are not ended.
        """
        lines = [f"HTTP/1.1 {status} X", *headers, "Connection: close", *([""] if end else [])]
        self.wfile.write("\r\n".join(lines).encode("latin-1") + b"\r\n" + body)
        self.close_connection = True
        return True

    def drip(self, head: bytes, piece: bytes, seconds: float = 10.0) -> bool:
        """Send a beginning, then a piece again and again, until the other side or the time is gone."""
        deadline = time.monotonic() + seconds
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(head)
            while time.monotonic() < deadline:
                self.wfile.write(piece)
                time.sleep(0.05)
        return True

    def refuse(self, status: int, **headers: str) -> bool:
        """Answer with a status."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def cut(self, data: bytes, size: int) -> bool:
        """Announce all bytes from the asked position on, send only some, and hang up."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : start + size])
        self.wfile.flush()
        self.close_connection = True
        return True

    def stall(self, seconds: float) -> bool:
        """Begin to answer, then say nothing."""
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        self.wfile.flush()
        time.sleep(seconds)
        self.close_connection = True
        return True

    def trickle(self, data: bytes) -> bool:
        """Send bytes in two pieces with a pause between them."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:5])
        self.wfile.flush()
        time.sleep(0.05)
        self.wfile.write(data[5:])
        return True
