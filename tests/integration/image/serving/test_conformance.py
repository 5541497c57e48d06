"""The distribution specification 1.1, endpoint by endpoint ("end-1" to "end-13") and error by error."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from tests.support.digests import digest_of
from tests.support.distribution import (
    OCI_INDEX,
    OCI_MANIFEST,
    Answer,
    Api,
    Image,
    artifact,
    descriptor,
    index_of,
)
from tests.support.serving import Serving

NOBODY = "sha256:" + "0" * 64
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IMAGE = Image("conformance")
BLOB = digest_of(IMAGE.layer)
# An image whose blobs the repository has, and whose manifest it does not.
UNPUSHED = Image("conformance", more={"annotations": {"a": "b"}})
_DIGESTS = {
    "blob": BLOB,
    "manifest": IMAGE.digest,
    "nobody": NOBODY,
    "unpushed": UNPUSHED.digest,
}
CONTENT = {
    "unpushed": UNPUSHED.manifest,
    "unknown layer": Image("not here").manifest,
    "unknown child": index_of(Image("not here")),
    "child that is a blob": json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [descriptor(IMAGE.layer, OCI_MANIFEST)],
        }
    ).encode(),
    "wrong size": UNPUSHED.manifest.replace(f'"size": {len(IMAGE.layer)}'.encode(), b'"size": 1'),
    "too large": b" " * 70000 + UNPUSHED.manifest,
    "too many": json.dumps(
        {
            "schemaVersion": 2,
            "config": descriptor(b"{}", "x/y"),
            "layers": [descriptor(b"{}", "x/y")] * 101,
        }
    ).encode(),
}


@dataclass(frozen=True)
class Case:
    """A request, and what must be answered."""

    name: str
    method: str
    path: str
    status: int
    code: str = ""
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)


def _put(name: str, reference: str, body: bytes, status: int, code: str, kind: str = "") -> Case:
    headers = {"Content_Type": kind or OCI_MANIFEST}
    return Case(name, "PUT", f"/v2/c/i/manifests/{reference}", status, code, body, headers)


def _read(name: str, path: str, status: int, code: str = "", **answers: str) -> list[Case]:
    """GET, and HEAD with the same status and headers."""
    named = {key.replace("_", "-"): value for key, value in answers.items()}
    return [
        Case(f"{method} {name}", method, path, status, code, answers=named)
        for method in ("GET", "HEAD")
    ]


_M, _B, _U = "/v2/c/i/manifests", "/v2/c/i/blobs", "/v2/c/i/blobs/uploads"
CASES = [
    # end-1
    *_read("ping", "/v2/", 200, Docker_Distribution_Api_Version="registry/2.0"),
    *_read("ping without the slash", "/v2", 200),
    Case("ping by POST", "POST", "/v2/", 405, "UNSUPPORTED"),
    *_read("nothing", "/", 404, "UNSUPPORTED"),
    *_read("another version", "/v1/", 404, "UNSUPPORTED"),
    *_read("an unknown route", "/v2/c/i/things/x", 404, "UNSUPPORTED"),
    # end-2
    *_read("blob", f"{_B}/{{blob}}", 200, Docker_Content_Digest=BLOB,
           Content_Length=str(len(IMAGE.layer)), Content_Type="application/octet-stream"),
    *_read("blob, digest quoted", f"{_B}/{BLOB.replace(':', '%3A')}", 200),
    *_read("unknown blob", f"{_B}/{{nobody}}", 404, "BLOB_UNKNOWN"),
    *_read("bad digest", f"{_B}/sha256:abc", 400, "DIGEST_INVALID"),
    *_read("digest of another kind", f"{_B}/sha512:{'0' * 128}", 404, "BLOB_UNKNOWN"),
    *_read("manifest by another kind", f"{_M}/sha512:{'0' * 128}", 404, "MANIFEST_UNKNOWN"),
    *_read("digest of no kind", f"{_B}/sha512:{'0' * 127}", 400, "DIGEST_INVALID"),
    *_read("digest in capitals", f"{_B}/{BLOB.upper()}", 400, "DIGEST_INVALID"),
    *_read("bad name", f"/v2/C/i/blobs/{BLOB}", 400, "NAME_INVALID"),
    *_read("name with an empty part", f"/v2/c//i/blobs/{BLOB}", 400, "NAME_INVALID"),
    *_read("long name", f"/v2/{'a' * 300}/blobs/{BLOB}", 400, "NAME_INVALID"),
    *_read("bad namespace", f"{_B}/{BLOB}?ns=nohost", 400, "NAME_INVALID"),
    # end-3
    *_read("manifest by tag", f"{_M}/1", 200, Docker_Content_Digest=IMAGE.digest,
           Content_Type=OCI_MANIFEST, Content_Length=str(len(IMAGE.manifest))),
    *_read("manifest by digest", f"{_M}/{{manifest}}", 200, Docker_Content_Digest=IMAGE.digest),
    *_read("unknown tag", f"{_M}/2", 404, "MANIFEST_UNKNOWN"),
    *_read("tag that is none", f"{_M}/-", 404, "MANIFEST_UNKNOWN"),
    *_read("unknown digest", f"{_M}/{{nobody}}", 404, "MANIFEST_UNKNOWN"),
    *_read("a blob is not a manifest", f"{_M}/{{blob}}", 404, "MANIFEST_UNKNOWN"),
    *_read("unknown repository", "/v2/c/nobody/manifests/1", 404, "MANIFEST_UNKNOWN"),
    *_read("bad digest of a manifest", f"{_M}/sha256:abc", 400, "DIGEST_INVALID"),
    Case("a manifest that one has", "GET", f"{_M}/1", 304,
         headers={"If_None_Match": f'"{IMAGE.digest}"'}),
    # end-4: uploads, further cases below
    Case("upload", "POST", f"{_U}/", 202),
    Case("upload without the slash", "POST", _U, 202),
    Case("upload to a bad name", "POST", "/v2/C/blobs/uploads/", 400, "NAME_INVALID"),
    Case("at once", "POST", f"{_U}/?digest={{blob}}", 201, body=IMAGE.layer),
    Case("at once, wrong", "POST", f"{_U}/?digest={{nobody}}", 400, "DIGEST_INVALID", IMAGE.layer),
    Case("at once, bad digest", "POST", f"{_U}/?digest=md5:1", 400, "DIGEST_INVALID", b"x"),
    # end-11
    Case("mount", "POST", "/v2/c/other/blobs/uploads/?mount={blob}&from=c/i", 201),
    Case("mount of what is not there", "POST", f"{_U}/?mount={{nobody}}&from=c/i", 202),
    Case("mount from a bad name", "POST", f"{_U}/?mount={{blob}}&from=C", 202),
    Case("mount of a bad digest", "POST", f"{_U}/?mount=1&from=c/i", 202),
    Case("mount by another kind", "POST", f"{_U}/?mount=sha512:{'0' * 128}&from=c/i", 202),
    # end-5, end-6, end-13 of an upload that nobody began
    Case("append to nothing", "PATCH", f"{_U}/x", 404, "BLOB_UPLOAD_UNKNOWN", b"x"),
    Case("finish nothing", "PUT", f"{_U}/x?digest={{blob}}", 404, "BLOB_UPLOAD_UNKNOWN", b"x"),
    Case("status of nothing", "GET", f"{_U}/x", 404, "BLOB_UPLOAD_UNKNOWN"),
    Case("cancel nothing", "DELETE", f"{_U}/x", 404, "BLOB_UPLOAD_UNKNOWN"),
    # end-7
    _put("by digest", "{unpushed}", UNPUSHED.manifest, 201, ""),
    _put("by another digest", "{nobody}", UNPUSHED.manifest, 400, "DIGEST_INVALID"),
    _put("to no tag", ".bad", UNPUSHED.manifest, 400, "DIGEST_INVALID"),
    _put("to a long tag", "a" * 129, UNPUSHED.manifest, 400, "DIGEST_INVALID"),
    _put("not JSON", "n", b"{", 400, "MANIFEST_INVALID"),
    _put("nothing", "n", b"", 400, "MANIFEST_INVALID"),
    _put("a list", "n", b"[]", 400, "MANIFEST_INVALID"),
    _put("an empty object", "n", b"{}", 400, "MANIFEST_INVALID"),
    _put("of another type", "n", UNPUSHED.manifest, 400, "MANIFEST_INVALID", DOCKER_MANIFEST),
    _put("unknown layer", "n", CONTENT["unknown layer"], 400, "MANIFEST_BLOB_UNKNOWN"),
    _put("unknown child", "n", CONTENT["unknown child"], 400, "MANIFEST_BLOB_UNKNOWN", OCI_INDEX),
    _put("child that is a blob", "n", CONTENT["child that is a blob"], 400,
         "MANIFEST_BLOB_UNKNOWN", OCI_INDEX),
    _put("wrong size", "n", CONTENT["wrong size"], 400, "MANIFEST_INVALID"),
    _put("too large", "n", CONTENT["too large"], 413, "MANIFEST_INVALID"),
    _put("too many layers", "n", CONTENT["too many"], 413, "MANIFEST_INVALID"),
    # end-8
    *_read("tags", "/v2/c/i/tags/list", 200),
    *_read("tags of nobody", "/v2/c/nobody/tags/list", 404, "NAME_UNKNOWN"),
    *_read("tags, bad count", "/v2/c/i/tags/list?n=x", 400, "PAGINATION_NUMBER_INVALID"),
    *_read("tags, negative count", "/v2/c/i/tags/list?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
    *_read("catalogue", "/v2/_catalog", 200),
    *_read("catalogue, bad count", "/v2/_catalog?n=x", 400, "PAGINATION_NUMBER_INVALID"),
    # end-9, end-10
    Case("delete an unknown tag", "DELETE", f"{_M}/nobody", 404, "MANIFEST_UNKNOWN"),
    Case("delete an unknown manifest", "DELETE", f"{_M}/{{nobody}}", 404, "MANIFEST_UNKNOWN"),
    Case("delete an unknown blob", "DELETE", f"{_B}/{{nobody}}", 404, "BLOB_UNKNOWN"),
    Case("delete a blob in use", "DELETE", f"{_B}/{{blob}}", 409, "DENIED"),
    # end-12
    *_read("referrers of nothing", "/v2/c/i/referrers/{nobody}", 200, Content_Type=OCI_INDEX),
    *_read("referrers by another kind", f"/v2/c/i/referrers/sha512:{'0' * 128}", 200,
           Content_Type=OCI_INDEX),
    *_read("referrers of a bad digest", "/v2/c/i/referrers/sha256:x", 400, "DIGEST_INVALID"),
    # tokens
    Case("token where there are none", "GET", "/token", 404, "UNSUPPORTED"),
]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def content(serving: Any) -> None:
    """Push what the cases read."""
    serving.api.push_image("c/i", "1", IMAGE)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, api: Api) -> None:
    answer = api.call(case.method, case.path.format(**_DIGESTS), case.body, **case.headers)
    assert answer.status == case.status, answer.body
    for name, value in case.answers.items():
        assert answer.header(name).partition(";")[0] == value
    assert answer.header("Docker-Distribution-Api-Version") == "registry/2.0"
    if case.method == "HEAD":
        assert answer.body == b""
        assert int(answer.header("Content-Length")) > 0
    elif case.code:
        assert answer.code == case.code
        assert answer.header("Content-Type").startswith("application/json")


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=5-", 206, (5, None)),
        ("bytes=-7", 206, (-7, None)),
        ("bytes=0-999999", 206, (0, None)),
        ("bytes=-999999", 206, (0, None)),
        ("bytes=999999-", 416, None),
        ("bytes=999999999999999999999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-4", 200, (0, None)),
        ("bytes=0-1,3-4", 200, (0, None)),
        ("lines=0-1", 200, (0, None)),
        ("bytes=-", 200, (0, None)),
        ("nonsense", 200, (0, None)),
    ],
)
def test_ranges(asked: str, status: int, span: tuple[int, int | None] | None, api: Api) -> None:
    answer = api.call("GET", f"{_B}/{BLOB}", Range=asked)
    size = len(IMAGE.layer)
    assert answer.status == status
    if span is None:
        assert answer.header("Content-Range") == f"bytes */{size}"
        return
    assert answer.body == IMAGE.layer[slice(*span)]
    if status == 206:
        start = span[0] % size
        end = start + len(answer.body) - 1
        assert answer.header("Content-Range") == f"bytes {start}-{end}/{size}"


class TestUploads:
    """end-4a, end-5, end-6, end-13."""

    def test_chunks(self, api: Api) -> None:
        where = api.begin("c/up")
        size = 0
        for chunk in (b"a" * 1000, b"b" * 500, b"c"):
            span = f"{size}-{size + len(chunk) - 1}"
            answer = api.call("PATCH", where, chunk, Content_Range=span)
            size += len(chunk)
            assert (answer.status, answer.header("Range")) == (202, f"0-{size - 1}")
            where = answer.header("Location")
        status = api.call("GET", where)
        assert (status.status, status.header("Range")) == (204, "0-1500")
        whole = b"a" * 1000 + b"b" * 500 + b"c" + b"last"
        done = api.call("PUT", f"{where}?digest={digest_of(whole)}", b"last")
        assert done.status == 201
        assert api.call("GET", done.header("Location")).body == whole
        assert api.call("GET", where).code == "BLOB_UPLOAD_UNKNOWN"

    @pytest.mark.parametrize(
        ("span", "status", "code"),
        [
            ("0-4", 416, "RANGE_INVALID"),  # again
            ("9-13", 416, "RANGE_INVALID"),  # with a gap
            ("5-20", 400, "SIZE_INVALID"),
            ("5", 400, "BLOB_UPLOAD_INVALID"),
            ("-", 400, "BLOB_UPLOAD_INVALID"),
        ],
    )
    def test_chunk_out_of_order(self, span: str, status: int, code: str, api: Api) -> None:
        where = api.begin("c/up")
        assert api.call("PATCH", where, b"first").status == 202
        answer = api.call("PATCH", where, b"other", Content_Range=span)
        assert (answer.status, answer.code) == (status, code)
        assert api.call("GET", where).header("Range") == "0-4"
        done = api.call("PUT", f"{where}?digest={digest_of(b'first')}")
        assert done.status == 201

    @pytest.mark.parametrize("span", ["0-4", "9-13"])
    def test_last_chunk_out_of_order(self, span: str, api: Api) -> None:
        where = api.begin("c/up")
        assert api.call("PATCH", where, b"first").status == 202
        path = f"{where}?digest={digest_of(b'firstother')}"
        answer = api.call("PUT", path, b"other", Content_Range=span)
        assert (answer.status, answer.code) == (416, "RANGE_INVALID")
        assert answer.header("Range") == "0-4"
        assert api.call("PUT", path, b"other", Content_Range="5-9").status == 201

    def test_stream(self, api: Api) -> None:
        where = api.begin("c/up")
        data = b"stream" * 50000
        answer = api.call("PATCH", where, data, Content_Type="application/octet-stream")
        assert answer.header("Range") == f"0-{len(data) - 1}"
        assert api.call("PUT", f"{where}?digest={digest_of(data)}").status == 201

    def test_wrong_digest_ends_it(self, api: Api) -> None:
        where = api.begin("c/up")
        assert api.call("PUT", f"{where}?digest={NOBODY}", b"x").code == "DIGEST_INVALID"
        assert api.call("GET", where).code == "BLOB_UPLOAD_UNKNOWN"

    @pytest.mark.parametrize("query", ["", "?digest=", "?digest=sha512:" + "0" * 64])
    def test_bad_digest_leaves_it(self, query: str, api: Api) -> None:
        where = api.begin("c/up")
        assert api.call("PUT", where + query, b"x").code == "DIGEST_INVALID"
        assert api.call("GET", where).status == 204

    def test_a_mounted_blob_is_deleted_from_one_repository(self, api: Api) -> None:
        digest = api.push_blob("c/first", b"of two repositories")
        assert (
            api.call("POST", f"/v2/c/second/blobs/uploads/?mount={digest}&from=c/first").status
            == 201
        )
        assert api.call("DELETE", f"/v2/c/first/blobs/{digest}").status == 202
        assert api.call("HEAD", f"/v2/c/first/blobs/{digest}").status == 404
        assert api.call("HEAD", f"/v2/c/second/blobs/{digest}").status == 200

    def test_cancel(self, api: Api) -> None:
        where = api.begin("c/up")
        assert api.call("DELETE", where).status == 204
        assert api.call("PATCH", where, b"x").code == "BLOB_UPLOAD_UNKNOWN"

    def test_belongs_to_its_repository(self, api: Api) -> None:
        where = api.begin("c/up").replace("c/up", "c/down")
        assert api.call("PATCH", where, b"x").code == "BLOB_UPLOAD_UNKNOWN"

    def test_limit(self, api: Api) -> None:
        where = api.begin("c/up")
        answer = api.call("PATCH", where, b"x" * (9 << 20))
        assert (answer.status, answer.code) == (413, "SIZE_INVALID")
        assert api.call("GET", where).code == "BLOB_UPLOAD_UNKNOWN"


class TestLists:
    """end-8, the catalogue."""

    def pages(self, api: Api, path: str, key: str) -> list[list[str]]:
        found = []
        while path:
            answer = api.call("GET", path)
            assert answer.status == 200
            found.append(answer.json[key])
            path = answer.header("Link").partition("<")[2].partition(">")[0]
        return found

    def test_tags(self, api: Api) -> None:
        api.push_image("c/tags", "b", IMAGE)
        for tag in ("a", "C", "c"):
            assert api.push("c/tags", tag, IMAGE.manifest, OCI_MANIFEST).status == 201
        listed = api.call("GET", "/v2/c/tags/tags/list").json
        assert listed == {"name": "c/tags", "tags": ["C", "a", "b", "c"]}
        assert self.pages(api, "/v2/c/tags/tags/list?n=3", "tags") == [["C", "a", "b"], ["c"]]
        assert self.pages(api, "/v2/c/tags/tags/list?n=4", "tags") == [["C", "a", "b", "c"]]
        assert self.pages(api, "/v2/c/tags/tags/list?n=0", "tags") == [[]]
        assert self.pages(api, "/v2/c/tags/tags/list?last=a", "tags") == [["b", "c"]]
        assert self.pages(api, "/v2/c/tags/tags/list?last=zz", "tags") == [[]]

    def test_catalogue(self, api: Api) -> None:
        for name in ("k.example/z", "k.example/y", "k.example/x"):
            api.push_image(name, "1", IMAGE)
        names = self.pages(api, "/v2/_catalog?n=1&last=k.example", "repositories")
        assert names[:3] == [["k.example/x"], ["k.example/y"], ["k.example/z"]]
        assert self.pages(api, "/v2/_catalog?ns=k.example&n=2", "repositories") == [
            ["x", "y"],
            ["z"],
        ]


class TestReferrers:
    """end-12a, end-12b; OCI-Subject of end-7."""

    def refer(self, api: Api, data: bytes, reference: str = "") -> Answer:
        api.push_blob("c/ref", b"{}")
        return api.push("c/ref", reference or digest_of(data), data, OCI_MANIFEST)

    def list(self, api: Api, query: str = "") -> Answer:
        return api.call("GET", f"/v2/c/ref/referrers/{IMAGE.digest}{query}")

    def test_referrers(self, api: Api) -> None:
        # What refers to a manifest may come before it.
        signature = artifact("test/signature", IMAGE.manifest, by="me")
        pushed = self.refer(api, signature)
        assert pushed.header("OCI-Subject") == IMAGE.digest
        api.push_image("c/ref", "1", IMAGE)
        sbom = artifact("test/sbom", IMAGE.manifest)
        self.refer(api, sbom, "sbom")
        answer = self.list(api)
        assert answer.header("Content-Type") == OCI_INDEX  # exactly: no charset
        index = answer.json
        assert (index["schemaVersion"], index["mediaType"]) == (2, OCI_INDEX)
        found = {entry["digest"]: entry for entry in index["manifests"]}
        assert found[digest_of(signature)] == {
            "mediaType": OCI_MANIFEST,
            "digest": digest_of(signature),
            "size": len(signature),
            "artifactType": "test/signature",
            "annotations": {"by": "me"},
        }
        assert found.keys() == {digest_of(signature), digest_of(sbom)}

        some = self.list(api, "?artifactType=test/sbom")
        assert some.header("OCI-Filters-Applied") == "artifactType"
        assert [entry["digest"] for entry in some.json["manifests"]] == [digest_of(sbom)]
        first = self.list(api, "?n=1")
        assert len(first.json["manifests"]) == 1
        rest = api.call("GET", first.header("Link").partition("<")[2].partition(">")[0])
        assert len(rest.json["manifests"]) == 1
        assert "Link" not in rest.headers

        assert api.call("DELETE", f"/v2/c/ref/manifests/{digest_of(signature)}").status == 202
        left = self.list(api).json["manifests"]
        assert [entry["digest"] for entry in left] == [digest_of(sbom)]

    def test_type_of_the_configuration(self, api: Api) -> None:
        """An artifact without a type of its own has that of its configuration."""
        value = json.loads(artifact("", IMAGE.manifest))
        value["config"]["mediaType"] = "test/config"
        data = json.dumps(value).encode()
        self.refer(api, data)
        found = {entry["digest"]: entry for entry in self.list(api).json["manifests"]}
        assert found[digest_of(data)]["artifactType"] == "test/config"
        api.call("DELETE", f"/v2/c/ref/manifests/{digest_of(data)}")


@pytest.mark.parametrize(
    "kind",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_layers_that_may_not_be_distributed_need_not_be_here(kind: str, serving: Serving) -> None:
    """Their manifest is kept as it came; what needs the layer is told that it is not here."""
    image = Image(kind)
    value = json.loads(image.manifest)
    value["layers"][0] |= {"mediaType": kind, "urls": ["https://maker.example/layer"]}
    manifest = json.dumps(value).encode()
    name = f"c/foreign{len(kind)}"
    serving.api.push_blob(name, image.config)
    assert serving.api.push(name, "1", manifest, OCI_MANIFEST).status == 201
    found = serving.api.call("GET", f"/v2/{name}/manifests/1")
    assert (found.status, found.body) == (200, manifest)
    layer = value["layers"][0]["digest"]
    assert serving.api.call("GET", f"/v2/{name}/blobs/{layer}").code == "BLOB_UNKNOWN"
    prepare = pb.PrepareRequest(image=f"docker.io/{name}:1", owner=f"container/{name}")
    with pytest.raises(grpc.RpcError) as caught:
        serving.stub.Prepare(prepare)
    assert "not here" in str(caught.value)
    # Once somebody brings the layer, it is an image as every other.
    serving.api.push_blob(name, image.layer)
    serving.stub.Prepare(prepare)


class TestDelete:
    """end-9, end-10."""

    def test_tag(self, api: Api) -> None:
        api.push_image("c/del", "1", IMAGE)
        api.push("c/del", "2", IMAGE.manifest, OCI_MANIFEST)
        assert api.call("DELETE", "/v2/c/del/manifests/1").status == 202
        assert api.call("GET", "/v2/c/del/manifests/1").status == 404
        assert api.call("GET", "/v2/c/del/manifests/2").status == 200
        assert api.call("GET", f"/v2/c/del/manifests/{IMAGE.digest}").status == 200

    def test_manifest_and_blob(self, api: Api) -> None:
        image = Image("to be deleted")
        api.push_image("c/del2", "1", image)
        api.push("c/del2", "2", image.manifest, OCI_MANIFEST)
        assert api.call("DELETE", f"/v2/c/del2/manifests/{image.digest}").status == 202
        for reference in ("1", "2", image.digest):
            assert api.call("GET", f"/v2/c/del2/manifests/{reference}").status == 404
        assert api.call("GET", f"/v2/c/del2/blobs/{image.id}").status == 404
        blob = api.push_blob("c/del2", b"blob alone")
        assert api.call("DELETE", f"/v2/c/del2/blobs/{blob}").status == 202
        assert api.call("HEAD", f"/v2/c/del2/blobs/{blob}").status == 404


def test_an_index_keeps_its_bytes(api: Api) -> None:
    """Bytes and media types come back as they were sent, also Docker's."""
    one, two = Image("one"), Image("two", "arm64")
    for image in (one, two):
        api.push_image("c/multi", image.digest, image)
    index = index_of(one, two).replace(b'"manifests"', b' "x": 1,\n "manifests"')
    answer = api.push("c/multi", "all", index, OCI_INDEX)
    assert (answer.status, answer.header("Docker-Content-Digest")) == (201, digest_of(index))
    found = api.call("GET", "/v2/c/multi/manifests/all")
    assert (found.body, found.header("Content-Type")) == (index, OCI_INDEX)
    assert api.call("GET", f"/v2/c/multi/manifests/{two.digest}").body == two.manifest


def test_bytes_are_kept_as_they_come(api: Api) -> None:
    """A body that says that it is compressed is stored compressed."""
    data = IMAGE.layer
    path = f"/v2/c/gz/blobs/uploads/?digest={BLOB}"
    assert api.call("POST", path, data, Content_Encoding="gzip").status == 201
    assert api.call("GET", f"/v2/c/gz/blobs/{BLOB}", Accept_Encoding="gzip").body == data
