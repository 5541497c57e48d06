"""Manifests, indexes and configurations that lie, pulled by the running service: each error names what and which.

The `service` fixture sees to it that nothing is left behind.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.contract import errors
from scow.contract.errors import ScowError
from tests.support.badregistry import INDEX, MANIFEST, BadRegistry, Handler, layer_tar
from tests.support.digests import digest_of
from tests.support.imageservice import pull
from tests.support.service import Service

TAR = layer_tar({"file": b"content" * 1000})
OTHER = "sha256:" + "ab" * 32
Value = dict[str, Any]


def fails(service: Service, registry: BadRegistry, error: type[ScowError], words: str) -> ScowError:
    """Pull, and check the error: its class, something of its message, and what to do."""
    with registry, pytest.raises(error) as caught:
        pull(service, registry.reference)
    assert type(caught.value) is error
    assert words in caught.value.message
    assert caught.value.which
    assert caught.value.metadata["what"]
    assert caught.value.metadata["do"]
    return caught.value


def edit(registry: BadRegistry, **changes: Any) -> None:
    """Change the manifest's fields."""
    registry.manifest = json.dumps({**json.loads(registry.manifest), **changes}).encode()


def edit_layer(registry: BadRegistry, **changes: Any) -> None:
    """Change the fields of the first layer in the manifest."""
    layer, *rest = json.loads(registry.manifest)["layers"]
    edit(registry, layers=[{**layer, **changes}, *rest])


def edit_config(registry: BadRegistry, **changes: Any) -> None:
    """Change the configuration's fields, and what the manifest says of it."""
    value = {**json.loads(registry.blobs[registry.config]), **changes}
    put_config(registry, json.dumps(value).encode())


def put_config(registry: BadRegistry, data: bytes) -> None:
    """Replace the configuration by any bytes."""
    registry.blobs[digest_of(data)] = data
    about = json.loads(registry.manifest)["config"]
    edit(registry, config={**about, "digest": digest_of(data), "size": len(data)})


DESCRIPTORS: dict[str, Value] = {
    "a negative size": {"size": -1},
    "a size with a fraction": {"size": 100.5},
    "a whole size that is a float": {"size": 100.0},
    "a size that is true": {"size": True},
    "a size that is text": {"size": "100"},
    "a size of 64 bits": {"size": 1 << 63},
    "a size of a hundred digits": {"size": 10**100},
    "no size": {"size": None},
    "no digest": {"digest": None},
    "a digest with large letters": {"digest": "sha256:" + "AB" * 32},
    "a short digest": {"digest": "sha256:abcd"},
    "a digest that leads out": {"digest": "sha256:../../../../../etc/passwd"},
    "another algorithm with too few digits": {"digest": "sha512:" + "ab" * 32},
    "an algorithm that is none": {"digest": "md5:" + "ab" * 16},
    "a newline after the digest": {"digest": OTHER + "\n"},
    "a media type that is a list": {"mediaType": ["x"]},
    "a media type without an end": {"mediaType": "x" * 100_000},
}


@pytest.mark.parametrize("name", DESCRIPTORS)
@pytest.mark.parametrize("part", ["layer", "configuration", "index"])
def test_descriptors(service: Service, name: str, part: str) -> None:
    registry = BadRegistry([TAR])
    if part == "layer":
        edit_layer(registry, **DESCRIPTORS[name])
    elif part == "configuration":
        edit(registry, config={**json.loads(registry.manifest)["config"], **DESCRIPTORS[name]})
    else:
        registry.index([{**registry.entry(), **DESCRIPTORS[name]}])
    found = fails(service, registry, errors.InvalidManifest, "")
    assert next(iter(DESCRIPTORS[name])) in found.message or "size" in found.message


def _nested(depth: int) -> Callable[[BadRegistry], None]:
    def make(registry: BadRegistry) -> None:
        registry.index([registry.entry()])
        for _ in range(depth - 1):
            registry.index([{**registry.entry(), "platform": None}])

    return make


def _manifest(data: bytes) -> Callable[[BadRegistry], None]:
    def make(registry: BadRegistry) -> None:
        registry.manifest = data

    return make


def _config(data: bytes) -> Callable[[BadRegistry], None]:
    return lambda registry: put_config(registry, data)


def _twice(registry: BadRegistry) -> None:
    """Let one blob stand for two layers."""
    layer = json.loads(registry.manifest)["layers"][0]
    edit_config(registry, rootfs={"diff_ids": [digest_of(TAR), OTHER]})
    edit(registry, layers=[layer, layer])


def _is_both(registry: BadRegistry) -> None:
    edit(registry, manifests=[registry.entry()])


def _platforms(count: int) -> Callable[[BadRegistry], None]:
    def make(registry: BadRegistry) -> None:
        entry = registry.entry()
        names = [{"os": "plan9", "architecture": "p" * 100 + str(at)} for at in range(count)]
        registry.index([{**entry, "platform": name} for name in names])

    return make


_NO_JSON = "is not JSON"
_RAW = json.dumps({"schemaVersion": 2, "layers": []})
CASES: dict[str, tuple[Callable[[BadRegistry], None], type[ScowError], str]] = {
    "the configuration's size": (
        lambda r: edit(r, config={**json.loads(r.manifest)["config"], "size": 5}),
        errors.DigestMismatch,
        "not 5",
    ),
    "the configuration's bytes": (
        lambda r: r.blobs.update({r.config: r.blobs[r.config] + b" "}),
        errors.DigestMismatch,
        "was sent with",
    ),
    "the configuration is not there": (
        lambda r: edit(r, config={"digest": OTHER, "size": 5}),
        errors.ManifestNotFound,
        "no blob",
    ),
    "a layer that is not there": (
        lambda r: edit_layer(r, digest=OTHER),
        errors.ManifestNotFound,
        "no blob",
    ),
    "a layer that is larger": (
        lambda r: edit_layer(r, size=10),
        errors.DigestMismatch,
        "more than",
    ),
    "a layer that is smaller": (
        lambda r: edit_layer(r, size=10_000),
        errors.RegistryUnavailable,
        "ended the blob",
    ),
    "a layer that is empty": (lambda r: edit_layer(r, size=0), errors.DigestMismatch, "0 bytes"),
    "a layer of an exabyte": (
        lambda r: edit_layer(r, size=1 << 60),
        errors.LimitExceeded,
        str(1 << 60),
    ),
    "a layer of another kind": (
        lambda r: edit_layer(r, mediaType="application/x-shockwave"),
        errors.InvalidManifest,
        "not an image",
    ),
    "a configuration of another kind": (
        lambda r: edit(r, config={**json.loads(r.manifest)["config"], "mediaType": "text/x"}),
        errors.InvalidManifest,
        "not an image",
    ),
    "another layer's diff id": (
        lambda r: edit_config(r, rootfs={"diff_ids": [OTHER]}),
        errors.DigestMismatch,
        OTHER,
    ),
    "less diff ids than layers": (
        lambda r: edit_config(r, rootfs={"diff_ids": []}),
        errors.InvalidManifest,
        "1 layers and 0",
    ),
    "more diff ids than layers": (
        lambda r: edit_config(r, rootfs={"diff_ids": [OTHER] * 10_000}),
        errors.InvalidManifest,
        "1 layers and 10000",
    ),
    "one blob for two layers": (_twice, errors.InvalidManifest, "two different layers"),
    "ten thousand layers": (
        lambda r: edit(r, layers=json.loads(r.manifest)["layers"] * 10_000),
        errors.LimitExceeded,
        "10000 layers",
    ),
    "a manifest and an index at once": (_is_both, errors.InvalidManifest, "at once"),
    "a manifest that says it is an index": (
        lambda r: edit(r, mediaType=INDEX),
        errors.InvalidManifest,
        "manifests",
    ),
    "an unknown kind of manifest": (
        lambda r: edit(r, mediaType="application/x-unknown"),
        errors.InvalidManifest,
        "application/x-unknown",
    ),
    "a kind that is a number": (lambda r: edit(r, mediaType=5), errors.InvalidManifest, "5"),
    "an old schema": (lambda r: edit(r, schemaVersion=1), errors.InvalidManifest, "version"),
    "a huge manifest": (
        lambda r: edit(r, padding="x" * (5 << 20)),
        errors.LimitExceeded,
        "manifest",
    ),
    "a huge configuration": (
        lambda r: edit_config(r, padding="x" * (9 << 20)),
        errors.LimitExceeded,
        "configuration",
    ),
    "two equal keys": (
        _manifest(_RAW[:-1].encode() + b', "layers": [5]}'),
        errors.InvalidManifest,
        _NO_JSON,
    ),
    "deep nesting": (
        _manifest(b'{"schemaVersion": 2, "layers": ' + b"[" * 100_000),
        errors.InvalidManifest,
        _NO_JSON,
    ),
    "no UTF-8": (_manifest(b'{"schemaVersion": 2, "\xff": 1}'), errors.InvalidManifest, _NO_JSON),
    "UTF-16": (_manifest(_RAW.encode("utf-16")), errors.InvalidManifest, _NO_JSON),
    "half a character": (
        lambda r: edit(r, artifactType="\ud800"),
        errors.InvalidManifest,
        _NO_JSON,
    ),
    "a page of a hotel": (_manifest(b"<html>Log in!</html>"), errors.InvalidManifest, _NO_JSON),
    "a configuration with two equal keys": (
        _config(b'{"os": "linux", "os": "plan9"}'),
        errors.InvalidManifest,
        _NO_JSON,
    ),
    "a configuration with half a character": (
        lambda r: edit_config(r, author="\udfff"),
        errors.InvalidManifest,
        _NO_JSON,
    ),
    "a configuration that is a list": (_config(b"[]"), errors.InvalidManifest, "not a JSON object"),
    "a configuration that nests deep": (
        _config(b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        errors.InvalidManifest,
        _NO_JSON,
    ),
    "a time that is none": (
        lambda r: edit_config(r, created="yesterday"),
        errors.InvalidManifest,
        "yesterday",
    ),
    "an architecture that is a number": (
        lambda r: edit_config(r, architecture=64),
        errors.InvalidManifest,
        "64",
    ),
    "labels that are numbers": (
        lambda r: edit_config(r, config={"Labels": {"a": 1}}),
        errors.InvalidManifest,
        "a",
    ),
    "an environment that is text": (
        lambda r: edit_config(r, config={"Env": "A=1"}),
        errors.InvalidManifest,
        "Env",
    ),
    "a health check of forever": (
        lambda r: edit_config(r, config={"Healthcheck": {"Interval": 10**30}}),
        errors.InvalidManifest,
        "wrong kind",
    ),
    "a history that is a number": (
        lambda r: edit_config(r, history=7),
        errors.InvalidManifest,
        "history 7",
    ),
    "a history of texts": (
        lambda r: edit_config(r, history=["RUN x"]),
        errors.InvalidManifest,
        "RUN x",
    ),
    "an inner configuration that is a list": (
        lambda r: edit_config(r, config=[1]),
        errors.InvalidManifest,
        "config [1]",
    ),
    "a diff id that is none": (
        lambda r: edit_config(r, rootfs={"diff_ids": ["../../etc"]}),
        errors.InvalidManifest,
        "layer digests",
    ),
    "indexes in indexes": (_nested(5), errors.InvalidManifest, "indexes within indexes"),
    "an index without manifests": (
        lambda r: r.index([]),
        errors.PlatformNotFound,
        "none",
    ),
    "an index of ten thousand": (
        lambda r: r.index([r.entry()] * 10_000),
        errors.LimitExceeded,
        "10000",
    ),
    "an index with a wrong size": (
        lambda r: r.index([{**r.entry(), "size": 7}]),
        errors.InvalidManifest,
        "7 bytes",
    ),
    "an index that names nothing": (
        lambda r: r.index([{**r.entry(), "digest": OTHER}]),
        errors.ManifestNotFound,
        "no image",
    ),
    "an index of a hundred other platforms": (
        _platforms(100),
        errors.PlatformNotFound,
        "plan9",
    ),
    "a platform that is a number": (
        lambda r: r.index([{**r.entry(), "platform": {"os": "linux", "architecture": 64}}]),
        errors.InvalidManifest,
        "64",
    ),
    "an entry that is text": (
        lambda r: r.index(["linux/amd64"]),
        errors.InvalidManifest,
        "not an object",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_documents(service: Service, name: str) -> None:
    make, error, words = CASES[name]
    registry = BadRegistry([TAR])
    make(registry)
    fails(service, registry, error, words)


@pytest.mark.parametrize("self_referring", [True, False])
def test_indexes_in_a_circle(service: Service, self_referring: bool) -> None:
    """A digest cannot name itself, so the registry has to send other bytes for it."""
    registry = BadRegistry([TAR])
    registry.index([registry.entry()])
    inner = registry.entry()
    registry.index([{**inner, "platform": None, "mediaType": INDEX}])
    outer, asked = registry.manifest, digest_of(registry.manifest if self_referring else b"")
    first = json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX, "manifests": [{**inner, "digest": asked}]}
    ).encode()

    def circle(handler: Handler) -> bool:
        if "/manifests/" not in handler.path:
            return False
        handler.send(first if handler.path.endswith(asked) else outer, INDEX)
        return True

    registry.manifest = first
    registry.misbehave = circle
    fails(service, registry, errors.DigestMismatch, inner["digest"])


def test_addresses_given_by_strangers_are_not_asked(service: Service) -> None:
    unseen = layer_tar({"file": b"sent by nobody, so that no earlier download can go on"})
    with BadRegistry([unseen]) as elsewhere:
        registry = BadRegistry([unseen])
        url = f"http://{elsewhere.address}{registry.layer_path}"
        registry.blobs.pop(digest_of(registry.layers[0]))
        kind = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
        edit_layer(registry, mediaType=kind, urls=[url, "file:///etc/passwd"])
        fails(service, registry, errors.ManifestNotFound, "no blob")
    assert elsewhere.requests == []


def test_a_layer_that_is_too_large_is_not_begun(service: Service) -> None:
    registry = BadRegistry([TAR])
    edit_layer(registry, size=(64 << 20) + 1)
    fails(service, registry, errors.LimitExceeded, str((64 << 20) + 1))
    assert not any(registry.layer_path in request for request in registry.requests)


def layers_times(registry: BadRegistry, count: int) -> None:
    """Let the image have its layer several times, or not at all."""
    edit(registry, layers=json.loads(registry.manifest)["layers"] * count)
    edit_config(registry, rootfs={"diff_ids": [digest_of(TAR)] * count})


ODD: dict[str, Callable[[BadRegistry], None]] = {
    "no layers": lambda r: layers_times(r, 0),
    "one layer twice": lambda r: layers_times(r, 2),
    "fields from the future": lambda r: edit(r, future={"a": [None]}, annotations={"b": "\u00e9"}),
    "no kind of its own": lambda r: edit(r, mediaType=None),
    "the year one": lambda r: edit_config(r, created="0001-01-01T00:00:00Z"),
    "a label of null": lambda r: edit_config(r, config={"Labels": {"a": None}}),
    "an index in an index": _nested(2),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_but_legal(service: Service, name: str) -> None:
    with BadRegistry([TAR]) as registry:
        ODD[name](registry)
        pull(service, registry.reference)
        ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image=registry.reference))


def test_a_poisoned_download_is_begun_again(service: Service) -> None:
    """A liar sends wrong bytes of somebody else's layer and hangs up; the honest registry is pulled from next."""
    with BadRegistry([TAR]) as liar, BadRegistry([TAR]) as honest:
        first = iter([True])

        def poison(handler: Handler) -> bool:
            if handler.path != liar.layer_path:
                return False
            if next(first, False):
                return handler.cut(b"\x1f\x8b poison" + liar.layers[0][9:], 60)
            return handler.refuse(503)

        liar.misbehave = poison
        with pytest.raises(errors.RegistryUnavailable):
            pull(service, liar.reference)
        pull(service, honest.reference)
        ranges = [x.partition(" ")[2] for x in honest.requests if honest.layer_path in x]
        assert ranges[-1] == ""
        assert len(ranges) == 2
        ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image=honest.reference))


def test_the_kind_is_told_by_the_document(service: Service) -> None:
    """A manifest that is sent as an index stays what it says it is."""
    with BadRegistry([TAR]) as registry:

        def mislabel(handler: Handler) -> bool:
            if "/manifests/" not in handler.path:
                return False
            handler.send(registry.manifest, INDEX)
            return True

        registry.misbehave = mislabel
        assert json.loads(registry.manifest)["mediaType"] == MANIFEST
        pull(service, registry.reference)
        ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image=registry.reference))
