"""Archives of docker, podman, buildah and skopeo are loaded here, and ours there; image ids stay what they are."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from tests.support import images
from tests.support.archives import (
    LAYER,
    MANIFEST,
    blob,
    configuration,
    describe,
    load,
    oci_layout,
    read_tar,
    save,
    tar,
)
from tests.support.busybox import rootfs_tar
from tests.support.engine import as_root
from tests.support.peers import Docker, Net, Podman
from tests.support.service import Service

pytestmark = as_root()


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    found = Net()
    yield found
    found.close()


@pytest.fixture(scope="module")
def docker(net: Net) -> Iterator[Docker]:
    with Docker(net) as running:
        yield running


@pytest.fixture(scope="module")
def podman(net: Net) -> Iterator[Podman]:
    with Podman(net) as found:
        yield found


@pytest.fixture(scope="module")
def engine() -> Iterator[Service]:
    with Service("image") as running:
        yield running


@pytest.fixture
def ours(engine: Service) -> Iterator[Service]:
    """A service without images."""
    yield engine
    stub = ImageServiceStub(engine.channel)
    for image in stub.List(pb.ListRequest()).images:
        stub.Remove(pb.RemoveRequest(image=image.id, force=True))


def program(*arguments: str) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def id_of(archive: Path) -> str:
    """Return the image id of an OCI archive, by skopeo."""
    manifest = json.loads(program("skopeo", "inspect", "--raw", f"oci-archive:{archive}"))
    return str(manifest["config"]["digest"])


def references(service: Service, image_id: str) -> list[str]:
    image = ImageServiceStub(service.channel).Get(pb.GetRequest(image=image_id)).image
    assert (
        ImageServiceStub(service.channel)
        .Prepare(pb.PrepareRequest(image=image_id, owner="container/x"))
        .mounts
    )
    ImageServiceStub(service.channel).Release(pb.ReleaseRequest(owner="container/x"))
    return list(image.references)


def test_docker_both_ways(ours: Service, docker: Docker, tmp_path: Path) -> None:
    source = images.busybox()
    image_id = id_of(source)
    [loaded] = load(ours, source)
    assert loaded.id == image_id
    ImageServiceStub(ours.channel).Tag(pb.TagRequest(image=image_id, reference="box:theirs"))
    (tmp_path / "ours.tar").write_bytes(save(ours, ["box:theirs"]))
    assert docker.cli("load", "-i", str(tmp_path / "ours.tar")) == "Loaded image: box:theirs"
    assert docker.cli("inspect", "-f", "{{.Id}}", "box:theirs") == image_id
    assert docker.cli("run", "--rm", "--network=none", "box:theirs", "echo", "works") == "works"
    docker.cli("tag", "box:theirs", "box:second")
    docker.cli("save", "-o", str(tmp_path / "theirs.tar"), "box:theirs", "box:second")
    ImageServiceStub(ours.channel).Remove(pb.RemoveRequest(image=image_id, force=True))
    [back] = load(ours, tmp_path / "theirs.tar")
    assert back.id == image_id
    assert references(ours, image_id) == [
        "docker.io/library/box:second",
        "docker.io/library/box:theirs",
    ]
    docker.cli("save", "-o", str(tmp_path / "by-id.tar"), image_id)
    [unnamed] = load(ours, tmp_path / "by-id.tar")
    assert (unnamed.id, list(unnamed.references)) == (image_id, [])


@pytest.mark.parametrize("oci", [False, True], ids=["docker-archive", "oci-archive"])
def test_podman_both_ways(ours: Service, podman: Podman, tmp_path: Path, oci: bool) -> None:
    source = images.busybox()
    image_id = id_of(source)
    load(ours, source)
    ImageServiceStub(ours.channel).Tag(
        pb.TagRequest(image=image_id, reference="registry.example/box:1")
    )
    (tmp_path / "ours.tar").write_bytes(save(ours, ["registry.example/box:1"], oci=oci))
    told = podman.cli("load", "-i", str(tmp_path / "ours.tar"))
    assert told.endswith("registry.example/box:1")
    assert f"sha256:{podman.cli('inspect', '-f', '{{.Id}}', 'registry.example/box:1')}" == image_id
    kind = "oci-archive" if oci else "docker-archive"
    theirs = tmp_path / "theirs.tar"
    podman.cli("save", "--format", kind, "-o", str(theirs), "registry.example/box:1")
    podman.cli("rmi", "registry.example/box:1")
    ImageServiceStub(ours.channel).Remove(pb.RemoveRequest(image=image_id, force=True))
    [back] = load(ours, theirs)
    assert back.id == image_id
    assert references(ours, image_id) == ["registry.example/box:1"]


@pytest.mark.parametrize("oci", [False, True], ids=["docker-archive", "oci-archive"])
def test_skopeo_both_ways(ours: Service, tmp_path: Path, oci: bool) -> None:
    source = images.busybox()
    image_id = id_of(source)
    kind = "oci-archive" if oci else "docker-archive"
    theirs = tmp_path / "theirs.tar"
    program("skopeo", "copy", "-q", f"oci-archive:{source}", f"{kind}:{theirs}:web.example/box:1")
    [back] = load(ours, theirs)
    assert back.id == image_id
    assert references(ours, image_id) == ["web.example/box:1"]
    mine = tmp_path / "ours.tar"
    mine.write_bytes(save(ours, ["web.example/box:1"], oci=oci))
    program("skopeo", "copy", "-q", f"{kind}:{mine}", f"dir:{tmp_path}/dir")
    config = json.loads((tmp_path / "dir/manifest.json").read_text())["config"]["digest"]
    assert config == image_id
    both = "oci-archive" if not oci else None
    if both is not None:  # what docker loads is a layout as well
        assert id_of(mine) == image_id


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive"])
def test_buildah_both_ways(ours: Service, tmp_path: Path, kind: str) -> None:
    buildah = (
        "buildah",
        f"--root={tmp_path}/storage",
        f"--runroot={tmp_path}/run",
        "--storage-driver=vfs",
    )
    load(ours, images.busybox())
    image_id = id_of(images.busybox())
    ImageServiceStub(ours.channel).Tag(pb.TagRequest(image=image_id, reference="box:1"))
    mine = tmp_path / "ours.tar"
    mine.write_bytes(save(ours, ["box:1"], oci=kind == "oci-archive"))
    pulled = program(*buildah, "pull", "-q", f"{kind}:{mine}")
    assert f"sha256:{pulled}" == image_id
    theirs = tmp_path / "theirs.tar"
    program(*buildah, "push", "-q", pulled, f"{kind}:{theirs}:web.example/box:2")
    ImageServiceStub(ours.channel).Remove(pb.RemoveRequest(image=image_id, force=True))
    [back] = load(ours, theirs)
    assert (back.id, list(back.references)) == (image_id, ["web.example/box:2"])


def test_layers_that_docker_does_not_read(
    ours: Service, docker: Docker, podman: Podman, tmp_path: Path
) -> None:
    """Docker 20.10 reads no zstd: such layers go in plain, and the image stays what it is."""
    layer = rootfs_tar()
    packed = subprocess.run(["zstd", "-q"], input=layer, capture_output=True, check=True).stdout
    config = configuration([layer])
    value = {
        "schemaVersion": 2,
        "config": describe(config, "application/vnd.oci.image.config.v1+json"),
        "layers": [describe(packed, f"{LAYER}+zstd")],
    }
    manifest = json.dumps(value).encode()
    files = {blob(data): data for data in (config, packed, manifest)}
    [loaded] = load(ours, tar(oci_layout([(manifest, MANIFEST, "zst:1")], files)))
    path = tmp_path / "zst.tar"
    path.write_bytes(save(ours, ["zst:1"]))
    assert list((ours.data / "ingest").glob("save-*")) == []
    assert docker.cli("load", "-i", str(path)) == "Loaded image: zst:1"
    assert docker.cli("inspect", "-f", "{{.Id}}", "zst:1") == loaded.id
    told = podman.cli("load", "-i", str(path))
    assert told.endswith("docker.io/library/zst:1")
    oci = read_tar(save(ours, ["zst:1"], oci=True))
    assert oci[blob(packed)] == packed
    assert oci[blob(manifest)] == manifest
