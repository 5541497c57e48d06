"""Archives that are loaded: hostile layers in them, tricks with links, documents that lie or have no end."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import errors
from scow.core.archive.read.faults import Fault
from scow.core.archive.read.streams import Feed, TarStream, plain
from scow.image.archives.splitter import Splitter
from tests.support import archives, rawtar
from tests.support.archives import (
    INDEX,
    MANIFEST,
    blob,
    configuration,
    describe,
    docker_archive,
    load,
    oci_image,
    oci_layout,
    tar,
)
from tests.support.digests import digest_of
from tests.support.imageservice import stub_of
from tests.support.layers import CORPUS
from tests.support.layers.case import Refused
from tests.support.layers.ends import MAX_BYTES, MAX_ENTRIES
from tests.support.layers.forms import growing
from tests.support.service import Service

LAYER = tar({"file": b"content"})
DOCKER = docker_archive([LAYER], "lying:1")
IMAGE, BLOBS = oci_image([LAYER])
[ENTRY] = json.loads(DOCKER["manifest.json"])
# Layers of the corpus that are refused, some of each part; the limits of its last part are not the service's.
HOSTILE = [
    name
    for name, case in CORPUS.items()
    if isinstance(case.expect, Refused) and not name.startswith("ends:")
][::10]


def _index(entries: list[Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()


def _layout(top: bytes, kind: str, files: dict[str, bytes]) -> bytes:
    return tar(oci_layout([(top, kind, "lying:1")], {**files, blob(top): top}))


def _wide() -> bytes:
    """An index of one index 128 times, and so on: two million ways to one image."""
    top, files, kind = IMAGE, dict(BLOBS), MANIFEST
    for _ in range(3):
        top, kind = _index([describe(top, kind)] * 128), INDEX
        files[blob(top)] = top
    return _layout(top, kind, files)


def _many_manifests() -> bytes:
    """More images than an archive may have."""
    files, entries = dict(BLOBS), []
    for number in range(1001):
        manifest = json.dumps({**json.loads(IMAGE), "annotations": {"n": str(number)}}).encode()
        files[blob(manifest)] = manifest
        entries.append((manifest, MANIFEST, ""))
    return tar(oci_layout(entries, files))


def _with_manifest(data: bytes) -> bytes:
    return tar({**DOCKER, "manifest.json": data})


def _packed(layer: bytes, diff_id: str) -> bytes:
    """Return a layout of one image with a layer as it is, whatever the configuration says of it."""
    config = json.loads(configuration([b""]))
    config["rootfs"]["diff_ids"] = [diff_id]
    data = json.dumps(config).encode()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "config": describe(data, "application/vnd.oci.image.config.v1+json"),
            "layers": [describe(layer, archives.LAYER)],
        }
    ).encode()
    return _layout(manifest, MANIFEST, {blob(each): each for each in (layer, data)})


_BOMB = rawtar.header(b"zeros", size=70 << 20) + bytes(70 << 20) + rawtar.END
CASES: dict[str, tuple[Callable[[], bytes], type[errors.ScowError], str]] = {
    "a thousand manifests": (_many_manifests, errors.LimitExceeded, "more than 1000"),
    "one image a thousand times": (
        lambda: _with_manifest(json.dumps([ENTRY] * 1001).encode()),
        errors.LimitExceeded,
        "more than 1000",
    ),
    "two equal keys in manifest.json": (
        lambda: _with_manifest(json.dumps([ENTRY]).replace("{", '{"Config": "x", ').encode()),
        errors.InvalidArchive,
        "twice",
    ),
    "two equal keys in index.json": (
        lambda: tar({**oci_layout([], {}), "index.json": b'{"manifests": [], "manifests": [{}]}'}),
        errors.InvalidArchive,
        "twice",
    ),
    "half a character in a tag": (
        lambda: _with_manifest(json.dumps([{**ENTRY, "RepoTags": ["a\ud800"]}]).encode()),
        errors.InvalidArchive,
        "not JSON",
    ),
    "half a character in a name": (
        lambda: _with_manifest(json.dumps([{**ENTRY, "Config": "\udfff"}]).encode()),
        errors.InvalidArchive,
        "not JSON",
    ),
    "a NUL in a name": (
        lambda: _with_manifest(json.dumps([{**ENTRY, "Config": "a\0b"}]).encode()),
        errors.InvalidArchive,
        "missing",
    ),
    "an endless name": (
        lambda: _with_manifest(json.dumps([{**ENTRY, "Config": "a" * 1_000_000}]).encode()),
        errors.InvalidArchive,
        "",
    ),
    "an endless name of an entry": (
        lambda: rawtar.tar(rawtar.pax({b"path": b"a" * 1_000_000}), rawtar.file(b"x"), tar(DOCKER)),
        errors.InvalidArchive,
        "too long",
    ),
    "a sparse manifest.json": (
        lambda: rawtar.tar(
            rawtar.pax({b"GNU.sparse.map": b"0,2", b"GNU.sparse.size": b"9"}),
            rawtar.file(b"manifest.json", b"[]"),
        ),
        errors.InvalidArchive,
        "sparse",
    ),
    "a file that is too large": (
        lambda: gzip.compress(_BOMB, 1),
        errors.LimitExceeded,
        "larger than",
    ),
    "a layer that swells": (
        lambda: _packed(gzip.compress(_BOMB, 9), digest_of(_BOMB)),
        errors.LimitExceeded,
        "larger than",
    ),
    "a layer of another diff id": (
        lambda: _packed(gzip.compress(LAYER), "sha256:" + "ab" * 32),
        errors.DigestMismatch,
        "instead of",
    ),
    "an archive in an archive": (
        lambda: gzip.compress(gzip.compress(tar(DOCKER))),
        errors.InvalidArchive,
        "",
    ),
    "anything behind gzip": (
        lambda: gzip.compress(tar(DOCKER)) + b"anything",
        errors.InvalidArchive,
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_archives(service: Service, name: str) -> None:
    make, error, words = CASES[name]
    with pytest.raises(error) as caught:
        load(service, make())
    assert type(caught.value) is error
    assert words in caught.value.message
    assert caught.value.metadata["do"]
    assert archives.ingests(service) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers(service: Service, name: str) -> None:
    """A layer of the corpus in an archive is refused as it is in a pull."""
    case = CORPUS[name]
    assert isinstance(case.expect, Refused)
    data = case.make()
    diff_id = digest_of(data)
    with pytest.raises(case.expect.error) as caught:
        load(service, _packed(data, diff_id))
    assert caught.value.which == case.expect.entry
    assert archives.ingests(service) == []


GOOD: dict[str, Callable[[], bytes]] = {
    "two million ways to one image": _wide,
    "a layer by a symlink": lambda: tar(
        [*_but_layer(), ("shared/layer.tar", LAYER), (ENTRY["Layers"][0], "../shared/layer.tar")]
    ),
    "a layer by a hard link": lambda: rawtar.tar(
        rawtar.file(b"shared", LAYER),
        rawtar.pax({b"path": ENTRY["Layers"][0].encode()}),
        rawtar.hardlink(b"x", b"shared"),
        tar(_but_layer()),
    ),
    "symlinks to symlinks": lambda: tar(
        [*_but_layer(), (ENTRY["Layers"][0], "../a"), ("a", "b"), ("b", "./c"), ("c", LAYER)]
    ),
    "devices and directories": lambda: rawtar.tar(
        rawtar.directory(b"d"),
        rawtar.header(b"null", rawtar.CHAR, device=(1, 3)),
        rawtar.header(b"pipe", rawtar.FIFO),
        tar(DOCKER),
    ),
    "a file twice": lambda: tar([*DOCKER.items(), *DOCKER.items()]),
}


def _but_layer() -> list[tuple[str, bytes | str]]:
    return [(name, data) for name, data in DOCKER.items() if name not in ENTRY["Layers"]]


@pytest.mark.parametrize("name", GOOD)
def test_odd_but_legal(service: Service, name: str) -> None:
    loaded = load(service, GOOD[name]())
    assert loaded
    for image in loaded:
        for reference in image.references:
            stub_of(service).Remove(pb.RemoveRequest(image=reference, force=True))


@pytest.mark.parametrize("name", CORPUS)
def test_any_tar_as_an_archive(tmp_path: Path, name: str) -> None:
    """Whatever the tar: names stay within it, and nothing is written beside what the service named."""
    told: list[dict[str, Any]] = []
    folder = tmp_path / "ingests"
    folder.mkdir()
    with growing(CORPUS[name].make()) as source:
        _, pieces = plain(Feed(source.descriptor, source.wait_now))
        stream = TarStream(pieces, MAX_BYTES)
        try:
            Splitter(stream, str(folder / "load"), MAX_ENTRIES, MAX_BYTES, told.append).run()
            stream.finish()
        except Fault as fault:
            assert fault.message
        finally:
            stream.close()
    for message in told:
        for path in (message.get("file", ""), message.get("link", ""), message.get("target", "")):
            assert not path.startswith("/")
            assert ".." not in path.split("/")
    assert os.listdir(tmp_path) == ["ingests"]
    assert all(path.name.startswith("load.") and path.is_file() for path in folder.iterdir())
