"""Real clients: skopeo, docker, podman, buildah and our own service push to the registry and pull from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import registry_pb2
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.image.v1.registry_pb2_grpc import RegistryServiceStub
from tests.support import images
from tests.support.distribution import OCI_INDEX, Image, index_of
from tests.support.peers import Docker, Net, Podman
from tests.support.service import Service
from tests.support.serving import Serving, run, write_htpasswd
from tests.support.tls import Authority

# Its services are started once.
pytestmark = pytest.mark.xdist_group("serving-clients")

WORD = "a-word"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A registry with TLS and basic authentication."""
    folder = tmp_path_factory.mktemp("closed")
    authority = Authority(folder)
    server = authority.issue("server")
    users = write_htpasswd(folder / "htpasswd", alice=WORD)
    with Serving(
        authentication="basic",
        htpasswd=users,
        certificate=str(server.certificate_file),
        key=str(server.key_file),
    ) as running:
        certificates = running.certificates
        certificates.mkdir(parents=True)
        (certificates / "ca.crt").write_bytes(authority.own.certificate_file.read_bytes())
        yield running


def skopeo(*arguments: str) -> str:
    return run("skopeo", *arguments)


def test_skopeo(serving: Serving, tmp_path: Path) -> None:
    """To and from, by each of its transports."""
    source, target = f"oci-archive:{images.busybox()}", f"docker://{serving.address}/sk/busybox"
    skopeo("copy", "-q", "--dest-tls-verify=false", source, f"{target}:1")
    skopeo("copy", "-q", "--dest-tls-verify=false", "--format=v2s2", source, f"{target}:docker")
    found = serving.image("sk/busybox:1")
    about = json.loads(skopeo("inspect", "--tls-verify=false", f"{target}:1"))
    assert about["RepoTags"] == ["1", "docker"]
    # Both manifests name the same configuration: they are two digests of one image.
    assert about["Digest"] in {digest.partition("@")[2] for digest in found.repo_digests}
    for transport in (
        "docker-archive:{}/d.tar",
        "oci:{}/oci:x",
        "oci-archive:{}/o.tar",
        "dir:{}/dir",
    ):
        to = transport.format(tmp_path)
        skopeo("copy", "-q", "--src-tls-verify=false", f"{target}:1", to)
        back = f"docker://{serving.address}/sk/back:{transport.partition(':')[0]}"
        skopeo("copy", "-q", "--dest-tls-verify=false", to, back)
    assert serving.image("sk/back:dir").id == found.id
    assert serving.image("sk/back:docker-archive").diff_ids == found.diff_ids
    skopeo("delete", "--tls-verify=false", f"{target}:docker")
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", target))
    assert tags["Tags"] == ["1"]


def test_skopeo_with_an_index(serving: Serving, closed: Serving) -> None:
    """All of it, to a registry with TLS and basic authentication, and back to one place more."""
    api = serving.api
    one, two = Image("one"), Image("two", "arm64")
    for image in (one, two):
        api.push_image("sk/multi", image.digest, image)
    index = index_of(one, two)
    api.push("sk/multi", "1", index, OCI_INDEX)
    skopeo(
        "copy",
        "-q",
        "--all",
        "--src-tls-verify=false",
        f"--dest-cert-dir={closed.certificates}",
        f"--dest-creds=alice:{WORD}",
        f"docker://{serving.address}/sk/multi:1",
        f"docker://{closed.address}/copied/multi:1",
    )
    assert closed.image("copied/multi:1").id == one.id
    skopeo(
        "copy",
        "-q",
        "--all",
        f"--src-cert-dir={closed.certificates}",
        f"--src-creds=alice:{WORD}",
        "--dest-tls-verify=false",
        f"docker://{closed.address}/copied/multi:1",
        f"docker://{serving.address}/sk/again:1",
    )
    assert api.call("GET", "/v2/sk/again/manifests/1").body == index
    assert api.call("GET", f"/v2/sk/again/manifests/{two.digest}").body == two.manifest


def test_docker_podman_and_buildah(tmp_path: Path) -> None:
    """In a network namespace with them, by tokens: Docker pushes, Podman pulls, Buildah pushes on."""
    net = Net()
    server = Authority(tmp_path).issue("server")
    users = write_htpasswd(tmp_path / "htpasswd", alice=WORD)
    archive = tmp_path / "docker.tar"
    skopeo("copy", "-q", f"oci-archive:{images.busybox()}", f"docker-archive:{archive}:local/box:1")
    try:
        with (
            Serving(
                prefix=net.prefix,
                authentication="token",
                htpasswd=users,
                certificate=str(server.certificate_file),
                key=str(server.key_file),
            ) as serving,
            Docker(net) as docker,
            Podman(net, insecure=[serving.address]) as podman,
        ):
            _docker(docker, serving, archive, tmp_path)
            _podman_and_buildah(podman, net, serving)
            listed = serving.stub.List(pb.ListRequest()).images
            names = sorted(name for image in listed for name in image.references)
            assert names == [
                "docker.io/team/box:1",
                "docker.io/team/box:buildah",
                "docker.io/team/box:podman",
            ]
    finally:
        net.close()


def _docker(docker: Docker, serving: Serving, archive: Path, folder: Path) -> None:
    def cli(*arguments: str) -> str:
        return run(*docker.command(*arguments), DOCKER_CONFIG=str(folder / "docker"))

    name = f"{serving.address}/team/box:1"
    docker.cli("load", "-i", str(archive))
    docker.cli("tag", "local/box:1", name)
    cli("login", "-u", "alice", "-p", WORD, serving.address)
    pushed = cli("push", name)
    found = serving.image("team/box:1")
    assert found.repo_digests[0].partition("@")[2] in pushed
    docker.cli("rmi", name, "local/box:1")
    cli("pull", "-q", name)
    assert docker.cli("inspect", "-f", "{{.Id}}", name) == found.id
    # What is there already is not sent again.
    assert "Layer already exists" in cli("push", name)


def _podman_and_buildah(podman: Podman, net: Net, serving: Serving) -> None:
    name = f"{serving.address}/team/box"
    login = f"--creds=alice:{WORD}"
    podman.cli("pull", "-q", login, f"{name}:1")
    run(*podman.command("push", "-q", login, "--tls-verify=false", f"{name}:1", f"{name}:podman"))
    assert serving.image("team/box:podman").id == serving.image("team/box:1").id
    buildah = [
        *net.prefix,
        "buildah",
        f"--root={podman.base}/data",
        f"--runroot={podman.base}/run",
    ]
    target = f"docker://{name}:buildah"
    run(*buildah, "push", "-q", login, "--tls-verify=false", f"{name}:1", target)
    assert serving.image("team/box:buildah").diff_ids == serving.image("team/box:1").diff_ids


def test_our_own_engine(serving: Serving, closed: Serving) -> None:
    """Another node pulls from one registry and pushes to another, with a private CA and a login."""
    image = Image("ours")
    serving.api.push_image("own/app", "1", image)
    certs = str(closed.certificates.parent)
    with Service("image", settings={"SCOW_IMAGE_CERTS_DIR": certs}) as node:
        stub: Any = RegistryServiceStub(node.channel)
        here: Any = ImageServiceStub(node.channel)
        [*here.Pull(pb.PullRequest(reference=f"{serving.address}/own/app:1"))]
        name = f"{closed.address}/own/app:pushed"
        here.Tag(pb.TagRequest(image=image.id, reference=name))
        auth = pb.Auth(username="alice", password=WORD)
        request = registry_pb2.PushRequest(reference=name, auth=auth)
        result = [*stub.Push(request)][-1].result
        assert result.digest == image.digest
        assert closed.image("own/app:pushed").id == image.id
        tags = stub.ListTags(
            registry_pb2.ListTagsRequest(repository=f"{closed.address}/own/app", auth=auth)
        )
        assert tags.tags == ["pushed"]
