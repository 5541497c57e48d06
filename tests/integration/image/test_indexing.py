"""Indexes made here, of images that are here or at registries; and manifests that are looked at."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import registry_pb2
from scow.api.image.v1.registry_pb2_grpc import RegistryServiceStub
from scow.api.types.v1.types_pb2 import Platform
from scow.contract import errors
from tests.integration.image.conftest import leftovers
from tests.integration.image.test_platforms import ARM, remove_all, two
from tests.support.badregistry import layer_tar
from tests.support.content import INDEX, Content
from tests.support.digests import digest_of
from tests.support.imageservice import import_tar, pull, raising, stub_of
from tests.support.registry import Registry
from tests.support.service import Service


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def content(registry: Registry, request: pytest.FixtureRequest) -> Content:
    """A repository of the test's own."""
    return Content(registry, request.node.name.removeprefix("test_").replace("_", "-"))


def create(
    service: Service, reference: str, *sources: str, amend: bool = False, request_id: str = ""
) -> registry_pb2.CreateIndexResponse:
    request = registry_pb2.CreateIndexRequest(
        reference=reference, manifests=sources, amend=amend, request_id=request_id
    )
    return RegistryServiceStub(service.channel).CreateIndex(request, timeout=60)


def push(service: Service, reference: str) -> list[registry_pb2.PushResponse]:
    request = registry_pb2.PushRequest(reference=reference)
    return list(RegistryServiceStub(service.channel).Push(request, timeout=60))


def look(
    service: Service, reference: str, platform: Platform | None = None
) -> registry_pb2.GetManifestResponse:
    request = registry_pb2.GetManifestRequest(reference=reference, platform=platform)
    return RegistryServiceStub(service.channel).GetManifest(request, timeout=60)


def remove(service: Service, reference: str) -> list[str]:
    return list(stub_of(service).Remove(pb.RemoveRequest(image=reference)).deleted)


def phases(pushed: list[registry_pb2.PushResponse]) -> set[int]:
    """Return in which phases the layers ended."""
    last = {message.layer.digest: message.layer.phase for message in pushed if message.layer.digest}
    return set(last.values())


def test_of_images_at_the_registry(
    service: Service, registry: Registry, content: Content, tmp_path: Path
) -> None:
    """What they are made of is mounted there and never comes here; skopeo reads the result."""
    amd = content.image("amd64", {"file": b"amd"}, tag="amd")
    arm = content.image("arm64", {"file": b"arm"}, tag="arm", variant="v8")
    target = f"{registry.address}/made-of-remote:1"
    made = create(service, target, f"{content.repository}:amd", f"{content.repository}:arm")
    assert made.reference == target
    here = {f"sha256:{name}" for name in leftovers(service)["blobs/sha256"]}
    assert here >= {made.digest, amd["digest"], arm["digest"]}
    assert content.get(amd["digest"])["layers"][0]["digest"] not in here
    assert phases(push(service, target)) == {pb.LayerProgress.PHASE_MOUNTED}
    assert {f"sha256:{name}" for name in leftovers(service)["blobs/sha256"]} == here
    shown = subprocess.run(
        ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{target}"],
        check=True,
        capture_output=True,
    ).stdout
    assert digest_of(shown) == made.digest
    assert [entry["platform"] for entry in json.loads(shown)["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux", "variant": "v8"},
    ]
    copied = subprocess.run(
        [
            *("skopeo", "copy", "-q", "--all", "--src-tls-verify=false"),
            *(f"docker://{target}", f"oci:{tmp_path}/copied"),
        ],
        capture_output=True,
        text=True,
    )
    assert copied.returncode == 0, copied.stderr
    assert made.digest in remove(service, target)
    assert pull(service, target, platform=ARM).platform.architecture == "arm64"
    remove_all(service)


def test_of_images_at_another_registry(service: Service, content: Content) -> None:
    content.image("amd64", {"file": b"amd"}, tag="amd")
    content.image("s390x", {"file": b"390"}, tag="390")
    with Registry() as other:
        target = f"{other.address}/copied:1"
        create(service, target, f"{content.repository}:amd", f"{content.repository}:390")
        assert phases(push(service, target)) == {pb.LayerProgress.PHASE_DONE}
        remove(service, target)
        pull(service, target, all_platforms=True)
    remove_all(service)


def test_of_what_is_nowhere_any_more(service: Service) -> None:
    with Registry() as other:
        target = f"{other.address}/app:1"
        with Registry() as gone:
            content = Content(gone, "app")
            content.image("amd64", {"file": b"amd"}, tag="1")
            create(service, target, f"{content.repository}:1")
        raising(errors.RegistryUnavailable, lambda name: push(service, name), target)
        remove(service, target)


def test_of_images_that_are_here(service: Service, registry: Registry) -> None:
    own = import_tar(service, layer_tar({"a": b"1"}), "here:1")
    first = pb.ImportRequest.Open(reference="here:2", platform=ARM)
    messages = [pb.ImportRequest(open=first), pb.ImportRequest(chunk=layer_tar({"a": b"2"}))]
    stub_of(service).Import(iter(messages), timeout=60)
    target = f"{registry.address}/here:all"
    create(service, target, "here:1", "here:2")
    got = stub_of(service).Get(pb.GetRequest(image=target))
    assert got.image.id == own.id
    assert {platform.architecture for platform in got.platforms} == {"amd64", "arm64"}
    got = stub_of(service).Get(pb.GetRequest(image=target, platform=ARM))
    assert got.image.platform.architecture == "arm64"
    wrong = pb.GetRequest(image=target, platform=Platform(os="linux", architecture="s390x"))
    raising(errors.PlatformNotFound, stub_of(service).Get, wrong)
    push(service, target)
    assert [part.platform.architecture for part in look(service, target).parts] == [
        "amd64",
        "arm64",
    ]
    remove_all(service)


def test_an_index_gives_its_entries_and_is_amended(service: Service, content: Content) -> None:
    amd, arm = two(content)
    attestation = content.attestation(amd)
    content.index([amd, arm, attestation], "all")
    newer = content.image("arm64", {"file": b"newer"}, tag="newer")
    content.image("s390x", {"file": b"390"}, tag="390")
    target = f"{content.repository}:made"
    source = f"{content.repository}:all"
    first = create(service, target, source, request_id="create-1")
    assert create(service, target, source, request_id="create-1").digest == first.digest
    raising(errors.NameInUse, lambda name: create(service, name, source), target)
    create(service, target, f"{content.repository}:newer", f"{content.repository}:390", amend=True)
    parts = look(service, target).parts
    assert [part.platform.architecture for part in parts] == ["amd64", "arm64", "", "s390x"]
    assert parts[1].digest == newer["digest"]
    assert parts[2].digest == attestation["digest"]
    push(service, target)
    assert [each["digest"] for each in content.get("made")["manifests"]] == [
        x.digest for x in parts
    ]
    remove(service, target)
    stub_of(service).Reconcile(pb.ReconcileRequest())


def test_what_cannot_be_made(service: Service, content: Content) -> None:
    two(content, "a")
    source = f"{content.repository}:a"
    missing = f"{content.repository}:none"
    raising(errors.ManifestNotFound, lambda name: create(service, name, missing), "made")
    by_digest = f"made@sha256:{'1' * 64}"
    raising(errors.InvalidReference, lambda name: create(service, name, source), by_digest)
    twice = content.image("arm64", {"file": b"other"})
    other = f"{content.repository}@{twice['digest']}"
    raising(errors.InvalidArgument, lambda name: create(service, name, source, other), "made")
    import_tar(service, layer_tar({"a": b"1"}), "taken")
    raising(errors.NameInUse, lambda name: create(service, name, source, amend=True), "taken")
    remove(service, "taken")


def test_looking_stores_nothing(service: Service, content: Content) -> None:
    amd, _ = two(content)
    reference = f"{content.repository}:1"
    before = leftovers(service)
    index = look(service, reference)
    assert index.media_type == INDEX
    assert index.reference == f"{content.repository}@{index.digest}"
    assert digest_of(index.content) == index.digest
    manifest = look(service, reference, ARM)
    assert manifest.platform.architecture == "arm64"
    assert len(manifest.parts) == 1
    assert manifest.configuration.digest
    assert look(service, f"{content.repository}@{amd['digest']}").digest == amd["digest"]
    assert leftovers(service) == before


def test_an_index_that_was_pushed_is_asked_for_there(service: Service, content: Content) -> None:
    content.image("amd64", {"file": b"amd"}, tag="amd")
    target = f"{content.repository}:made"
    made = create(service, target, f"{content.repository}:amd")
    assert look(service, target).digest == made.digest
    push(service, target)
    arm = content.image("arm64", {"file": b"arm"})
    newer = content.index([arm], "made")
    assert look(service, target).digest == newer["digest"]
    remove(service, target)
