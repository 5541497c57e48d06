"""Content made by hand, put into a registry by HTTP as it is: images for any platform, indexes, artifacts.

Example::

    content = Content(registry, "app")
    arm = content.image("arm64", {"file": b"arm"})
    content.index([arm, content.image("amd64", {"file": b"amd"})], tag="1")
"""

from __future__ import annotations

import gzip
import json
import urllib.parse
import urllib.request
from typing import Any, Protocol

from tests.support.badregistry import CONFIG, LAYER, MANIFEST, layer_tar
from tests.support.digests import digest_of

INDEX = "application/vnd.oci.image.index.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
Entry = dict[str, Any]
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Addressed(Protocol):
    """A registry that has an address."""

    address: str


class Content:
    """Makes content of one repository.

    Args:
        registry: Where it goes.
        repository: "app".
    """

    def __init__(self, registry: Addressed, repository: str) -> None:
        self._base = f"http://{registry.address}/v2/{repository}"
        self.repository = f"{registry.address}/{repository}"

    def blob(self, data: bytes, media_type: str) -> Entry:
        """Put a blob; return its descriptor."""
        begun = self._send("POST", f"{self._base}/blobs/uploads/", b"")
        joint = "&" if "?" in begun else "?"
        query = urllib.parse.urlencode({"digest": digest_of(data)})
        self._send("PUT", f"{begun}{joint}{query}", data)
        return descriptor(data, media_type)

    def put(self, value: Entry | bytes, media_type: str, tag: str = "") -> Entry:
        """Put a manifest or index; return its descriptor."""
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        target = tag or digest_of(data)
        self._send("PUT", f"{self._base}/manifests/{target}", data, media_type)
        return descriptor(data, media_type)

    def image(
        self,
        architecture: str,
        files: dict[str, bytes] | bytes,
        tag: str = "",
        variant: str = "",
        cmd: str = "sh",
    ) -> Entry:
        """Put an image of one layer; return its entry in an index."""
        tar = files if isinstance(files, bytes) else layer_tar(files)
        platform = {"os": "linux", "architecture": architecture}
        if variant:
            platform["variant"] = variant
        config = {
            **platform,
            "config": {"Cmd": [cmd]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar)]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(config).encode(), CONFIG),
            "layers": [self.blob(gzip.compress(tar, 1, mtime=0), LAYER)],
        }
        return {**self.put(manifest, MANIFEST, tag), "platform": platform}

    def attestation(self, subject: Entry) -> Entry:
        """Put an attestation as BuildKit makes them: an image manifest of layers that are not layers."""
        config = {
            "os": "unknown",
            "architecture": "unknown",
            "rootfs": {"type": "layers", "diff_ids": [digest_of(b"{}")]},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.blob(json.dumps(config).encode(), CONFIG),
            "layers": [self.blob(json.dumps({"of": subject["digest"]}).encode(), IN_TOTO)],
        }
        return {
            **self.put(manifest, MANIFEST),
            "platform": {"os": "unknown", "architecture": "unknown"},
            "annotations": {
                "vnd.docker.reference.type": "attestation-manifest",
                "vnd.docker.reference.digest": subject["digest"],
            },
        }

    def index(self, entries: list[Entry], tag: str = "") -> Entry:
        """Put an index; return its descriptor."""
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
        return self.put(value, INDEX, tag)

    def get(self, target: str) -> Any:
        """Return a manifest or index that the registry has."""
        request = urllib.request.Request(
            f"{self._base}/manifests/{target}",
            headers={"Accept": f"{INDEX}, {MANIFEST}"},
        )
        with _opener.open(request, timeout=10) as answer:
            return json.loads(answer.read())

    def _send(self, method: str, url: str, data: bytes, media_type: str = "") -> str:
        """Send; return the Location of the answer."""
        kind = media_type or "application/octet-stream"
        request = urllib.request.Request(
            url, data=data, method=method, headers={"Content-Type": kind}
        )
        with _opener.open(request, timeout=10) as answer:
            return urllib.parse.urljoin(url, str(answer.headers.get("Location", "")))


def descriptor(data: bytes, media_type: str) -> Entry:
    """Return a descriptor."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}
