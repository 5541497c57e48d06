"""The image service as a process, driven by a bare channel: import, names, snapshots, crashes."""

from __future__ import annotations

import gzip
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from scow.api.image.v1 import (
    archive_pb2,
    artifact_pb2,
    layer_pb2,
    registry_pb2,
    remote_layer_pb2,
    store_pb2,
)
from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Filter, Platform
from scow.contract import errors
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.busybox import rootfs_tar
from tests.support.digests import digest_of
from tests.support.imageservice import import_tar, raising, stub_of
from tests.support.service import Service


@pytest.fixture
def own() -> Iterator[Service]:
    with Service("image") as running:
        yield running


def test_reflection_and_health_tell_of_every_service(service: Service) -> None:
    files = (archive_pb2, artifact_pb2, layer_pb2, pb, registry_pb2, remote_layer_pb2, store_pb2)
    wanted = {
        each.full_name for file in files for each in file.DESCRIPTOR.services_by_name.values()
    }
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    ask = reflection_pb2_grpc.ServerReflectionStub(service.channel).ServerReflectionInfo
    answer = next(iter(ask(iter([asked]))))
    told = {each.name for each in answer.list_services_response.service}
    assert {name for name in told if name.startswith("scow.")} == wanted
    assert len(wanted) == 7
    health = health_pb2_grpc.HealthStub(service.channel)
    for name in wanted:
        status = health.Check(health_pb2.HealthCheckRequest(service=name)).status
        assert status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, "zstd", "xz", "bzip2"],
    ids=["plain", "gzip", "zstd", "xz", "bzip2"],
)
def test_import(service: Service, compress: object) -> None:
    data = rootfs_tar()
    if isinstance(compress, str):
        packed = subprocess.run(
            [compress, "-1"], input=data, capture_output=True, check=True
        ).stdout
    else:
        assert callable(compress)
        packed = compress(data)
    changes = [
        'CMD ["sh", "-c", "date"]',
        "ENV A=b C='d e'",
        "EXPOSE 80 53/udp",
        "LABEL x=y",
        "USER app",
    ]
    image = import_tar(service, packed, "box:1", changes=changes, message="by a test")
    assert image.diff_ids == [digest_of(data)]
    assert list(image.config.cmd) == ["sh", "-c", "date"]
    assert list(image.config.env) == ["A=b", "C=d e"]
    assert list(image.config.exposed_ports) == ["53/udp", "80/tcp"]
    assert (image.config.labels["x"], image.config.user) == ("y", "app")
    assert image.comment == "by a test"
    if compress in ("xz", "bzip2"):  # layers have no such type: the plain tar is kept
        blob = service.data / "blobs/sha256" / digest_of(data).removeprefix("sha256:")
        assert blob.read_bytes() == data
    stub_of(service).Remove(pb.RemoveRequest(image="box:1"))


@pytest.mark.parametrize("change", ["FLY away", "EXPOSE x", "ENV", "VOLUME rel", "HEALTHCHECK x"])
def test_wrong_changes(service: Service, change: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        import_tar(service, rootfs_tar(), "box", changes=[change])
    assert caught.value.which == change


def test_import_is_idempotent(service: Service) -> None:
    first = import_tar(service, rootfs_tar(), "once", request_id="import-1")
    assert import_tar(service, rootfs_tar(), "once", request_id="import-1").id == first.id
    stub_of(service).Remove(pb.RemoveRequest(image="once"))


def test_names(service: Service) -> None:
    stub = stub_of(service)
    image = import_tar(service, layer_tar({"a": b"1"}), "one")
    stub.Tag(pb.TagRequest(image="one", reference="two:x"))
    for name in ("one", "docker.io/library/one:latest", "two:x", image.id, image.id[7:19]):
        assert stub.Get(pb.GetRequest(image=name)).image.id == image.id
    error = raising(errors.ImageHasReferences, stub.Remove, pb.RemoveRequest(image=image.id))
    assert error.which == image.id
    gone = stub.Remove(pb.RemoveRequest(image="one"))
    assert (list(gone.untagged), list(gone.deleted)) == (["docker.io/library/one:latest"], [])
    raising(errors.ImageNotFound, stub.Get, pb.GetRequest(image="one"))
    gone = stub.Remove(pb.RemoveRequest(image="two:x"))
    assert list(gone.deleted) == [image.id, *image.diff_ids]


def test_a_name_moves(service: Service) -> None:
    stub = stub_of(service)
    old = import_tar(service, layer_tar({"a": b"1"}), "moving")
    new = import_tar(service, layer_tar({"a": b"2"}), "moving")
    assert stub.Get(pb.GetRequest(image="moving")).image.id == new.id
    dangling = stub.List(pb.ListRequest(filters=[Filter(key="dangling", values=["true"])])).images
    assert [image.id for image in dangling] == [old.id]
    for image in (old, new):
        stub.Remove(pb.RemoveRequest(image=image.id))


def test_filters(service: Service) -> None:
    stub = stub_of(service)
    import_tar(service, layer_tar({"a": b"1"}), "shop/web:1", changes=["LABEL tier=front"])
    import_tar(service, layer_tar({"a": b"2"}), "db:2", changes=["LABEL tier=back"])

    def found(key: str, value: str) -> list[str]:
        listed = stub.List(pb.ListRequest(filters=[Filter(key=key, values=[value])])).images
        return [image.references[0].removeprefix("docker.io/") for image in listed]

    assert found("reference", "shop/*") == ["shop/web:1"]
    assert found("reference", "db") == ["library/db:2"]
    assert found("label", "tier=front") == ["shop/web:1"]
    assert found("before", "db:2") == ["shop/web:1"]
    assert found("since", "shop/web:1") == ["library/db:2"]
    raising(
        errors.InvalidFilter,
        stub.List,
        pb.ListRequest(filters=[Filter(key="colour", values=["x"])]),
    )
    for name in ("shop/web:1", "db:2"):
        stub.Remove(pb.RemoveRequest(image=name))


def test_snapshots(service: Service) -> None:
    stub = stub_of(service)
    import_tar(service, rootfs_tar(), "base")
    request = pb.PrepareRequest(image="base", owner="container/1")
    first = stub.Prepare(request)
    assert stub.Prepare(request).mounts == first.mounts, "the same owner got another snapshot"
    other = stub.Prepare(pb.PrepareRequest(image="base", owner="container/2"))
    assert other.mounts != first.mounts
    error = raising(errors.ImageInUse, stub.Remove, pb.RemoveRequest(image="base"))
    assert error.metadata["owners"] == "container/1,container/2"
    options = dict(option.partition("=")[::2] for option in first.mounts[-1].options)
    (Path(options["upperdir"]) / "written").write_bytes(bytes(5000))
    assert stub.Usage(pb.UsageRequest(owner="container/1")).size == 5000
    wrong = pb.PrepareRequest(
        image="base", owner="container/3", platform=Platform(os="linux", architecture="s390x")
    )
    raising(errors.PlatformMismatch, stub.Prepare, wrong)
    for owner in ("container/1", "container/1", "container/2"):  # again is not an error
        stub.Release(pb.ReleaseRequest(owner=owner))
    raising(errors.ImageNotFound, stub.Usage, pb.UsageRequest(owner="container/1"))
    stub.Remove(pb.RemoveRequest(image="base"))


def test_two_pulls_share_one_flight(service: Service) -> None:
    with BadRegistry([layer_tar({"a": bytes(1 << 20)})]) as registry:
        calls = [
            stub_of(service).Pull(pb.PullRequest(reference=registry.reference)) for _ in range(4)
        ]
        ids = {list(call)[-1].image.id for call in calls}
        assert ids == {registry.config}
        assert sum(registry.layer_path in request for request in registry.requests) == 1
    stub_of(service).Remove(pb.RemoveRequest(image=registry.reference))


def test_progress(service: Service) -> None:
    with BadRegistry([layer_tar({"a": b"1"}), layer_tar({"b": b"2"})]) as registry:
        messages = list(stub_of(service).Pull(pb.PullRequest(reference=registry.reference)))
    assert messages[0].resolved.endswith(digest_of(registry.manifest))
    done = [m.layer.digest for m in messages if m.layer.phase == pb.LayerProgress.PHASE_DONE]
    assert sorted(done) == sorted(digest_of(layer) for layer in registry.layers)
    assert messages[-1].image.id == registry.config
    stub_of(service).Remove(pb.RemoveRequest(image=registry.reference))


def test_a_crash_in_the_middle_of_a_pull(own: Service) -> None:
    """The store opens, nothing half-made is visible, and the pull goes on where it was."""
    tar = layer_tar({"a": bytes(range(256)) * 5000})
    with BadRegistry([tar, layer_tar({"b": b"2"})]) as registry:

        def hang(handler: Handler) -> bool:
            if handler.path != registry.layer_path:
                return False
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(registry.layers[0])))
            handler.end_headers()
            handler.wfile.write(registry.layers[0][:1000])
            handler.wfile.flush()
            handler.close_connection = True
            time.sleep(20)
            return True

        registry.misbehave = hang
        call = stub_of(own).Pull(pb.PullRequest(reference=registry.reference))
        for message in call:
            if message.layer.current >= 1000:
                break
        own.kill_and_restart()
        assert list(stub_of(own).List(pb.ListRequest()).images) == []
        # What came whole may stay for the next pull.
        assert list((own.data / "layers").glob("new-*")) == [], "a half-unpacked layer was left"
        registry.misbehave = lambda _: False
        registry.requests.clear()
        list(stub_of(own).Pull(pb.PullRequest(reference=registry.reference)))
        assert f"{registry.layer_path} bytes=1000-" in registry.requests


def test_strays_are_deleted(own: Service) -> None:
    import_tar(own, rootfs_tar(), "kept")
    for stray in ("layers/new-77", "layers/78", "snapshots/79/fs"):
        (own.data / stray).mkdir(parents=True)
    (own.data / "blobs/sha256" / ("0" * 64)).write_bytes(b"stray")
    (own.data / "ingest/import-0").write_bytes(b"stray")
    actions = {a.object for a in stub_of(own).Reconcile(pb.ReconcileRequest()).actions}
    assert actions == {
        "layer/77",
        "layer/78",
        "snapshot/79",
        f"blob/sha256:{'0' * 64}",
        "ingest/import-0",
    }
    assert len(list((own.data / "layers").iterdir())) == 1
    assert list(stub_of(own).Reconcile(pb.ReconcileRequest()).actions) == []
