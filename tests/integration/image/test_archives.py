"""Loading and saving archives, over a bare channel."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from scow.api.image.v1 import image_pb2 as image_pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.types.v1.types_pb2 import Platform
from scow.contract import errors
from tests.support import archives
from tests.support.archives import (
    INDEX,
    MANIFEST,
    blob,
    describe,
    docker_archive,
    ingests,
    load,
    load_progress,
    oci_image,
    oci_layout,
    save,
    start_loading,
    tar,
)
from tests.support.digests import digest_of
from tests.support.imageservice import import_tar
from tests.support.processes import wait_for
from tests.support.service import Service

PHASE = image_pb.LayerProgress
ARM = Platform(os="linux", architecture="arm64")


@pytest.fixture
def clean(service: Service) -> Iterator[Service]:
    """The shared service; all images go after the test."""
    yield service
    remove_all(service)


def remove_all(service: Service) -> None:
    stub = ImageServiceStub(service.channel)
    for image in stub.List(image_pb.ListRequest(all=True)).images:
        stub.Remove(image_pb.RemoveRequest(image=image.id, force=True))
    assert list(stub.Reconcile(image_pb.ReconcileRequest()).actions) == []


def get(service: Service, name: str) -> image_pb.Image:
    return ImageServiceStub(service.channel).Get(image_pb.GetRequest(image=name)).image


def layers(*names: str) -> list[bytes]:
    return [tar({name: b"of " + name.encode()}) for name in names]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstd, lzma.compress, bz2.compress])
def test_docker_archive(clean: Service, compress: Callable[[bytes], bytes]) -> None:
    one, two = layers("one", "two")
    files = docker_archive([one, two], "tiny:1", "registry.example/team/tiny")
    [loaded] = load(clean, compress(tar(files)))
    assert loaded.references == ["docker.io/library/tiny:1", "registry.example/team/tiny:latest"]
    assert files[f"{loaded.id[7:]}.json"]
    image = get(clean, "tiny:1")
    assert (image.id, list(image.diff_ids)) == (loaded.id, [digest_of(one), digest_of(two)])
    # An uncompressed layer is the blob itself.
    assert (clean.data / "blobs/sha256" / digest_of(one)[7:]).read_bytes() == one


def test_dockers_old_layout(clean: Service) -> None:
    """A folder a layer with VERSION and json, the same layer twice as a symlink, unknown files."""
    [layer] = layers("same")
    config = archives.configuration([layer, layer])
    entry = {"Config": "c.json", "RepoTags": None, "Layers": ["a/layer.tar", "b/layer.tar"]}
    files: list[tuple[str, bytes | str]] = [
        ("a/VERSION", b"1.0"),
        ("a/json", b"{}"),
        ("a/layer.tar", layer),
        ("b/layer.tar", "../a/layer.tar"),
        ("unknown", b"whatever"),
        ("./c.json", config),
        ("manifest.json", json.dumps([entry]).encode()),
    ]
    [loaded] = load(clean, tar(files))
    assert (loaded.id, list(loaded.references)) == (digest_of(config), [])
    assert list(get(clean, loaded.id).diff_ids) == [digest_of(layer)] * 2


def test_oci_layout_keeps_the_manifest(clean: Service) -> None:
    manifest, files = oci_image(layers("one"))
    archive = tar(oci_layout([(manifest, MANIFEST, "tiny:oci")], files))
    told = load_progress(clean, archive)
    assert told[-1].result.images[0].references == ["docker.io/library/tiny:oci"]
    assert {m.layer.phase for m in told[:-1]} >= {PHASE.PHASE_DONE}
    assert (clean.data / blob(manifest)).read_bytes() == manifest
    again = load_progress(clean, archive)
    assert {m.layer.phase for m in again[:-1]} == {PHASE.PHASE_EXISTS}


def an_index(*architectures: str) -> tuple[bytes, dict[str, bytes]]:
    files: dict[str, bytes] = {}
    entries = []
    for architecture in architectures:
        manifest, more = oci_image(layers(architecture), architecture=architecture)
        files |= more
        platform = {"os": "linux", "architecture": architecture}
        entries.append(describe(manifest, MANIFEST, platform=platform))
    value = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    index = json.dumps(value).encode()
    return index, {**files, blob(index): index}


def test_an_index_is_kept_whole_and_saved_whole(clean: Service) -> None:
    index, files = an_index("amd64", "arm64")
    [loaded] = load(clean, tar(oci_layout([(index, INDEX, "many:1")], files)))
    assert get(clean, "many:1").platform.architecture == "amd64"
    assert len(list((clean.data / "layers").iterdir())) == 1  # the other is kept as a blob
    saved = archives.read_tar(save(clean, ["many:1"], oci=True))
    assert {name: data for name, data in saved.items() if name in files} == files
    [entry] = json.loads(saved["index.json"])["manifests"]
    assert entry["digest"] == digest_of(index)
    docker = archives.read_tar(save(clean, ["many:1"]))
    [entry] = json.loads(docker["manifest.json"])
    assert (entry["Config"], entry["RepoTags"]) == (f"blobs/sha256/{loaded.id[7:]}", ["many:1"])
    arm = archives.read_tar(save(clean, ["many:1"], oci=True, platform=ARM))
    [entry] = json.loads(arm["index.json"])["manifests"]
    config = json.loads(arm[blob_of_config(arm, entry["digest"])])
    assert config["architecture"] == "arm64"


def blob_of_config(files: dict[str, bytes], manifest: str) -> str:
    value = json.loads(files[f"blobs/sha256/{manifest[7:]}"])
    return f"blobs/sha256/{value['config']['digest'][7:]}"


def test_only_one_platform(clean: Service) -> None:
    index, files = an_index("amd64", "arm64")
    archive = tar(oci_layout([(index, INDEX, "many:1")], files))
    [loaded] = load(clean, archive, ARM)
    assert get(clean, loaded.id).platform.architecture == "arm64"
    assert len(list((clean.data / "layers").iterdir())) == 0
    with pytest.raises(errors.PlatformNotFound, match=r"linux/s390x.*linux/amd64, linux/arm64"):
        load(clean, archive, Platform(os="linux", architecture="s390x"))
    with pytest.raises(errors.PlatformNotFound, match="only for linux/amd64"):
        load(clean, tar(docker_archive(layers("one"))), ARM)


def test_an_index_of_which_a_part_is_there(clean: Service) -> None:
    """As Docker writes it: the whole index, and only the image that it has."""
    index, files = an_index("amd64", "arm64")
    arm = an_index("arm64")[1]
    there = {name: data for name, data in files.items() if name not in arm}
    [loaded] = load(clean, tar(oci_layout([(index, INDEX, "many:1")], there)))
    assert get(clean, "many:1").id == loaded.id
    saved = archives.read_tar(save(clean, ["many:1"]))
    [entry] = json.loads(saved["index.json"])["manifests"]
    assert entry["mediaType"] == MANIFEST  # an index that lacks parts is of no use to others


def test_what_is_saved_is_loaded(clean: Service) -> None:
    first, second = layers("one"), layers("one", "two")
    load(clean, tar(docker_archive(first, "first:1", "first:2")))
    [named] = load(clean, tar(docker_archive(second)))
    names = ["first:1", "first:2", named.id[7:19]]
    for oci in (False, True):
        data = save(clean, names, oci=oci)
        assert save(clean, names, oci=oci) == data
        remove_all(clean)
        one, two = load(clean, data)
        assert one.references == ["docker.io/library/first:1", "docker.io/library/first:2"]
        assert (two.id, list(two.references)) == (named.id, [])


def test_a_bare_name_means_all_its_tags(clean: Service) -> None:
    load(clean, tar(docker_archive(layers("one"), "tags:1", "tags:2", "other:1")))
    saved = archives.read_tar(save(clean, ["tags"]))
    [entry] = json.loads(saved["manifest.json"])
    assert entry["RepoTags"] == ["tags:1", "tags:2"]
    assert set(json.loads(saved["repositories"])["tags"]) == {"1", "2"}
    with pytest.raises(errors.ImageNotFound, match="nothing"):
        save(clean, ["tags", "nothing"])


def test_an_image_that_is_here_keeps_its_manifest(clean: Service) -> None:
    """The same image came as a registry sends it: its layers are not kept a second time."""
    [layer] = layers("one")
    config = archives.configuration([layer])
    packed = gzip.compress(layer)
    value = {
        "schemaVersion": 2,
        "config": describe(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [describe(packed, f"{archives.LAYER}+gzip")],
    }
    manifest = json.dumps(value).encode()
    files = {blob(data): data for data in (config, packed, manifest)}
    load(clean, tar(oci_layout([(manifest, MANIFEST, "one:1")], files)))
    load(clean, tar(docker_archive([layer], "one:2")))
    assert get(clean, "one:2").id == digest_of(config)
    assert not (clean.data / blob(layer)).exists()


def unfinished(go_on: threading.Event) -> Iterator[bytes]:
    yield tar(docker_archive(layers("one"), "never:1"))[:-10_240]
    go_on.wait(60)


def test_loading_that_is_given_up_leaves_nothing(clean: Service) -> None:
    go_on = threading.Event()
    call = start_loading(clean, unfinished(go_on))
    wait_for(lambda: bool(ingests(clean)), "a file of the archive")
    # Others are served meanwhile, and a reconciliation leaves it alone.
    stub = ImageServiceStub(clean.channel)
    assert list(stub.Reconcile(image_pb.ReconcileRequest()).actions) == []
    assert ingests(clean)
    call.cancel()
    wait_for(lambda: not ingests(clean), "the end of the load")
    go_on.set()


def test_killed_in_the_middle() -> None:
    go_on = threading.Event()
    with Service("image") as own:
        call = start_loading(own, unfinished(go_on))
        wait_for(lambda: bool(ingests(own)), "a file of the archive")
        own.kill_and_restart()
        go_on.set()
        assert not call.is_active()
        assert ingests(own) == []


def test_imports_that_stall_stop_nobody_else() -> None:
    go_on = threading.Event()
    stalled = tar({"a": b"1"})[:600]

    def messages() -> Iterator[image_pb.ImportRequest]:
        yield image_pb.ImportRequest(open=image_pb.ImportRequest.Open())
        yield image_pb.ImportRequest(chunk=stalled)
        go_on.wait(60)

    with Service("image", settings={"SCOW_IMAGE_UNPACK_WORKERS": "1"}) as own:
        stub: Any = ImageServiceStub(own.channel)

        def begun() -> list[str]:
            return os.listdir(own.data / "ingest")

        calls = [stub.Import.future(messages()) for _ in range(3)]
        wait_for(lambda: len(begun()) == 3, "imports that have begun")
        assert import_tar(own, tar({"b": b"2"})).id
        assert not any(call.done() for call in calls)
        for call in calls:
            call.cancel()
        go_on.set()
        wait_for(lambda: not begun(), "their end")
