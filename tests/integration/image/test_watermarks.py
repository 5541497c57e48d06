"""The watermark policy on a small file system of the test's own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import store_pb2
from tests.support.badregistry import layer_tar
from tests.support.engine import as_root
from tests.support.imageservice import import_tar, store_of, stub_of
from tests.support.service import Service

pytestmark = as_root()
_SETTINGS = {
    "SCOW_IMAGE_SNAPSHOTTER": "overlay",
    "SCOW_IMAGE_GC_HIGH_PERCENT": "55",
    "SCOW_IMAGE_GC_LOW_PERCENT": "53",
    "SCOW_IMAGE_GC_MIN_AGE_SECONDS": "0",
    "SCOW_IMAGE_GC_PINNED": "kept,other/*",
}


@pytest.fixture
def small() -> Iterator[Service]:
    service = Service("image", settings=_SETTINGS)
    service.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=66m", "tmpfs", service.root], check=True)
    try:
        with service:
            yield service
            service.stop()
            subprocess.run(["umount", service.root], check=True)
    except BaseException:
        subprocess.run(["umount", "-l", service.root], check=False)
        raise


def _names(service: Service) -> set[str]:
    images = stub_of(service).List(pb.ListRequest()).images
    return {
        image.references[0].removeprefix("docker.io/").removeprefix("library/")[:-7]
        for image in images
    }


def _collect(service: Service) -> store_pb2.CollectResponse:
    return store_of(service).Collect(store_pb2.CollectRequest())


def test_the_images_used_longest_ago_go(small: Service) -> None:
    stub = stub_of(small)
    for name in ("kept", "pinned", "used", "first", "second"):
        import_tar(small, layer_tar({name: os.urandom(4 << 20)}), name)
        if name == "second":
            break
        assert not _collect(small).actions, "the disk is not full yet"
    store_of(small).SetPinned(store_pb2.SetPinnedRequest(image="pinned", pinned=True))
    stub.Prepare(pb.PrepareRequest(image="used", owner="container/1"))
    # What was used a moment ago goes last.
    stub.Prepare(pb.PrepareRequest(image="first", owner="container/2"))
    stub.Release(pb.ReleaseRequest(owner="container/2"))
    done = _collect(small)
    assert _names(small) == {"kept", "pinned", "used", "first"}, done
    assert done.space_reclaimed > 8 << 20
    assert [a.object.partition("/")[0] for a in done.actions] == ["image", "layer", *["blob"] * 3]
    assert not _collect(small).actions, "it is below the mark"
    import_tar(small, layer_tar({"x": os.urandom(7 << 20)}), "other/x")
    # Reconciliation does it too; what is left is used or pinned.
    actions = stub.Reconcile(pb.ReconcileRequest()).actions
    assert {action.action for action in actions} == {"released", "full"}
    assert _names(small) == {"kept", "pinned", "used", "other/x"}
    stub.Release(pb.ReleaseRequest(owner="container/1"))
