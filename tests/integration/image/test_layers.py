"""Layers one by one: made of tars and of snapshots, looked into without mounting, and made images."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from collections.abc import Iterator

import pytest

from scow.api.image.v1 import image_pb2, layer_pb2, store_pb2
from scow.api.image.v1.layer_pb2_grpc import LayerServiceStub
from scow.contract import errors
from tests.support.imageservice import store_of, stub_of
from tests.support.layertars import tar_of
from tests.support.service import Service, typed
from tests.support.snapshots import inside

DIR, REG, SYM, CHR = tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.CHRTYPE
LOWER = tar_of(
    ("bin", SYM, {"linkname": "usr/bin"}),
    ("etc", DIR, {"mode": 0o755}),
    ("etc/gone", REG, {"data": b"gone"}),
    ("etc/kept", REG, {"data": b"kept", "mode": 0o640, "uid": 7, "gid": 8}),
    ("loop", SYM, {"linkname": "loop"}),
    ("out", SYM, {"linkname": "../../../../etc"}),
    ("opaque", DIR, {"mode": 0o755}),
    ("opaque/below", REG, {"data": b"x"}),
    ("usr", DIR, {"mode": 0o755}),
    ("usr/bin", DIR, {"mode": 0o711}),
    ("usr/bin/tool", REG, {"data": b"#!/bin/sh\n" * 200, "mode": 0o755}),
)
UPPER = tar_of(
    ("etc", DIR, {"mode": 0o700}),
    ("etc/.wh.gone", REG, {"data": b""}),
    ("etc/new", REG, {"data": b"new"}),
    ("opaque", DIR, {"mode": 0o755}),
    ("opaque/.wh..wh..opq", REG, {"data": b""}),
    ("opaque/above", REG, {"data": b"y"}),
)


@pytest.fixture(scope="module", params=["erofs", "overlay"])
def layers(request: pytest.FixtureRequest) -> Iterator[Service]:
    with Service("image", settings={"SCOW_IMAGE_SNAPSHOTTER": request.param}) as running:
        yield running


def stub(service: Service) -> LayerServiceStub:
    return LayerServiceStub(service.channel)


def write(service: Service, tar: bytes) -> layer_pb2.WriteLayerResponse:
    opened = layer_pb2.WriteLayerRequest.Open(labels={"of": "test"})
    messages = [
        layer_pb2.WriteLayerRequest(open=opened),
        *(layer_pb2.WriteLayerRequest(chunk=tar[at : at + 700]) for at in range(0, len(tar), 700)),
    ]
    with typed():
        return stub(service).WriteLayer(iter(messages), timeout=30)


def configuration(*layers: layer_pb2.Layer) -> bytes:
    diff_ids = [layer.diff_id for layer in layers]
    value = {
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    return json.dumps(value).encode()


def found(service: Service, stack: list[layer_pb2.Layer], path: str) -> layer_pb2.Found:
    request = layer_pb2.LookUpRequest(layers=stack, paths=[path.encode()])
    with typed():
        return stub(service).LookUp(request, timeout=30).found[0]


def read(service: Service, stack: list[layer_pb2.Layer], path: str) -> dict[str, bytes]:
    request = layer_pb2.ReadTreeRequest(layers=stack, path=path.encode())
    contents: dict[str, bytes] = {}
    name = ""
    with typed():
        for message in stub(service).ReadTree(request, timeout=30):
            for piece in message.pieces:
                if piece.WhichOneof("piece") == "file":
                    name = piece.file.path.decode()
                    contents[name] = b""
                else:
                    contents[name] += piece.chunk
    return contents


def test_a_stack_is_read_as_overlayfs_shows_it(layers: Service) -> None:
    stack = [write(layers, LOWER).layer, write(layers, UPPER).layer]
    contents = read(layers, stack, "/")
    assert contents == {
        "/": b"",
        "/bin": b"",
        "/etc": b"",
        "/etc/kept": b"kept",
        "/etc/new": b"new",
        "/loop": b"",
        "/opaque": b"",
        "/opaque/above": b"y",
        "/out": b"",
        "/usr": b"",
        "/usr/bin": b"",
        "/usr/bin/tool": b"#!/bin/sh\n" * 200,
    }
    kept = found(layers, stack, "/etc/kept").file
    assert (kept.mode, kept.uid, kept.gid, kept.size) == (stat.S_IFREG | 0o640, 7, 8, 4)
    assert found(layers, stack, "/etc").file.mode == stat.S_IFDIR | 0o700


def test_paths_are_followed_within_the_stack_alone(layers: Service) -> None:
    stack = [write(layers, LOWER).layer]
    tool = found(layers, stack, "/bin/tool")
    assert tool.file.path == b"/usr/bin/tool"
    assert [parent.path for parent in tool.parents] == [b"/usr", b"/usr/bin"]
    # Out of the root leads to the root: to its /etc, not the host's.
    assert found(layers, stack, "/out/passwd").file == layer_pb2.File(path=b"/etc/passwd")
    assert found(layers, stack, "/../../etc/kept").file.path == b"/etc/kept"
    missing = found(layers, stack, "/usr/share/x")
    assert (missing.file.path, missing.file.mode) == (b"/usr/share/x", 0)
    with pytest.raises(errors.InvalidArgument):
        found(layers, stack, "/loop/x")
    with pytest.raises(errors.FileNotFound):
        read(layers, stack, "/etc/passwd")


def test_a_layer_goes_with_its_lease(layers: Service) -> None:
    written = write(layers, tar_of(("alone", REG, {"data": b"alone"})))
    request = layer_pb2.FindLayersRequest(diff_ids=[written.layer.diff_id])
    store_of(layers).Collect(store_pb2.CollectRequest())
    assert stub(layers).FindLayers(request).diff_ids == [written.layer.diff_id]
    store_of(layers).DeleteLease(store_pb2.DeleteLeaseRequest(id=written.lease))
    store_of(layers).Collect(store_pb2.CollectRequest())
    assert not stub(layers).FindLayers(request).diff_ids


def test_a_transient_image_is_in_no_list_and_goes_when_nothing_uses_it(layers: Service) -> None:
    layer = write(layers, LOWER).layer
    request = layer_pb2.MakeImageRequest(
        layers=[layer], configuration=configuration(layer), transient=True
    )
    image = stub(layers).MakeImage(request).image
    assert not stub_of(layers).List(image_pb2.ListRequest()).images
    stub_of(layers).Prepare(image_pb2.PrepareRequest(image=image.id, owner="container/one"))
    store_of(layers).Collect(store_pb2.CollectRequest())
    assert stub_of(layers).Get(image_pb2.GetRequest(image=image.id)).image.id == image.id
    stub_of(layers).Release(image_pb2.ReleaseRequest(owner="container/one"))
    store_of(layers).Collect(store_pb2.CollectRequest())
    with pytest.raises(errors.ImageNotFound), typed():
        stub_of(layers).Get(image_pb2.GetRequest(image=image.id))


def test_a_transient_image_that_is_named_stays(layers: Service) -> None:
    layer = write(layers, LOWER).layer
    request = layer_pb2.MakeImageRequest(
        layers=[layer], configuration=configuration(layer), transient=True
    )
    image = stub(layers).MakeImage(request).image
    stub_of(layers).Tag(image_pb2.TagRequest(image=image.id, reference="kept"))
    store_of(layers).Collect(store_pb2.CollectRequest())
    assert [i.id for i in stub_of(layers).List(image_pb2.ListRequest()).images] == [image.id]
    stub_of(layers).Remove(image_pb2.RemoveRequest(image="kept"))


def test_an_image_names_the_layers_that_it_has(layers: Service) -> None:
    one, two = write(layers, LOWER).layer, write(layers, UPPER).layer
    wrong = layer_pb2.MakeImageRequest(layers=[one], configuration=configuration(one, two))
    with pytest.raises(errors.InvalidManifest), typed():
        stub(layers).MakeImage(wrong)
    digest = "sha256:" + "0" * 64
    lost = layer_pb2.Layer(diff_id=digest, digest=digest, size=1)
    missing = layer_pb2.MakeImageRequest(layers=[lost], configuration=configuration(lost))
    with pytest.raises(errors.ContentMissing), typed():
        stub(layers).MakeImage(missing)


def test_a_layer_is_a_plain_tar(layers: Service) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    with pytest.raises(errors.InvalidArgument):
        write(layers, stream.getvalue())
    with pytest.raises(errors.LayerCorrupt):
        write(layers, LOWER[:1000])


def test_what_was_made_to_mount_upon_is_no_change(layers: Service) -> None:
    layer = write(layers, LOWER).layer
    request = layer_pb2.MakeImageRequest(
        layers=[layer], configuration=configuration(layer), transient=True
    )
    image = stub(layers).MakeImage(request).image
    prepared = stub_of(layers).Prepare(
        image_pb2.PrepareRequest(image=image.id, owner="container/made")
    )
    script = "mkdir -p run/secrets opt; : > run/secrets/key; : > opt/empty"
    inside(prepared.mounts, script)
    points = [b"/run", b"/run/secrets", b"/run/secrets/key"]
    commit = layer_pb2.CommitLayerRequest(owner="container/made", mount_points=points)
    made = stub(layers).CommitLayer(commit).layer
    assert sorted(read(layers, [made], "/")) == ["/", "/opt", "/opt/empty"]
    stub_of(layers).Release(image_pb2.ReleaseRequest(owner="container/made"))
