"""Pushes to real registries, read back by another program."""

from __future__ import annotations

import email.utils
import io
import itertools
import os
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import registry_pb2
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.api.image.v1.registry_pb2_grpc import RegistryServiceStub
from scow.contract import errors
from tests.integration.image import remote
from tests.integration.image.conftest import SETTINGS
from tests.support import processes
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.content import Content
from tests.support.imageservice import pull
from tests.support.proxies import CuttingProxy
from tests.support.registry import Registry
from tests.support.service import Service, typed
from tests.support.uploadregistry import UploadHandler, UploadRegistry

Phase = pb.LayerProgress
LARGE = 6 << 20


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture
def image(service: Service, made: pb.Image) -> Iterator[pb.Image]:
    with remote.names_of_its_own(service, made) as found:
        yield found


@pytest.fixture(scope="module")
def made(shared_service: Service) -> Iterator[pb.Image]:
    """An image of one layer that does not compress."""
    yield (imported := _import(shared_service, _noise(LARGE), "made:1"))
    remote.remove(shared_service, imported.id)


def _noise(size: int) -> bytes:
    """Return a tar that does not compress."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("noise")
        entry.size = size
        tar.addfile(entry, io.BytesIO(os.urandom(size)))
    return stream.getvalue()


def _import(service: Service, data: bytes, reference: str = "") -> pb.Image:
    messages = [pb.ImportRequest(open=pb.ImportRequest.Open(reference=reference))]
    messages += [
        pb.ImportRequest(chunk=data[at : at + (1 << 20)]) for at in range(0, len(data), 1 << 20)
    ]
    with typed():
        return ImageServiceStub(service.channel).Import(iter(messages)).image


def _inspect(reference: str, *arguments: str) -> object:
    return remote.skopeo("inspect", "--tls-verify=false", *arguments, f"docker://{reference}")


def test_a_push_is_read_back(service: Service, registry: Registry, image: pb.Image) -> None:
    reference = f"{registry.address}/made/here:1"
    remote.tag(service, image.id, reference)
    result, phases = remote.push(service, reference)
    assert result.reference == reference
    assert result.digest == registry.digest("made/here", "1")
    assert set(phases.values()) == {Phase.PHASE_DONE}
    raw = _inspect(reference, "--raw")
    assert isinstance(raw, dict)
    assert raw["config"]["digest"] == image.id
    assert result.size > 100
    digest_reference = f"{registry.address}/made/here@{result.digest}"
    assert digest_reference in remote.get(service, image.id).repo_digests
    # Again: all is there.
    _, phases = remote.push(service, reference)
    assert set(phases.values()) == {Phase.PHASE_EXISTS}
    assert remote.tags(service, reference) == ["1"]
    # Into another repository: the registry takes what it has.
    other = f"{registry.address}/another:2"
    remote.tag(service, image.id, other)
    _, phases = remote.push(service, other)
    assert set(phases.values()) == {Phase.PHASE_MOUNTED}
    assert _inspect(other, "--raw") == raw


def test_what_was_pulled_is_pushed_as_it_is(service: Service, registry: Registry) -> None:
    with BadRegistry([layer_tar({"a": b"1"}), layer_tar({"b": b"2"})]) as origin:
        pulled = pull(service, origin.reference)
        reference = f"{registry.address}/copied:1"
        remote.tag(service, origin.reference, reference)
        result, phases = remote.push(service, reference)
        assert set(phases) == set(origin.blobs) - {origin.config}
        assert result.media_type == "application/vnd.oci.image.manifest.v1+json"
        assert result.digest == registry.digest("copied", "1")
        remote.remove(service, pulled.id)


def test_a_cut_push_is_made_again(service: Service, registry: Registry, image: pb.Image) -> None:
    """docker-registry drops an upload whose request was cut; it is begun anew."""
    with CuttingProxy(registry.address, size=1 << 20, times=2) as proxy:
        reference = f"{proxy.address}/cut:1"
        remote.tag(service, image.id, reference)
        result, _ = remote.push(service, reference)
        assert proxy.cuts == 2
    assert _inspect(f"{registry.address}/cut@{result.digest}", "--raw")


def test_a_cut_push_goes_on(service: Service, image: pb.Image) -> None:
    """More cuts than there are retries: after each the registry is asked how far it came."""
    with UploadRegistry() as registry:
        registry.cut_after = [1 << 20] * 4
        remote.tag(service, image.id, f"{registry.address}/up:1")
        remote.push(service, f"{registry.address}/up:1")
        starts = [content_range.partition("-")[0] for content_range, _ in registry.patches()]
        assert starts == ["", *(str(number << 20) for number in (1, 2, 3, 4))]
        assert not registry.uploads, "an upload was begun twice"
        assert list(registry.manifests) == ["1"]


@pytest.mark.parametrize(
    ("quirk", "value"),
    [
        ("location", "absolute"),
        ("done", 204),
        ("done", 202),
        ("accepted", 201),
        ("accepted", 204),
        ("least", "2000000"),
    ],
)
def test_quirks(service: Service, image: pb.Image, quirk: str, value: object) -> None:
    with UploadRegistry() as registry:
        if quirk == "location":
            value = lambda path: f"http://{registry.address}{path}"  # noqa: E731
        setattr(registry, quirk, value)
        remote.tag(service, image.id, f"{registry.address}/up:1")
        remote.push(service, f"{registry.address}/up:1")
        assert len(registry.blobs) == 2
        assert not registry.uploads


def test_credentials_do_not_travel_with_an_upload(service: Service, image: pb.Image) -> None:
    """The registry sends the bytes to another host, which is told nothing and cannot ask."""
    with UploadRegistry() as registry, UploadRegistry() as elsewhere:

        def ask(handler: UploadHandler) -> bool:
            if handler.headers.get("Authorization"):
                return False
            return handler.refuse(401, WWW_Authenticate='Basic realm="x"')

        registry.misbehave = ask
        registry.location = lambda path: f"http://{elsewhere.address}{path}"
        elsewhere.uploads = registry.uploads
        elsewhere.location = registry.location
        remote.tag(service, image.id, f"{registry.address}/up:1")
        auth = pb.Auth(username="me", password="secret")
        remote.push(service, f"{registry.address}/up:1", auth)
        assert len(elsewhere.blobs) == 2
        assert not any(asked.authorization for asked in elsewhere.asked)
        elsewhere.misbehave = lambda handler: handler.refuse(
            401, WWW_Authenticate=f'Bearer realm="http://{elsewhere.address}/token"'
        )
        remote.tag(service, image.id, f"{registry.address}/up:2")
        with pytest.raises(errors.RegistryDenied):
            remote.push(service, f"{registry.address}/up:2", auth)
        assert not any(asked.authorization for asked in elsewhere.asked)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, errors.RegistryRefused),
        (401, errors.RegistryDenied),
        (500, errors.RegistryUnavailable),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_statuses(
    service: Service, image: pb.Image, status: int, error: type[errors.ScowError], method: str
) -> None:
    with UploadRegistry() as registry:

        def refuse(handler: UploadHandler) -> bool:
            if handler.command != method:
                return False
            return handler.refuse(status)

        registry.misbehave = refuse
        remote.tag(service, image.id, f"{registry.address}/up:1")
        with pytest.raises(error) as caught:
            remote.push(service, f"{registry.address}/up:1")
        assert registry.address in str(caught.value)
        assert not registry.uploads, "what was begun is dropped"


def test_an_upload_that_begins_while_another_is_refused_is_dropped_too(
    service: Service, image: pb.Image
) -> None:
    """The registry is slow to say where its bytes go, and the push has failed by then."""
    second, dropped, posts = threading.Event(), threading.Event(), itertools.count()
    with UploadRegistry() as registry:

        def misbehave(handler: UploadHandler) -> bool:
            if handler.command == "DELETE":
                dropped.set()
            if handler.command == "PUT":
                assert second.wait(10)
                return handler.refuse(400)
            if handler.command == "POST" and next(posts):
                second.set()
                assert dropped.wait(10)
                time.sleep(0.2)  # its latency
            return False

        begun: list[str] = []
        told = registry.location

        def location(path: str) -> str:
            begun.append(path)
            return told(path)

        registry.misbehave, registry.location = misbehave, location
        remote.tag(service, image.id, f"{registry.address}/up:1")
        with pytest.raises(errors.RegistryRefused):
            remote.push(service, f"{registry.address}/up:1")
        processes.wait_for(lambda: len(begun) >= 2, "the answer to the second")
        assert not registry.uploads


def test_a_rate_limit_is_waited_for(service: Service, image: pb.Image) -> None:
    with UploadRegistry() as registry:
        now = email.utils.formatdate(usegmt=True)
        waits = iter([{"Retry_After": "0"}, {"Retry_After": now}])

        def limit(handler: UploadHandler) -> bool:
            if handler.command != "POST" or (headers := next(waits, None)) is None:
                return False
            return handler.answer(429, **headers)

        registry.misbehave = limit
        remote.tag(service, image.id, f"{registry.address}/up:1")
        remote.push(service, f"{registry.address}/up:1")
        registry.misbehave = lambda handler: handler.answer(429, Retry_After="900")
        with pytest.raises(errors.RegistryRateLimited) as caught:
            remote.push(service, f"{registry.address}/up:1")
        assert caught.value.metadata["retry_after"] == "900"


def test_nothing_of_that_name(service: Service, registry: Registry) -> None:
    with pytest.raises(errors.ImageNotFound, match="nothing/here"):
        remote.push(service, f"{registry.address}/nothing/here:1")


def test_a_client_that_goes_away_leaves_nothing(service: Service, image: pb.Image) -> None:
    with UploadRegistry() as registry:
        begun, gone = threading.Event(), threading.Event()

        def hold(handler: UploadHandler) -> bool:
            if handler.command == "PATCH":
                begun.set()
                gone.wait(20)
            return False

        registry.misbehave = hold
        reference = f"{registry.address}/up:1"
        remote.tag(service, image.id, reference)
        request = registry_pb2.PushRequest(reference=reference)
        call = RegistryServiceStub(service.channel).Push(request, timeout=60)
        next(call)
        assert begun.wait(20)
        call.cancel()
        processes.wait_for(lambda: not registry.uploads, "the upload to be given up")
        gone.set()
        registry.misbehave = lambda _: False
        remote.push(service, reference)
        assert not registry.uploads


def test_an_upload_that_stalls(service: Service, image: pb.Image) -> None:
    """The registry takes nothing more: that is told, however long it keeps the connection."""
    with UploadRegistry() as registry:
        end = threading.Event()
        registry.misbehave = lambda handler: handler.command == "PATCH" and end.wait(30)
        remote.tag(service, image.id, f"{registry.address}/up:1")
        with pytest.raises(errors.RegistryUnavailable, match="in time"):
            remote.push(service, f"{registry.address}/up:1")
        end.set()


def test_an_index_is_pushed_whole_or_not_at_all(service: Service, registry: Registry) -> None:
    content = Content(registry, "whole")
    entries = [content.image(arch, {"file": arch.encode()}) for arch in ("amd64", "arm64")]
    index = content.index(entries, "1")
    reference = f"{content.repository}:1"
    with UploadRegistry() as target:
        copied = f"{target.address}/up:1"
        pulled = pull(service, reference)
        remote.tag(service, reference, copied)
        with pytest.raises(errors.ContentMissing) as caught:
            remote.push(service, copied)
        assert caught.value.which == entries[1]["digest"]
        assert not target.asked, "nothing is sent of what is not whole"
        request = pb.PullRequest(reference=reference, all_platforms=True)
        list(ImageServiceStub(service.channel).Pull(request, timeout=60))
        result, _ = remote.push(service, copied)
        assert result.digest == index["digest"]
        assert list(target.manifests) == [*(entry["digest"] for entry in entries), "1"]
    for image in ImageServiceStub(service.channel).List(pb.ListRequest(all=True)).images:
        if any(name.startswith((content.repository, target.address)) for name in image.references):
            remote.remove(service, image.id)
    assert pulled.id not in remote.images(service)


def test_chunks_and_a_limit_for_one_host(tmp_path: Path) -> None:
    with UploadRegistry() as registry:
        file = tmp_path / "scow.toml"
        file.write_text(
            f"[image]\nupload_chunk_bytes = {1 << 20}\n"
            f'[image.registries."{registry.address}"]\nmax_connections = 1\n'
        )
        active: list[int] = [0]
        seen = []

        def watch(handler: UploadHandler) -> bool:
            active[0] += 1
            seen.append(active[0])
            time.sleep(0.02)
            active[0] -= 1
            return False

        registry.misbehave = watch
        with Service("image", settings={**SETTINGS, "SCOW_CONFIG": str(file)}) as service:
            reference = f"{registry.address}/up:1"
            _import(service, _noise(3 << 20), reference)
            remote.push(service, reference)
            assert [size for _, size in registry.patches()][:3] == [1 << 20] * 3
            starts = [int(text.partition("-")[0]) for text, _ in registry.patches()]
            assert starts == [number << 20 for number in range(len(starts))]
            assert set(seen) == {1}
            registry.asked.clear()
            registry.blobs.clear()
            registry.least = str(2 << 20)
            remote.push(service, reference)
            assert registry.patches()[0][1] == 2 << 20


def test_what_is_pushed_is_not_collected(service: Service) -> None:
    """The image is removed while it is pushed: what is on its way stays until it has arrived."""
    with UploadRegistry() as target:
        begun, go_on = threading.Event(), threading.Event()

        def hold(handler: UploadHandler) -> bool:
            if handler.command == "POST":
                begun.set()
                go_on.wait(20)
            return False

        target.misbehave = hold
        reference = f"{target.address}/up:1"
        imported = _import(service, _noise(2 << 20), reference)
        request = registry_pb2.PushRequest(reference=reference)
        call = RegistryServiceStub(service.channel).Push(request, timeout=60)
        assert begun.wait(20)
        remote.remove(service, imported.id)
        ImageServiceStub(service.channel).Reconcile(pb.ReconcileRequest())
        go_on.set()
        *_, last = call
        assert last.result.digest
        assert len(target.blobs) == 2
        ImageServiceStub(service.channel).Reconcile(pb.ReconcileRequest())


def test_one_flight_for_the_same_push(service: Service, image: pb.Image) -> None:
    with UploadRegistry() as target:
        begun, go_on = threading.Event(), threading.Event()

        def hold(handler: UploadHandler) -> bool:
            begun.set()
            go_on.wait(20)
            return False

        target.misbehave = hold
        reference = f"{target.address}/up:1"
        remote.tag(service, image.id, reference)
        request = registry_pb2.PushRequest(reference=reference)
        stub = RegistryServiceStub(service.channel)
        calls = [stub.Push(request, timeout=60)]
        assert begun.wait(20)
        calls.append(stub.Push(request, timeout=60))
        next(calls[1])
        calls[0].cancel()  # the other one goes on
        go_on.set()
        *_, last = calls[1]
        assert last.result.digest
        assert [asked.method for asked in target.asked].count("POST") == 2


def test_a_body_is_sent_again_after_a_challenge(service: Service, image: pb.Image) -> None:
    """What was good for the first requests is refused in the middle, once."""
    with UploadRegistry() as target:
        refusals = iter([True])

        def refuse(handler: UploadHandler) -> bool:
            if handler.command != "PATCH" or not next(refusals, False):
                return False
            return handler.refuse(401, WWW_Authenticate='Basic realm="x"')

        target.misbehave = refuse
        reference = f"{target.address}/up:1"
        remote.tag(service, image.id, reference)
        remote.push(service, reference, pb.Auth(username="me", password="secret"))
        first, second = (asked for asked in target.asked if asked.method == "PATCH")
        assert (first.authorization, second.authorization) == ("", "Basic bWU6c2VjcmV0")
        assert first.size == second.size > LARGE
