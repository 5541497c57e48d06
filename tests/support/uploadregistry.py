"""A registry to push to that has the quirks of many, and keeps what came of a request that was cut."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.digests import digest_of
from tests.support.httpserver import HttpHandler, HttpServer

_PIECE = 1 << 14


@dataclass
class Asked:
    """A request."""

    method: str
    path: str
    content_range: str
    authorization: str
    size: int


class UploadRegistry(HttpServer):
    """Takes blobs and manifests, on loopback.

    Attributes:
        misbehave: Called first for every request; True means that it answered.
        location: Makes the Location of an upload of its path.
        done: Status with which a blob is taken.
        accepted: Status with which a part of one is taken.
        least: OCI-Chunk-Min-Length, or none.
        cut_after: Bytes of a PATCH after which the connection is cut, for each PATCH to come.
        asked: All requests.
        blobs: What came.
        manifests: By tag or digest.
    """

    def __init__(self) -> None:
        super().__init__(UploadHandler)
        self.misbehave: Callable[[UploadHandler], bool] = lambda _: False
        self.location: Callable[[str], str] = lambda path: path
        self.done = 201
        self.accepted = 202
        self.least = ""
        self.cut_after: list[int] = []
        self.asked: list[Asked] = []
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, bytes] = {}
        self.uploads: dict[str, bytearray] = {}

    def patches(self) -> list[tuple[str, int]]:
        """Return range and size of each PATCH."""
        return [(each.content_range, each.size) for each in self.asked if each.method == "PATCH"]


class UploadHandler(HttpHandler):
    """Answers one request."""

    @property
    def registry(self) -> UploadRegistry:
        """The registry."""
        found: UploadRegistry = self.owner
        return found

    def _serve(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        asked = Asked(
            self.command,
            self.path,
            self.headers.get("Content-Range", ""),
            self.headers.get("Authorization", ""),
            size,
        )
        self.registry.asked.append(asked)
        if not self.registry.misbehave(self):
            getattr(self, f"_{self.command.lower()}")(size)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def _head(self, _: int) -> None:
        self.answer(200 if self.path.rpartition("/")[2] in self.registry.blobs else 404)

    def _post(self, _: int) -> None:
        name = f"u{len(self.registry.uploads)}"
        self.registry.uploads[name] = bytearray()
        least = {"OCI-Chunk-Min-Length": self.registry.least} if self.registry.least else {}
        self.answer(202, **self._place(name), **least)

    def _get(self, _: int) -> None:
        name = self._upload()
        if name not in self.registry.uploads:
            self.answer(404 if self.path != "/v2/" else 200)
            return
        self.answer(204, **self._place(name))

    def _patch(self, size: int) -> None:
        name = self._upload()
        data = self.registry.uploads[name]
        start = re.match(r"(\d+)-", self.headers.get("Content-Range", ""))
        if start is not None and int(start[1]) != len(data):
            self.rfile.read(size)
            self.answer(416)
            return
        cut = self.registry.cut_after.pop(0) if self.registry.cut_after else size + 1
        while size > 0 and cut > 0:
            piece = self.rfile.read(min(size, cut, _PIECE))
            if not piece:
                break
            data += piece
            size -= len(piece)
            cut -= len(piece)
        if cut <= 0:
            self.close_connection = True
            self.connection.close()
            return
        self.answer(self.registry.accepted, **self._place(name))

    def _put(self, size: int) -> None:
        body = self.rfile.read(size)
        path, _, query = self.path.partition("?")
        if "/manifests/" in path:
            self.registry.manifests[path.rpartition("/")[2]] = body
            self.answer(201)
            return
        data = bytes(self.registry.uploads.pop(self._upload())) + body
        digest = urllib.parse.parse_qs(query)["digest"][0]
        assert digest == digest_of(data)
        self.registry.blobs[digest] = data
        self.answer(self.registry.done)

    def _delete(self, _: int) -> None:
        self.registry.uploads.pop(self._upload(), None)
        self.answer(204)

    def _upload(self) -> str:
        return self.path.partition("?")[0].rpartition("/")[2]

    def _place(self, name: str) -> dict[str, str]:
        have = len(self.registry.uploads[name])
        path = f"/v2/up/blobs/uploads/{name}?state=a%3Db"
        return {"Location": self.registry.location(path), "Range": f"0-{max(0, have - 1)}"}

    def refuse(self, status: int, **headers: str) -> bool:
        """Read what is sent, and answer with a status."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return self.answer(status, **headers)

    def answer(self, status: int, **headers: str) -> bool:
        """Answer with a status."""
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()
        return True
