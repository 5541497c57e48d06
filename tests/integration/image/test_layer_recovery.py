"""Layers that are damaged, missing, half-made, or in another form than new ones, with every driver."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract import errors
from tests.integration.image.conftest import leftovers
from tests.support import images
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.busybox import rootfs_tar
from tests.support.imageservice import import_tar, raising, stub_of
from tests.support.layertars import needs_erofs
from tests.support.registry import Registry
from tests.support.service import Service
from tests.support.stacks import look

KEY = "SCOW_IMAGE_SNAPSHOTTER"


@pytest.fixture(params=["overlay", pytest.param("erofs", marks=needs_erofs)])
def own(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service("image", settings={KEY: request.param}) as running:
        yield running


@pytest.fixture
def erofs() -> Iterator[Service]:
    with Service("image", settings={KEY: "erofs"}) as running:
        yield running


def reconcile(service: Service) -> list[tuple[str, str]]:
    actions = stub_of(service).Reconcile(pb.ReconcileRequest()).actions
    return [(action.object, action.action) for action in actions]


def prepared(service: Service, image: str, owner: str = "container/1") -> pb.PrepareResponse:
    answer: pb.PrepareResponse = stub_of(service).Prepare(
        pb.PrepareRequest(image=image, owner=owner)
    )
    return answer


def busybox_of(service: Service, image: str) -> bytes:
    """Return the busybox in an image that import_tar made of rootfs_tar."""

    def act(root: int) -> bytes:
        return Path(f"/proc/self/fd/{root}/bin/busybox").read_bytes()

    return look(prepared(service, image).mounts, act)


def layer_of(service: Service) -> Path:
    [folder] = (service.data / "layers").iterdir()
    return folder


def test_a_missing_layer_is_made_again(own: Service) -> None:
    image = import_tar(own, gzip.compress(rootfs_tar()), "damaged")
    folder = layer_of(own)
    shutil.rmtree(folder)
    assert reconcile(own) == [(f"layer/{image.diff_ids[0]}", "rebuilt")]
    assert busybox_of(own, "damaged") == Path("/bin/busybox").read_bytes()
    assert reconcile(own) == []


def test_a_missing_layer_whose_blob_is_gone(own: Service) -> None:
    image = import_tar(own, rootfs_tar(), "damaged")
    shutil.rmtree(layer_of(own))
    for blob in (own.data / "blobs/sha256").iterdir():
        if blob.stat().st_size > 100_000:
            blob.unlink()
    for _ in range(2):
        assert reconcile(own) == [(f"layer/{image.diff_ids[0]}", "missing")]
    stub_of(own).Remove(pb.RemoveRequest(image="damaged"))
    assert reconcile(own) == []


def _unlink(path: Path) -> None:
    path.unlink()


def _cut(path: Path) -> None:
    os.truncate(path, 1500)


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


@needs_erofs
@pytest.mark.parametrize("name", ["layer.tar", "layer.erofs"])
@pytest.mark.parametrize("damage", [_unlink, _cut])
def test_a_part_of_a_layer_is_made_again(erofs: Service, name: str, damage: object) -> None:
    image = import_tar(erofs, gzip.compress(rootfs_tar()), "damaged")
    assert callable(damage)
    damage(layer_of(erofs) / name)
    assert reconcile(erofs) == [(f"layer/{image.diff_ids[0]}", "rebuilt")]
    assert busybox_of(erofs, "damaged") == Path("/bin/busybox").read_bytes()
    assert reconcile(erofs) == []


@needs_erofs
def test_an_index_that_changed_is_found_at_the_start(erofs: Service) -> None:
    import_tar(erofs, rootfs_tar(), "damaged")
    erofs.stop()
    index = layer_of(erofs) / "layer.erofs"
    before = index.read_bytes()
    _flip(index)
    erofs.start()
    assert index.read_bytes() == before
    assert busybox_of(erofs, "damaged") == Path("/bin/busybox").read_bytes()


@needs_erofs
def test_an_index_is_made_of_the_tar_when_the_blob_is_gone(erofs: Service) -> None:
    image = import_tar(erofs, gzip.compress(rootfs_tar()), "damaged")
    for blob in (erofs.data / "blobs/sha256").iterdir():
        if blob.stat().st_size > 100_000:
            blob.unlink()
    (layer_of(erofs) / "layer.erofs").unlink()
    assert reconcile(erofs) == [(f"layer/{image.diff_ids[0]}", "rebuilt")]
    assert busybox_of(erofs, "damaged") == Path("/bin/busybox").read_bytes()


@needs_erofs
def test_a_damaged_index_that_nobody_has_mended_yet(erofs: Service) -> None:
    import_tar(erofs, rootfs_tar(), "damaged")
    (layer_of(erofs) / "layer.erofs").unlink()
    error = raising(
        errors.LayerCorrupt,
        stub_of(erofs).Prepare,
        pb.PrepareRequest(image="damaged", owner="container/1"),
    )
    assert error.metadata["which"] == str(layer_of(erofs))


@needs_erofs
def test_the_setting_may_be_changed(erofs: Service) -> None:
    """Layers of both forms lie on each other, and go as they came."""
    base = layer_tar({"a": b"base", "b": b"base"})
    files = [base, layer_tar({"b": b"second"}), layer_tar({".wh.a": b"", "c": b"third"})]
    with BadRegistry(files[:1]) as registry:
        list(stub_of(erofs).Pull(pb.PullRequest(reference=registry.reference)))
    assert prepared(erofs, registry.reference).driver == "erofs"
    erofs.stop()
    with Service("image", settings={KEY: "overlay"}, root=erofs.root) as overlay:
        with BadRegistry(files) as registry:
            list(stub_of(overlay).Pull(pb.PullRequest(reference=registry.reference)))
        answer = prepared(overlay, registry.reference, "container/2")
        assert answer.driver == "overlay"
        assert [mount.type for mount in answer.mounts] == ["erofs", "overlay"]
        assert look(answer.mounts, lambda root: sorted(os.listdir(root))) == [
            ".dockerenv",
            "b",
            "c",
        ]
        overlay.stop()
    erofs.start()
    answer = prepared(erofs, registry.reference, "container/3")
    assert [mount.type for mount in answer.mounts] == ["erofs", "overlay"]


@needs_erofs
def test_a_driver_that_there_is_not() -> None:
    with pytest.raises(AssertionError, match=r"image\.snapshotter"):
        Service("image", settings={KEY: "zfs"}).__enter__()


def test_real_images(own: Service) -> None:
    """Images of other programs, from Debian's registry, layer by layer as they were built."""
    with Registry() as registry:
        reference = images.push(images.nginx(), registry, "nginx")
        *_, last = stub_of(own).Pull(pb.PullRequest(reference=reference), timeout=120)
        assert list(last.image.config.entrypoint) == ["/usr/sbin/nginx"]
        assert list(last.image.config.volumes) == ["/var/www"]
        assert last.image.config.stop_signal == "SIGQUIT"
        assert len(last.image.diff_ids) == 4
        look(prepared(own, reference).mounts, check_nginx)


def check_nginx(root: int) -> None:
    """Look at what the layers of images.nginx() remove, link and change."""

    def status(name: str) -> os.stat_result:
        return os.stat(name, dir_fd=root, follow_symlinks=False)

    for removed in ("var/lib/apt", "etc/issue.net", "opt/opaque/hidden"):
        with pytest.raises(FileNotFoundError):
            status(removed)
    assert status("opt/opaque/shown").st_size == 0
    assert status("opt/opaque").st_uid == 0
    assert status("usr/local/bin/setuid-cat").st_mode & 0o7777 == 0o4755
    assert status("opt/one").st_ino == status("opt/two").st_ino
    assert os.getxattr(f"/proc/self/fd/{root}/etc/with-xattr", "user.scow") == b"yes"


def test_killed_at_any_moment(own: Service) -> None:
    """What a killed service leaves is gone or whole when it serves again."""
    tars = [
        layer_tar({f"{name}/{number}": os.urandom(2000) for number in range(300)}) for name in "abc"
    ]
    with BadRegistry(tars) as registry:
        for number in range(4):

            def pull() -> None:
                with contextlib.suppress(grpc.RpcError):
                    list(stub_of(own).Pull(pb.PullRequest(reference=registry.reference)))

            thread = threading.Thread(target=pull)
            thread.start()
            time.sleep(0.04 * number)
            own.stop(signal.SIGKILL)
            thread.join()
            own.start()
            assert not [p for p in leftovers(own)["layers"] if p.startswith("new-")]
            for image in stub_of(own).List(pb.ListRequest()).images:
                assert len(image.diff_ids) == 3
        pull()
        found = look(
            prepared(own, registry.reference).mounts, lambda root: sorted(os.listdir(root))
        )
        assert found == [".dockerenv", "a", "b", "c"]
    assert reconcile(own) == []
