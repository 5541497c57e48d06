"""Archives with a fault: a typed error that names the entry, and nothing stays."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable

import pytest

from scow.contract import errors
from tests.integration.image.conftest import leftovers
from tests.support import archives
from tests.support.archives import (
    INDEX,
    MANIFEST,
    blob,
    describe,
    docker_archive,
    load,
    oci_image,
    oci_layout,
    tar,
)
from tests.support.service import Service

LAYER = tar({"file": b"content"})
GOOD = docker_archive([LAYER], "good:1")
GOOD_MANIFEST, GOOD_BLOBS = oci_image([LAYER])
GOOD_LAYOUT = oci_layout([(GOOD_MANIFEST, MANIFEST, "good:1")], GOOD_BLOBS)
Files = list[tuple[str, bytes | str]]


def with_manifest(value: object) -> bytes:
    return tar({**GOOD, "manifest.json": json.dumps(value).encode()})


def with_entry(**change: object) -> bytes:
    [entry] = json.loads(GOOD["manifest.json"])
    return with_manifest([{**entry, **change}])


def and_also(*more: tuple[str, bytes | str]) -> bytes:
    files: Files = [*GOOD.items(), *more]
    return tar(files)


def without(files: dict[str, bytes], name: str) -> bytes:
    return tar({key: value for key, value in files.items() if key != name})


def replaced(name: str, data: bytes) -> bytes:
    return tar({**GOOD_LAYOUT, name: data})


def wrong_size() -> bytes:
    value = json.loads(GOOD_MANIFEST)
    value["layers"][0]["size"] += 1
    manifest = json.dumps(value).encode()
    files = {**GOOD_BLOBS, blob(manifest): manifest}
    return tar(oci_layout([(manifest, MANIFEST, "x:1")], files))


def nested(depth: int) -> bytes:
    top, files, kind = GOOD_MANIFEST, dict(GOOD_BLOBS), MANIFEST
    for _ in range(depth):
        value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [describe(top, kind)]}
        top, kind = json.dumps(value).encode(), INDEX
        files[blob(top)] = top
    return tar(oci_layout([(top, kind, "x:1")], files))


def broken_layer() -> bytes:
    """Its digest is right, but it is not a tar."""
    layer = gzip.compress(b"no tar at all" * 100)
    config = archives.configuration([LAYER])
    value = {
        "schemaVersion": 2,
        "config": describe(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [describe(layer, f"{archives.LAYER}+gzip")],
    }
    manifest = json.dumps(value).encode()
    files = {blob(data): data for data in (layer, config, manifest)}
    return tar(oci_layout([(manifest, MANIFEST, "x:1")], files))


def other_content() -> bytes:
    """A compressed layer that is another than the configuration says."""
    files = dict(GOOD)
    [name] = [key for key in files if key.endswith("layer.tar")]
    files[name] = gzip.compress(tar({"file": b"other"}))
    return tar(files)


LAYER_NAME = next(name for name in GOOD if name.endswith("layer.tar"))
CONFIG_NAME = next(name for name in GOOD if name.endswith(".json") and name != "manifest.json")
ARCHIVE = errors.InvalidArchive
CASES: dict[str, tuple[Callable[[], bytes], type[errors.ScowError], str]] = {
    "empty": (lambda: b"", ARCHIVE, "manifest.json"),
    "no tar": (lambda: b"x" * 2048, ARCHIVE, "header"),
    "no archive of images": (lambda: LAYER, ARCHIVE, "import it"),
    "truncated": (lambda: tar(GOOD)[:700], ARCHIVE, "cut short"),
    "truncated gzip": (lambda: gzip.compress(tar(GOOD))[:-40], ARCHIVE, "cut short"),
    "name up": (lambda: and_also(("../../etc/evil", b"x")), ARCHIVE, r"\.\./\.\./etc/evil"),
    "name up within": (lambda: and_also(("a/../../evil", b"x")), ARCHIVE, "evil"),
    "absolute name": (lambda: and_also(("/etc/evil", b"x")), ARCHIVE, "/etc/evil"),
    "symlink out": (lambda: and_also(("l", "../../etc/passwd")), ARCHIVE, "'l'"),
    "absolute symlink": (lambda: and_also(("l", "/etc/passwd")), ARCHIVE, "'l'"),
    "layer is a symlink out": (
        lambda: tar([*((k, v) for k, v in GOOD.items() if k != LAYER_NAME), (LAYER_NAME, "/x")]),
        ARCHIVE,
        LAYER_NAME,
    ),
    "symlinks in a circle": (
        lambda: tar(
            [("a", "b"), ("b", "a"), ("manifest.json", b'[{"Config": "a", "Layers": []}]')]
        ),
        ARCHIVE,
        "circle",
    ),
    "manifest.json twice": (lambda: and_also(("manifest.json", b"[]")), ARCHIVE, "manifest.json"),
    "manifest.json twice, a link": (
        lambda: and_also(("manifest.json", CONFIG_NAME)),
        ARCHIVE,
        "manifest.json",
    ),
    "manifest.json is not JSON": (
        lambda: tar({**GOOD, "manifest.json": b"["}),
        ARCHIVE,
        "manifest.json",
    ),
    "manifest.json is deep": (
        lambda: tar({**GOOD, "manifest.json": b"[" * 100_000}),
        ARCHIVE,
        "manifest.json",
    ),
    "manifest.json is an object": (lambda: with_manifest({}), ARCHIVE, "manifest.json"),
    "manifest.json names nothing": (lambda: with_manifest([]), ARCHIVE, "manifest.json"),
    "manifest.json has numbers": (lambda: with_manifest([1]), ARCHIVE, "manifest.json"),
    "huge manifest.json": (
        lambda: tar({**GOOD, "manifest.json": b" " * (5 << 20)}),
        errors.LimitExceeded,
        "max_manifest_bytes",
    ),
    "huge configuration": (
        lambda: tar({**GOOD, CONFIG_NAME: b" " * (9 << 20)}),
        errors.LimitExceeded,
        "max_config_bytes",
    ),
    "missing layer": (lambda: without(GOOD, LAYER_NAME), ARCHIVE, LAYER_NAME),
    "missing configuration": (lambda: without(GOOD, CONFIG_NAME), ARCHIVE, CONFIG_NAME),
    "layers out of the archive": (lambda: with_entry(Layers=["../x"]), ARCHIVE, "Layers"),
    "layers are not a list": (lambda: with_entry(Layers="x"), ARCHIVE, "Layers"),
    "configuration is a number": (lambda: with_entry(Config=3), ARCHIVE, "Config"),
    "too few layers": (lambda: with_entry(Layers=[]), ARCHIVE, "0 layers for 1"),
    "bad tag": (lambda: with_entry(RepoTags=["No/Good"]), ARCHIVE, "No/Good"),
    "tags are numbers": (lambda: with_entry(RepoTags=[7]), ARCHIVE, "7"),
    "wrong layer": (
        lambda: tar({**GOOD, LAYER_NAME: tar({"file": b"other"})}),
        errors.DigestMismatch,
        LAYER_NAME,
    ),
    "wrong compressed layer": (other_content, errors.DigestMismatch, "instead of"),
    "configuration is not JSON": (
        lambda: tar({**GOOD, CONFIG_NAME: b"{"}),
        errors.InvalidManifest,
        "configuration",
    ),
    "wrong blob": (lambda: replaced(blob(LAYER), b"x"), errors.DigestMismatch, blob(LAYER)),
    "missing blob": (lambda: without(GOOD_LAYOUT, blob(LAYER)), ARCHIVE, blob(LAYER)),
    "missing manifest": (
        lambda: without(GOOD_LAYOUT, blob(GOOD_MANIFEST)),
        ARCHIVE,
        blob(GOOD_MANIFEST),
    ),
    "wrong size": (wrong_size, errors.DigestMismatch, blob(LAYER)),
    "indexes in indexes": (lambda: nested(4), errors.InvalidManifest, "deep"),
    "an index names nothing": (
        lambda: replaced("index.json", b'{"schemaVersion": 2, "manifests": []}'),
        ARCHIVE,
        "no image",
    ),
    "bad descriptor": (
        lambda: replaced("index.json", b'{"manifests": [{"digest": "md5:1", "size": 1}]}'),
        errors.InvalidManifest,
        "md5:1",
    ),
    "layer is not a tar": (broken_layer, errors.LayerCorrupt, "layer"),
}


@pytest.mark.parametrize("case", CASES)
def test_fault(service: Service, case: str) -> None:
    make, error, told = CASES[case]
    before = leftovers(service)
    with pytest.raises(error, match=told) as caught:
        load(service, make())
    assert caught.value.metadata["do"]
    assert leftovers(service) == before
    assert archives.ingests(service) == []


def test_the_good_ones_are_good(service: Service) -> None:
    """Otherwise the cases above would prove nothing."""
    from tests.integration.image.test_archives import remove_all

    assert load(service, tar(GOOD))
    assert load(service, tar(GOOD_LAYOUT))
    assert load(service, nested(3))
    remove_all(service)
