"""Images whose parts are named by SHA-512, the other algorithm of the image specification."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from scow.api.image.v1 import archive_pb2, image_pb2, store_pb2
from scow.api.image.v1.archive_pb2_grpc import ArchiveServiceStub
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.image.v1.store_pb2_grpc import StoreServiceStub
from tests.support.digests import digest_of
from tests.support.distribution import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    Answer,
    Api,
    Image,
)
from tests.support.service import Service
from tests.support.serving import Serving

BYTES = "application/octet-stream"


def sha512(data: bytes) -> str:
    return f"sha512:{hashlib.sha512(data).hexdigest()}"


def described(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha512(data), "size": len(data)}


def manifest_of(image: Image) -> bytes:
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": described(image.config, OCI_CONFIG),
        "layers": [described(image.layer, OCI_LAYER)],
    }
    return json.dumps(value).encode()


def push_blob(api: Api, name: str, data: bytes) -> Answer:
    where = f"/v2/{name}/blobs/uploads/?digest={sha512(data)}"
    return api.call("POST", where, data, Content_Type=BYTES)


def push(api: Api, name: str, image: Image, reference: str = "") -> str:
    """Push an image; return its manifest's digest."""
    for blob in image.blobs.values():
        assert push_blob(api, name, blob).status == 201
    manifest = manifest_of(image)
    answer = api.push(name, reference or sha512(manifest), manifest, OCI_MANIFEST)
    assert answer.status == 201, answer
    return answer.header("Docker-Content-Digest")


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with Serving() as own:
        yield own


@pytest.mark.parametrize("query", ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"])
def test_an_upload(serving: Serving, query: str) -> None:
    """Whether or not it was announced by which algorithm the blob is named."""
    data = b"piece" * 300_000 + query.encode()
    begun = serving.api.call("POST", f"/v2/up/loads/blobs/uploads/{query}")
    where = begun.header("Location")
    half = len(data) // 2
    assert serving.api.call("PATCH", where, data[:half], Content_Type=BYTES).status == 202
    done = serving.api.call("PUT", f"{where}?digest={sha512(data)}", data[half:])
    assert done.status == 201
    assert done.header("Docker-Content-Digest") == sha512(data)
    assert serving.api.call("GET", done.header("Location")).body == data
    assert serving.api.call("HEAD", f"/v2/up/loads/blobs/{digest_of(data)}").status == 404


def test_an_upload_goes_on_after_a_restart() -> None:
    data = b"rest" * 100_000
    with Serving() as own:
        where = own.api.call("POST", "/v2/up/blobs/uploads/?digest-algorithm=sha512").header(
            "Location"
        )
        own.api.call("PATCH", where, data[:1000], Content_Type=BYTES)
        own.kill_and_restart()
        own.api.call("PATCH", where, data[1000:], Content_Type=BYTES)
        assert own.api.call("PUT", f"{where}?digest={sha512(data)}").status == 201


def test_wrong_and_unknown_digests(serving: Serving) -> None:
    api = serving.api
    wrong = f"/v2/bad/blobs/uploads/?digest={sha512(b'y')}"
    assert api.call("POST", wrong, b"x", Content_Type=BYTES).code == "DIGEST_INVALID"
    unknown = "/v2/bad/blobs/uploads/?digest-algorithm=md5"
    assert api.call("POST", unknown).code == "DIGEST_INVALID"
    manifest = manifest_of(Image("not pushed"))
    refused = api.push("bad", sha512(manifest), manifest, OCI_MANIFEST)
    assert refused.code == "MANIFEST_BLOB_UNKNOWN"
    refused = api.push("bad", sha512(b"another"), manifest, OCI_MANIFEST)
    assert refused.code == "DIGEST_INVALID"


def test_manifests_and_indexes(serving: Serving) -> None:
    api, image = serving.api, Image("by 512")
    digest = push(api, "m/one", image)
    assert digest == sha512(manifest_of(image))
    assert api.call("GET", f"/v2/m/one/manifests/{digest}").body == manifest_of(image)
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [described(manifest_of(image), OCI_MANIFEST)],
        "subject": described(manifest_of(image), OCI_MANIFEST),
    }
    index = json.dumps(value).encode()
    assert api.push("m/one", sha512(index), index, OCI_INDEX).header("OCI-Subject") == digest
    (found,) = api.call("GET", f"/v2/m/one/referrers/{digest}").json["manifests"]
    assert found["digest"] == sha512(index)
    assert api.call("DELETE", f"/v2/m/one/manifests/{sha512(index)}").status == 202
    for each in (sha512(index), digest):  # the second was there for the first
        assert api.call("GET", f"/v2/m/one/manifests/{each}").status == 404


def test_a_tag_has_the_digest_that_the_engine_makes(serving: Serving) -> None:
    image = Image("tagged")
    assert push(serving.api, "m/tagged", image, "1") == digest_of(manifest_of(image))


def test_another_node_pulls_saves_and_loads_it(serving: Serving) -> None:
    image = Image("to be pulled")
    digest = push(serving.api, "m/pulled", image)
    with Service("image") as node, Service("image") as third:
        stub: Any = ImageServiceStub(node.channel)
        request = image_pb2.PullRequest(reference=f"{serving.address}/m/pulled@{digest}")
        pulled = [*stub.Pull(request)][-1].image
        assert pulled.id == sha512(image.config)
        assert stub.Get(image_pb2.GetRequest(image=pulled.id[7:19])).image.id == pulled.id
        store: Any = StoreServiceStub(node.channel)
        found = [each for each in store.Check(store_pb2.CheckRequest()) if each.HasField("finding")]
        assert not found
        archives: Any = ArchiveServiceStub(node.channel)
        saved = list(archives.Save(archive_pb2.SaveRequest(images=[pulled.id])))
        others: Any = ArchiveServiceStub(third.channel)
        requests = [archive_pb2.LoadRequest(open=archive_pb2.LoadRequest.Open())]
        requests += [archive_pb2.LoadRequest(chunk=each.chunk) for each in saved]
        list(others.Load(iter(requests)))
        other: Any = ImageServiceStub(third.channel)
        assert other.Get(image_pb2.GetRequest(image=pulled.id)).image.id == pulled.id


def test_layers_that_are_named_by_it_in_a_configuration_are_refused(serving: Serving) -> None:
    image = Image("foreign diff id")
    config = json.loads(image.config)
    config["rootfs"]["diff_ids"] = [sha512(b"the tar")]
    image.config = json.dumps(config).encode()
    image.blobs = {digest_of(blob): blob for blob in (image.config, image.layer)}
    digest = push(serving.api, "m/foreign", image)
    with Service("image") as node, pytest.raises(grpc.RpcError) as caught:
        stub: Any = ImageServiceStub(node.channel)
        list(stub.Pull(image_pb2.PullRequest(reference=f"{serving.address}/m/foreign@{digest}")))
    assert "not by the SHA-256 of its tar" in str(caught.value)
