"""The trust policy at pulls and at runs, with every way in which a signature can be wrong.

The signatures have the form that cosign's specification gives; see tests/support/signing.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import remote_layer_pb2, store_pb2
from scow.api.image.v1.remote_layer_pb2_grpc import RemoteLayerServiceStub
from scow.api.image.v1.store_pb2_grpc import StoreServiceStub
from scow.api.types.v1.types_pb2 import Platform
from scow.contract import errors
from tests.integration.image.conftest import SETTINGS, leftovers
from tests.integration.image.test_platforms import remove_all, two
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.content import Content
from tests.support.digests import digest_of
from tests.support.imageservice import import_tar, pull, raising, stub_of
from tests.support.registry import Registry
from tests.support.service import Service
from tests.support.serving import Serving
from tests.support.signing import (
    new_key,
    payload_of,
    public_pem,
    sign_by_referrer,
    sign_by_tag,
)

KEY = new_key()
OTHER_KEY = new_key()


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trust") / "policy.toml"


@pytest.fixture(scope="module")
def shared(policy: Path) -> Iterator[Service]:
    policy.write_text("default = 'accept'\n")
    settings = {**SETTINGS, "SCOW_IMAGE_TRUST_POLICY": str(policy)}
    with Service("image", settings=settings) as running:
        yield running


@pytest.fixture
def guarded(shared: Service, policy: Path) -> Iterator[Service]:
    """A service that wants signatures of KEY for everything."""
    demand(policy)
    yield shared
    remove_all(shared)
    assert not leftovers(shared)["blobs/sha256"]


@pytest.fixture
def content(registry: Registry, request: pytest.FixtureRequest) -> Content:
    """A repository of the test's own."""
    name = request.node.name.replace("[", "-").rstrip("]").removeprefix("test_")
    return Content(registry, name.replace("_", "-").replace(" ", "-"))


def demand(policy: Path, *keys: object, default: str = "") -> None:
    """Write a policy that demands signatures, or has another default."""
    texts = [public_pem(key) for key in keys or (KEY,)]  # type: ignore[arg-type]
    signed = f"{{ policy = 'signed', keys = {json.dumps(texts)} }}"
    policy.write_text(f"default = {default or signed}\n")


def refused(service: Service, reference: str, **options: object) -> str:
    """Check that a pull is refused and leaves nothing; return why."""
    before = leftovers(service)
    request = pb.PullRequest(reference=reference, **options)  # type: ignore[arg-type]
    error = raising(errors.ImageUntrusted, lambda r: list(stub_of(service).Pull(r)), request)
    assert leftovers(service) == before
    return str(error)


def run(service: Service, name: str) -> None:
    """Prepare a snapshot as a run does, and give it back."""
    stub = stub_of(service)
    stub.Prepare(pb.PrepareRequest(image=name, owner="container/t"))
    stub.Release(pb.ReleaseRequest(owner="container/t"))


def no_run(service: Service, name: str) -> str:
    request = pb.PrepareRequest(image=name, owner="container/t")
    return str(raising(errors.ImageUntrusted, stub_of(service).Prepare, request))


def one(content: Content) -> tuple[str, str]:
    """Put an image; return its reference and digest."""
    entry = content.image("amd64", {"file": content.repository.encode()}, tag="1")
    return f"{content.repository}:1", entry["digest"]


def test_signed_by_tag(guarded: Service, content: Content) -> None:
    reference, digest = one(content)
    sign_by_tag(content, KEY, digest)
    image = pull(guarded, reference)
    for name in (reference, f"{content.repository}@{digest}", image.id, image.id[7:19]):
        run(guarded, name)


def test_signed_by_a_referrer(guarded: Service, content: Content) -> None:
    entry = content.image("amd64", {"file": b"1"}, tag="1")
    sign_by_referrer(content, KEY, entry)
    pull(guarded, f"{content.repository}:1")
    run(guarded, f"{content.repository}:1")


def test_single_layers_are_under_the_same_rules(
    guarded: Service, content: Content, policy: Path
) -> None:
    reference, digest = one(content)
    stub = RemoteLayerServiceStub(guarded.channel)
    asked = remote_layer_pb2.GetRemoteStackRequest(reference=reference)
    raising(errors.ImageUntrusted, stub.GetRemoteStack, asked)
    sign_by_tag(content, KEY, digest)
    (layer,) = stub.GetRemoteStack(asked).layers
    fetching = remote_layer_pb2.FetchLayerRequest(reference=reference, layer=layer, ttl_seconds=60)
    demand(policy, default="'reject'")
    raising(errors.ImageUntrusted, stub.FetchLayer, fetching)
    demand(policy)
    store = StoreServiceStub(guarded.channel)
    lease = stub.FetchLayer(fetching).lease
    store.Collect(store_pb2.CollectRequest())
    assert set(leftovers(guarded)["blobs/sha256"]) == {layer.digest.partition(":")[2]}
    store.DeleteLease(store_pb2.DeleteLeaseRequest(id=lease))
    layer.diff_id = digest
    fetching = remote_layer_pb2.FetchLayerRequest(reference=reference, layer=layer)
    raising(errors.DigestMismatch, stub.FetchLayer, fetching)


def test_a_run_needs_no_registry(guarded: Service, policy: Path) -> None:
    with Registry() as registry:
        content = Content(registry, "app")
        reference, digest = one(content)
        sign_by_tag(content, KEY, digest)
        pull(guarded, reference)
    stub_of(guarded).Reconcile(pb.ReconcileRequest())
    guarded.kill_and_restart()
    run(guarded, reference)
    demand(policy, OTHER_KEY)
    assert "by none of the keys" in no_run(guarded, reference)
    demand(policy, OTHER_KEY, KEY)
    run(guarded, reference)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_other_kinds_of_keys(guarded: Service, content: Content, policy: Path, kind: str) -> None:
    key = new_key(kind)
    demand(policy, key)
    reference, digest = one(content)
    sign_by_tag(content, key, digest)
    pull(guarded, reference)
    run(guarded, reference)


def _unsigned(_: Content, __: str) -> None:
    pass


def _wrong_key(content: Content, digest: str) -> None:
    sign_by_tag(content, OTHER_KEY, digest)


def _tampered(content: Content, digest: str) -> None:
    genuine = payload_of(content.repository, digest_of(b"another image"))
    sign_by_tag(
        content, KEY, digest, payload=payload_of(content.repository, digest), signed=genuine
    )


def _other_digest(content: Content, digest: str) -> None:
    other = payload_of(content.repository, digest_of(b"another image"))
    sign_by_tag(content, KEY, digest, payload=other)


def _other_repository(content: Content, digest: str) -> None:
    sign_by_tag(content, KEY, digest, repository="registry.example/other")


def _other_tag(content: Content, digest: str) -> None:
    sign_by_tag(content, KEY, digest, repository=f"{content.repository}:2")


def _no_payload(content: Content, digest: str) -> None:
    sign_by_tag(content, KEY, digest, payload=b"{}")


def _wrong_referrer(content: Content, digest: str) -> None:
    """A genuine signature of another image is listed as one of this image."""
    other = content.image("amd64", {"file": b"other"})
    sign_by_referrer(content, KEY, other)
    listed = content.get(other["digest"].replace(":", "-"))
    content.put(listed, listed["mediaType"], digest.replace(":", "-"))


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (_unsigned, "there is no signature"),
        (_wrong_key, "by none of the keys"),
        (_tampered, "by none of the keys"),
        (_other_digest, "is for the digest"),
        (_other_repository, "is for the repository registry.example/other"),
        (_other_tag, "is for the tag 2"),
        (_no_payload, "is not about an image"),
        (_wrong_referrer, "there is no signature"),
    ],
)
def test_faults(
    guarded: Service, content: Content, fault: Callable[[Content, str], None], told: str
) -> None:
    reference, digest = one(content)
    fault(content, digest)
    assert told in refused(guarded, reference)
    assert not list(stub_of(guarded).List(pb.ListRequest(all=True)).images)
    # A good signature beside the bad ones suffices.
    entry = {**content.image("amd64", {"file": content.repository.encode()}), "platform": None}
    assert entry["digest"] == digest
    sign_by_referrer(content, KEY, entry)
    pull(guarded, reference)


def test_an_index_is_signed(guarded: Service, content: Content) -> None:
    amd, _ = two(content)
    digest = digest_of(json.dumps(content.get("1")).encode())
    sign_by_tag(content, KEY, digest)
    for whole in (False, True):
        pull(guarded, f"{content.repository}:1", all_platforms=whole)
        run(guarded, f"{content.repository}:1")
    # What the index names is as good by its own digest at a run, but a pull of it finds no signature.
    assert "no signature" in refused(guarded, f"{content.repository}@{amd['digest']}")


def test_one_child_is_signed(guarded: Service, content: Content) -> None:
    """It may come alone; an index kept whole would bring others too."""
    amd, arm = two(content)
    sign_by_tag(content, KEY, amd["digest"])
    reference = f"{content.repository}:1"
    pull(guarded, reference)
    run(guarded, reference)
    assert "no signature" in refused(guarded, reference, all_platforms=True)
    other = {"os": "linux", "architecture": "arm64"}
    assert arm["platform"]["architecture"] == "arm64"
    assert "no signature" in refused(guarded, reference, platform=Platform(**other))


def test_a_policy_that_comes_later(guarded: Service, content: Content, policy: Path) -> None:
    demand(policy, default="'accept'")
    reference, digest = one(content)
    sign_by_tag(content, KEY, digest)
    image = pull(guarded, reference)
    demand(policy)
    assert "there is no signature" in no_run(guarded, reference)
    assert "there is no signature" in no_run(guarded, image.id)
    pull(guarded, reference)
    run(guarded, reference)
    demand(policy, default="'reject'")
    assert "rejects" in no_run(guarded, reference)
    assert "rejects" in refused(guarded, reference)


def test_local_images_go_by_their_names(guarded: Service, policy: Path) -> None:
    policy.write_text("default = 'reject'\n[repositories]\n'localhost/*' = 'accept'\n")
    image = import_tar(guarded, layer_tar({"a": b"1"}), "localhost/mine")
    run(guarded, "localhost/mine")
    run(guarded, image.id)
    stub_of(guarded).Tag(pb.TagRequest(image="localhost/mine", reference="r.example/app"))
    assert "rejects" in no_run(guarded, "r.example/app")
    run(guarded, image.id)
    nameless = import_tar(guarded, layer_tar({"a": b"2"}))
    assert "no name" in no_run(guarded, nameless.id)


def test_a_policy_that_cannot_be_read(guarded: Service, content: Content, policy: Path) -> None:
    reference, digest = one(content)
    sign_by_tag(content, KEY, digest)
    pull(guarded, reference)
    for text, place in (
        ("default = accept", "line 1"),
        ("default = 'accept'\n[repositories]\nnginx = 'sign'", 'repositories."nginx".policy'),
        (None, "does not exist"),
    ):
        if text is None:
            policy.unlink()
        else:
            policy.write_text(text)
        request = pb.PullRequest(reference=reference)
        stub = stub_of(guarded)
        error = raising(
            errors.InvalidTrustPolicy, lambda r: list(stub_of(guarded).Pull(r)), request
        )
        assert str(policy) in str(error)
        assert place in str(error)
        owned = pb.PrepareRequest(image=reference, owner="container/t")
        raising(errors.InvalidTrustPolicy, stub.Prepare, owned)
    demand(policy)


def test_nobody_answers_where_signatures_are(guarded: Service, policy: Path) -> None:
    """The manifest comes, then the registry is gone: that is no way around a signature."""
    with BadRegistry([layer_tar({"a": b"1"})]) as registry:

        def fail(handler: Handler) -> bool:
            if ".sig" in handler.path or "referrers" in handler.path:
                return handler.refuse(503)
            return False

        registry.misbehave = fail
        request = pb.PullRequest(reference=registry.reference)
        raising(errors.RegistryUnavailable, lambda r: list(stub_of(guarded).Pull(r)), request)
        assert not leftovers(guarded)["blobs/sha256"]


def test_signatures_that_are_pushed_to_us_count(policy: Path) -> None:
    """An image and its signature come to the registry that the service serves; the image runs from there."""
    demand(policy)
    with Serving({"SCOW_IMAGE_TRUST_POLICY": str(policy)}, name="own.example") as serving:
        content = Content(serving, "app")
        digest = content.image("amd64", {"file": b"1"}, tag="1")["digest"]
        assert "there is no signature" in no_run(serving, "own.example/app:1")
        sign_by_tag(content, OTHER_KEY, digest, repository="own.example/app")
        assert "by none of the keys" in no_run(serving, "own.example/app:1")
        sign_by_tag(content, KEY, digest, repository="own.example/app")
        run(serving, "own.example/app:1")
