"""Pulls of indexes: one platform, another one, all; nested, with attestations, cut, and wrong."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Platform
from scow.contract import errors
from tests.integration.image.conftest import leftovers
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.content import INDEX, Content, Entry
from tests.support.digests import digest_of
from tests.support.imageservice import pull, raising, stub_of
from tests.support.registry import Registry
from tests.support.service import Service

ARM = Platform(os="linux", architecture="arm64")
MiB = 1 << 20


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def content(registry: Registry, request: pytest.FixtureRequest) -> Content:
    """A repository of the test's own."""
    name = request.node.name.partition("[")[0].removeprefix("test_").replace("_", "-")
    return Content(registry, name)


def two(content: Content, tag: str = "1") -> tuple[Entry, Entry]:
    """Put an index of two platforms; return its entries."""
    entries = (
        content.image("amd64", {"file": b"amd"}),
        content.image("arm64", {"file": b"arm"}, variant="v8"),
    )
    content.index(list(entries), tag)
    return entries


def blobs(service: Service) -> set[str]:
    return {f"sha256:{name}" for name in leftovers(service)["blobs/sha256"]}


def layers(service: Service) -> list[str]:
    return leftovers(service)["layers"]


def remove_all(service: Service) -> None:
    """Leave nothing behind."""
    stub = stub_of(service)
    while found := stub.List(pb.ListRequest(all=True)).images:
        stub.Remove(pb.RemoveRequest(image=found[0].id, force=True))
    stub.Reconcile(pb.ReconcileRequest())


def test_a_foreign_platform_is_kept_but_not_unpacked(service: Service, content: Content) -> None:
    before = layers(service)
    _, arm = two(content)
    reference = f"{content.repository}:1"
    image = pull(service, reference, platform=ARM)
    assert image.platform.architecture == "arm64"
    assert list(image.references) == [reference]
    assert layers(service) == before
    manifest = content.get(arm["digest"])
    assert {arm["digest"], image.id, manifest["layers"][0]["digest"]} <= blobs(service)
    remove_all(service)


def test_the_name_means_what_was_pulled_last(service: Service, content: Content) -> None:
    two(content)
    reference = f"{content.repository}:1"
    stub = stub_of(service)
    foreign = pull(service, reference, platform=ARM)
    own = pull(service, reference)
    assert own.platform.architecture == "amd64"
    assert stub.Get(pb.GetRequest(image=reference)).image.id == own.id
    assert pull(service, reference, platform=ARM).id == foreign.id
    assert stub.Get(pb.GetRequest(image=reference)).image.id == foreign.id
    remove_all(service)


def test_all_platforms(service: Service, content: Content) -> None:
    before = layers(service)
    amd = content.image("amd64", {"file": b"amd"})
    arm = content.image("arm64", {"file": b"arm"})
    attestation = content.attestation(amd)
    index = content.index([amd, arm, attestation], "1")
    request = pb.PullRequest(reference=f"{content.repository}:1", all_platforms=True)
    *news, last = stub_of(service).Pull(request, timeout=60)
    assert last.image.platform.architecture == "amd64"
    assert len(layers(service)) == len(before) + 1
    wanted = {index["digest"]}
    told = set()
    for entry in (amd, arm, attestation):
        manifest = content.get(entry["digest"])
        parts = {layer["digest"] for layer in manifest["layers"]}
        told |= parts
        wanted |= {entry["digest"], manifest["config"]["digest"], *parts}
    assert wanted <= blobs(service)
    done = {x.layer.digest for x in news if x.layer.phase == pb.LayerProgress.PHASE_DONE}
    assert told <= done
    # The name takes all platforms with it.
    stub_of(service).Remove(pb.RemoveRequest(image=f"{content.repository}:1"))
    assert not wanted & blobs(service)


def test_an_index_within_an_index(service: Service, content: Content) -> None:
    amd, arm = two(content, "inner")
    inner = content.index([amd, arm])
    outer = content.index([inner], "outer")
    image = pull(service, f"{content.repository}:outer", platform=ARM)
    assert image.platform.architecture == "arm64"
    pull(service, f"{content.repository}:outer", all_platforms=True)
    assert {outer["digest"], inner["digest"], amd["digest"], arm["digest"]} <= blobs(service)
    remove_all(service)


@pytest.mark.parametrize("whole", [False, True])
def test_indexes_too_deep(service: Service, content: Content, whole: bool) -> None:
    entry: Entry = content.image("amd64", {"file": b"amd"})
    for depth in range(4):
        entry = content.index([entry], f"d{depth}")
    request = pb.PullRequest(reference=f"{content.repository}:d3", all_platforms=whole)
    error = raising(errors.InvalidManifest, lambda r: list(stub_of(service).Pull(r)), request)
    assert "3 deep" in str(error)
    pull(service, f"{content.repository}:d2", all_platforms=whole)
    remove_all(service)


def test_an_index_that_gives_a_wrong_size(service: Service, content: Content) -> None:
    amd = content.image("amd64", {"file": b"amd"})
    content.index([{**amd, "size": amd["size"] + 1}], "1")
    request = pb.PullRequest(reference=f"{content.repository}:1")
    raising(errors.InvalidManifest, lambda r: list(stub_of(service).Pull(r)), request)


def test_an_index_that_pretends_to_name_itself(service: Service) -> None:
    with BadRegistry([layer_tar({"a": b"1"})]) as registry:
        claimed = f"sha256:{'a' * 64}"
        entry = {"mediaType": INDEX, "digest": claimed, "size": 200}
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()

        def always(handler: Handler) -> bool:
            handler.send(index, INDEX)
            return True

        registry.misbehave = always
        for whole in (False, True):
            request = pb.PullRequest(reference=registry.reference, all_platforms=whole)
            raising(errors.DigestMismatch, lambda r: list(stub_of(service).Pull(r)), request)


def test_what_contradicts_itself(service: Service) -> None:
    request = pb.PullRequest(reference="a/b", platform=ARM, all_platforms=True)
    raising(errors.InvalidArgument, lambda r: list(stub_of(service).Pull(r)), request)


def test_no_such_platform(service: Service, content: Content) -> None:
    two(content)
    request = pb.PullRequest(
        reference=f"{content.repository}:1", platform=Platform(os="linux", architecture="s390x")
    )
    error = raising(errors.PlatformNotFound, lambda r: list(stub_of(service).Pull(r)), request)
    assert "linux/amd64, linux/arm64" in str(error)


def test_a_layer_that_cannot_be_had_leaves_nothing(service: Service, registry: Registry) -> None:
    content = Content(registry, "lost")
    _, arm = two(content)
    manifest = content.get(arm["digest"])
    digits = manifest["layers"][0]["digest"].removeprefix("sha256:")
    data = registry.storage / f"docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data"
    kept = data.read_bytes()
    data.write_bytes(b"x" * len(kept))
    request = pb.PullRequest(reference=f"{content.repository}:1", all_platforms=True)
    raising(errors.DigestMismatch, lambda r: list(stub_of(service).Pull(r)), request)
    assert not list(stub_of(service).List(pb.ListRequest(all=True)).images)
    data.write_bytes(kept)
    pull(service, f"{content.repository}:1", all_platforms=True)
    remove_all(service)


def split(registry: BadRegistry) -> dict[str, bytes]:
    """Make an index of two images of the registry's one, a layer each; return the documents by path's end."""
    manifest = json.loads(registry.manifest)
    config = json.loads(registry.blobs[registry.config])
    layers, diff_ids = manifest["layers"], config["rootfs"]["diff_ids"]
    documents, entries = {}, []
    for architecture, layer, diff_id in zip(("arm64", "s390x"), layers, diff_ids, strict=True):
        config |= {
            "architecture": architecture,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        }
        data = json.dumps(config).encode()
        registry.blobs[digest_of(data)] = data
        about = {**manifest["config"], "digest": digest_of(data), "size": len(data)}
        child = json.dumps({**manifest, "config": about, "layers": [layer]}).encode()
        documents[digest_of(child)] = child
        entry = {"mediaType": manifest["mediaType"], "digest": digest_of(child), "size": len(child)}
        entries.append({**entry, "platform": {"os": "linux", "architecture": architecture}})
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}
    return {**documents, "1": json.dumps(index).encode()}


def wait_for_half(call: Iterable[pb.PullResponse], first: str, second: str) -> None:
    """Follow a pull until one layer is there and a part of the other one."""
    told = {digest: pb.LayerProgress() for digest in (first, second)}
    for news in call:
        told[news.layer.digest] = news.layer
        if told[first].phase == pb.LayerProgress.PHASE_DONE and told[second].current >= MiB:
            return


def test_killed_in_the_middle() -> None:
    """Of two images one is there and the other one half: none is recorded, and the half alone is asked for again."""
    tars = [layer_tar({"a": os.urandom(MiB)}), layer_tar({"b": os.urandom(4 * MiB)})]
    with BadRegistry(tars) as registry:
        first, second = map(digest_of, registry.layers)
        documents, go_on = split(registry), threading.Event()

        def serve(handler: Handler) -> bool:
            name = handler.path.rsplit("/", 1)[1]
            if "/manifests/" in handler.path:
                handler.send(documents[name], INDEX if name == "1" else "")
                return True
            if name != second or go_on.is_set():
                return False
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(registry.blobs[name])))
            handler.end_headers()
            handler.wfile.write(registry.blobs[name][: 2 * MiB])
            handler.wfile.flush()
            go_on.wait(30)
            handler.close_connection = True
            return True

        registry.misbehave = serve
        with Service("image") as service:
            request = pb.PullRequest(reference=registry.reference, all_platforms=True)
            wait_for_half(stub_of(service).Pull(request), first, second)
            service.kill_and_restart()
            go_on.set()
            assert not list(stub_of(service).List(pb.ListRequest(all=True)).images)
            registry.requests.clear()
            pull(service, registry.reference, all_platforms=True)
            asked = [x for x in registry.requests if first in x or second in x]
            assert len(asked) == 1
            assert second in asked[0]
            assert "bytes=" in asked[0]
            assert len(stub_of(service).List(pb.ListRequest(all=True)).images) == 2


def test_an_index_made_by_buildah(service: Service, registry: Registry, tmp_path: Path) -> None:
    """Of two images, one said to be for arm64; skopeo reads what the registry has."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files/one").write_text("1")
    script = f"""
    set -euo pipefail
    export BUILDAH_ISOLATION=chroot
    B() {{ buildah --root {tmp_path}/s --runroot {tmp_path}/r --storage-driver vfs "$@"; }}
    B manifest create list
    for a in amd64 arm64; do
        c=$(B from --arch $a scratch); B copy -q $c {tmp_path}/files /; B config --arch $a $c
        B commit -q $c $a; B manifest add --arch $a list $a
    done
    B manifest push --all --tls-verify=false list docker://{registry.address}/buildah:1
    """
    subprocess.run(["bash", "-c", script], check=True, capture_output=True)
    image = pull(service, f"{registry.address}/buildah:1", all_platforms=True)
    assert image.platform.architecture == "amd64"
    arm = pull(service, f"{registry.address}/buildah:1", platform=ARM)
    assert arm.platform.architecture == "arm64"
    remove_all(service)


def test_what_came_of_a_pull_that_failed_waits_for_the_next(service: Service) -> None:
    with BadRegistry([layer_tar({"a": b"1"}), layer_tar({"b": b"2"})]) as registry:
        there, missing = (digest_of(layer) for layer in registry.layers)
        came = threading.Event()

        def fail(handler: Handler) -> bool:
            if missing in handler.path:
                came.wait(30)
                return handler.refuse(503)
            return False

        registry.misbehave = fail
        before = layers(service)
        stub = stub_of(service)

        def until_it_fails(request: pb.PullRequest) -> None:
            for news in stub.Pull(request):
                if (news.layer.digest, news.layer.phase) == (there, pb.LayerProgress.PHASE_DONE):
                    came.set()

        request = pb.PullRequest(reference=registry.reference)
        raising(errors.RegistryUnavailable, until_it_fails, request)
        assert len(leftovers(service)["table leases"]) == 1
        stub.Reconcile(pb.ReconcileRequest())
        assert len(layers(service)) == len(before) + 1
        registry.requests.clear()
        registry.misbehave = lambda _: False
        pull(service, registry.reference)
        assert not any(there in each for each in registry.requests)
    remove_all(service)


def test_which_image_of_an_index_is_run(service: Service, content: Content) -> None:
    """The name means what was pulled last; a platform that is asked for is found in the index."""
    two(content)
    reference = f"{content.repository}:1"
    own = pull(service, reference, all_platforms=True)
    foreign = pull(service, reference, platform=ARM)
    stub = stub_of(service)
    host, other = Platform(architecture="amd64"), Platform(os="linux", architecture="386")

    def prepare(platform: Platform | None) -> pb.Image:
        request = pb.PrepareRequest(image=reference, owner="container/p", platform=platform)
        return stub.Prepare(request).image

    assert stub.Get(pb.GetRequest(image=reference)).image.id == foreign.id
    raising(errors.PlatformMismatch, prepare, None)
    raising(errors.PlatformMismatch, prepare, ARM)
    raising(errors.PlatformNotFound, prepare, other)
    assert prepare(host).id == own.id
    stub.Release(pb.ReleaseRequest(owner="container/p"))
    remove_all(service)
