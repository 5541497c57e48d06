"""A bare client of the distribution API, and content to push with it."""

from __future__ import annotations

import base64
import contextlib
import gzip
import http.client
import json
import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.support.badregistry import layer_tar
from tests.support.digests import digest_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Answer:
    """An answer."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of the first error; fails when the body has not the specification's form."""
        errors = self.json["errors"]
        assert errors
        assert all(isinstance(error["message"], str) for error in errors)
        return str(errors[0]["code"])

    def header(self, name: str) -> str:
        """Return a header, empty when there is none."""
        return str(self.headers.get(name, ""))


class Api:
    """Talks to a registry.

    Args:
        address: HOST:PORT.
        user: "NAME:PASSWORD" for basic authentication, or empty.
        token: Bearer token, or empty.
        tls: None means plain HTTP.
    """

    def __init__(
        self, address: str, *, user: str = "", token: str = "", tls: ssl.SSLContext | None = None
    ) -> None:
        self.address = address
        self._tls = tls
        self._login: dict[str, str] = {}
        if user:
            self._login["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
        if token:
            self._login["Authorization"] = f"Bearer {token}"

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection."""
        if self._tls is not None:
            return http.client.HTTPSConnection(self.address, timeout=20, context=self._tls)
        return http.client.HTTPConnection(self.address, timeout=20)

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request; headers have "_" for "-"."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, {**self._login, **named})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def push_blob(self, name: str, data: bytes) -> str:
        """Push a blob by one request; return its digest."""
        digest = digest_of(data)
        path = f"/v2/{name}/blobs/uploads/?{urlencode({'digest': digest})}"
        answer = self.call("POST", path, data, Content_Type="application/octet-stream")
        assert answer.status == 201, answer
        return digest

    def begin(self, name: str) -> str:
        """Begin an upload; return its path."""
        answer = self.call("POST", f"/v2/{name}/blobs/uploads/")
        assert answer.status == 202, answer
        return answer.header("Location")

    def push(self, name: str, reference: str, data: bytes, media_type: str) -> Answer:
        """Push a manifest."""
        path = f"/v2/{name}/manifests/{reference}"
        return self.call("PUT", path, data, Content_Type=media_type)

    def push_image(self, name: str, reference: str, image: Image) -> str:
        """Push an image with its blobs; return its digest."""
        for blob in image.blobs.values():
            self.push_blob(name, blob)
        answer = self.push(name, reference, image.manifest, OCI_MANIFEST)
        assert answer.status == 201, answer
        return image.digest


@dataclass
class Image:
    """An image of one layer with one file, /hello, for one architecture."""

    text: str
    architecture: str = "amd64"
    more: dict[str, Any] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        tar = layer_tar({"hello": self.text.encode()})
        self.layer = gzip.compress(tar, mtime=0)
        config = {
            "os": "linux",
            "architecture": self.architecture,
            "config": {"Cmd": ["/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
        }
        self.config = json.dumps(config).encode()
        self.id = digest_of(self.config)
        self.blobs = {digest_of(blob): blob for blob in (self.config, self.layer)}
        value = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(self.config, OCI_CONFIG),
            "layers": [descriptor(self.layer, OCI_LAYER)],
            **self.more,
        }
        self.manifest = json.dumps(value, indent=1).encode()
        self.digest = digest_of(self.manifest)


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """Return the descriptor of some bytes."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), **more}


def index_of(*images: Image) -> bytes:
    """Return an index of images."""
    entries = [
        descriptor(
            image.manifest,
            OCI_MANIFEST,
            platform={"os": "linux", "architecture": image.architecture},
        )
        for image in images
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()


def artifact(kind: str, subject: bytes = b"", **annotations: str) -> bytes:
    """Return an artifact without content: the specification's empty configuration, "{}", is its blob."""
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": descriptor(b"{}", OCI_EMPTY),
        "layers": [descriptor(b"{}", OCI_EMPTY)],
        "annotations": annotations,
    }
    if subject:
        value["subject"] = descriptor(subject, OCI_MANIFEST)
    return json.dumps(value).encode()
