"""Commits of snapshots that a process has written to, through a real overlay."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from scow.api.image.v1 import archive_pb2, image_pb2
from scow.api.image.v1.archive_pb2_grpc import ArchiveServiceStub
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.contract import errors
from tests.support import processes
from tests.support.deep import deep
from tests.support.layertars import tar_of
from tests.support.service import Service, from_rpc_error
from tests.support.snapshots import inside

OWNER = "container/committed"
DIR, REG = tarfile.DIRTYPE, tarfile.REGTYPE
BASE = tar_of(
    ("etc", DIR, {"mode": 0o755}),
    ("etc/keep", REG, {"data": b"kept"}),
    ("etc/gone", REG, {"data": b"gone"}),
    ("etc/changed", REG, {"data": b"old"}),
    ("tree", DIR, {"mode": 0o755}),
    ("tree/a", REG, {"data": b"a"}),
    ("tree/b", DIR, {"mode": 0o755}),
    ("tree/b/c", REG, {"data": b"c"}),
    ("opaque", DIR, {"mode": 0o755}),
    ("opaque/hidden", REG, {"data": b"hidden"}),
    ("file-then-folder", REG, {"data": b"file"}),
    ("folder-then-file", DIR, {"mode": 0o755}),
    ("folder-then-file/x", REG, {"data": b"x"}),
    ("only-mode", DIR, {"mode": 0o755}),
)
# All that a container can do to a file system.
CHANGES = r"""
rm etc/gone; echo new > etc/changed; rm -r tree
rm -r opaque; mkdir opaque; echo shown > opaque/shown
rm file-then-folder; mkdir file-then-folder; touch file-then-folder/in
rm -r folder-then-file; echo file > folder-then-file
chmod 700 only-mode; chown 12:34 only-mode
mkdir -p new/deep; echo one > new/one; ln new/one new/deep/two; ln new/one three
ln -s ../else/where new/symlink; mkfifo new/fifo; mknod new/null c 1 3; mknod new/disk b 7 99
cp /bin/true new/setuid; chmod 4755 new/setuid; chmod 1777 new/deep
chown 3000000:4000000 new/one; touch -d '2001-02-03 04:05:06.123456789 UTC' new/one
touch -d '1960-01-01 UTC' new/fifo
setfattr -n user.note -v 'a note' new/one
setfattr -n security.capability -v 0x0100000200040000000000000000000000000000 new/deep/../setuid
long=$(printf 'l%.0s' {1..120}); mkdir -p "new/$long/$long"; echo long > "new/$long/$long/$long"
ln -s "$long/$long/$long" new/long-link
touch $'new/not-utf-8-\xff'
truncate -s 20000000 new/sparse; echo middle | dd of=new/sparse bs=1 seek=4500000 conv=notrunc status=none
python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind("new/socket")'
: > etc/hosts; : > etc/resolv.conf; : > etc/hostname; mkdir -p proc sys dev
"""


def image_stub(service: Service) -> ImageServiceStub:
    return ImageServiceStub(service.channel)


def import_tar(service: Service, data: bytes, changes: tuple[str, ...] = ()) -> image_pb2.Image:
    opened = image_pb2.ImportRequest.Open(changes=changes)
    messages = [image_pb2.ImportRequest(open=opened), image_pb2.ImportRequest(chunk=data)]
    return image_stub(service).Import(iter(messages), timeout=60).image


def commit(service: Service, **fields: Any) -> image_pb2.Image:
    request = archive_pb2.CommitRequest(**{"owner": OWNER, **fields})
    try:
        return ArchiveServiceStub(service.channel).Commit(request, timeout=60).image
    except grpc.RpcError as error:
        raise from_rpc_error(error) from error


class Images:
    """Images and snapshots of a test, given back at its end."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._made: list[str] = []
        self._owners: list[str] = []

    def add(self, image: image_pb2.Image) -> image_pb2.Image:
        self._made.append(image.id)
        return image

    def prepare(self, image: str, owner: str = OWNER) -> list[Any]:
        self._owners.append(owner)
        request = image_pb2.PrepareRequest(image=image, owner=owner)
        return list(image_stub(self.service).Prepare(request).mounts)

    def close(self) -> None:
        for owner in self._owners:
            image_stub(self.service).Release(image_pb2.ReleaseRequest(owner=owner))
        for image in dict.fromkeys(self._made):
            request = image_pb2.RemoveRequest(image=image, force=True)
            image_stub(self.service).Remove(request)


@pytest.fixture
def made(service: Service) -> Iterator[Images]:
    images = Images(service)
    yield images
    images.close()


def configuration(service: Service, image: image_pb2.Image) -> Any:
    path = service.data / "blobs/sha256" / image.id.removeprefix("sha256:")
    return json.loads(path.read_bytes())


def layer_of(service: Service, image: image_pb2.Image) -> bytes:
    """Return the plain tar of an image's last layer."""
    manifests = [
        json.loads(path.read_bytes())
        for path in (service.data / "blobs/sha256").iterdir()
        if path.stat().st_size < 10_000 and image.id.encode() in path.read_bytes()
    ]
    digest = manifests[0]["layers"][-1]["digest"].removeprefix("sha256:")
    packed = (service.data / "blobs/sha256" / digest).read_bytes()
    return gzip.decompress(packed)


def names_in(layer: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as tar:
        return tar.getnames()


def test_the_image_shows_what_the_snapshot_showed(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    before = inside(made.prepare(base.id), CHANGES)
    image = made.add(commit(service))
    assert image.diff_ids[:-1] == base.diff_ids
    after = inside(made.prepare(image.id, "container/second"))
    for path in ("etc/hosts", "etc/resolv.conf", "etc/hostname", "proc", "sys", "dev"):
        assert before.pop(f"./{path}")
        assert f"./{path}" not in after
    assert before.pop("./new/socket")
    assert before.pop(".")[:2] == after.pop(".")[:2]
    assert after == before


def test_the_same_content_is_the_same_layer(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    inside(made.prepare(base.id), CHANGES)
    one, other = (made.add(commit(service, author=name)) for name in ("one", "other"))
    assert one.id != other.id
    assert one.diff_ids == other.diff_ids
    names = names_in(layer_of(service, one))
    assert "etc/.wh.gone" in names
    assert ".wh.tree" in names
    assert "opaque/.wh..wh..opq" in names
    assert "etc/keep" not in names


def test_a_second_commit_lies_on_the_first(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    inside(made.prepare(base.id), "echo one > one")
    first = made.add(commit(service))
    inside(made.prepare(first.id, "container/second"), "rm one; echo two > two")
    second = made.add(commit(service, owner="container/second"))
    found = inside(made.prepare(second.id, "container/third"))
    assert "./two" in found
    assert "./one" not in found
    assert len(second.diff_ids) == 3


def test_what_the_configuration_says(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE, ('CMD ["sh"]', "ENV A=1", "LABEL kept=yes")))
    inside(made.prepare(base.id), "echo one > one")
    image = made.add(
        commit(
            service,
            reference="committed:1",
            author="An Author",
            message="why",
            created_by="sh -c change",
            changes=["ENV B=2", "EXPOSE 80", 'ENTRYPOINT ["run"]'],
        )
    )
    assert list(image.references) == ["docker.io/library/committed:1"]
    assert (image.author, image.comment) == ("An Author", "why")
    assert list(image.config.env) == ["A=1", "B=2"]
    assert list(image.config.entrypoint) == ["run"]
    assert list(image.config.cmd) == []
    value = configuration(service, image)
    last = value["history"][-1]
    assert len(value["history"]) == 2
    assert (last["created_by"], last["author"], last["comment"]) == (
        "sh -c change",
        "An Author",
        "why",
    )
    assert value["created"] == last["created"]
    given = image_pb2.ImageConfig(cmd=["other"], user="app")
    replaced = made.add(commit(service, config=given, changes=["LABEL a=b"]))
    assert (list(replaced.config.cmd), replaced.config.user) == (["other"], "app")
    assert dict(replaced.config.labels) == {"a": "b"}


def test_nothing_changed_is_no_layer(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    inside(made.prepare(base.id), ": > etc/hosts; rm etc/hosts; mkdir proc")
    image = made.add(commit(service))
    if len(image.diff_ids) == 2:  # /etc was written to
        assert names_in(layer_of(service, image)) == [".", "etc"]
    made.prepare(base.id, "container/untouched")
    unchanged = made.add(commit(service, owner="container/untouched"))
    assert unchanged.diff_ids == base.diff_ids
    assert configuration(service, unchanged)["history"][-1]["empty_layer"] is True


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ("", []),
        ("chmod 700 etc", [".", "etc"]),
        ("setfattr -n user.note -v x etc", [".", "etc"]),
        ("echo 1 > etc/hosts", [".", "etc", "etc/hosts"]),
        ("rm -r etc; mkdir etc", [".", "etc"]),
    ],
)
def test_what_the_runtime_made_to_mount_upon_is_no_layer(
    service: Service, made: Images, change: str, names: list[str]
) -> None:
    base = made.add(import_tar(service, tar_of(("file", REG, {"data": b"1"}))))
    mounts = "mkdir -p etc proc sys dev; : > etc/hosts; : > etc/hostname; : > etc/resolv.conf"
    inside(made.prepare(base.id), f"{mounts}; {change}")
    image = made.add(commit(service))
    assert (names_in(layer_of(service, image)) if names else []) == names
    assert len(image.diff_ids) == (2 if names else 1)


def test_trees_as_deep_as_layers_can_have_them(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    made.prepare(base.id)
    [upper] = (service.data / "snapshots").glob("*/fs")
    deep(upper, 1500)
    assert names_in(layer_of(service, made.add(commit(service)))).count("d/" * 1499 + "file") == 1
    (upper / "more").mkdir()
    deep(upper / "more", 2050)
    with pytest.raises(errors.LimitExceeded, match="paths"):
        commit(service)


def test_a_retry_gets_the_same_image(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    made.prepare(base.id)
    ids = {made.add(commit(service, request_id="commit-once", message="x")).id for _ in range(2)}
    assert len(ids) == 1
    service.kill_and_restart()
    assert commit(service, request_id="commit-once", message="x").id in ids


def test_what_cannot_be_committed_leaves_nothing(service: Service, made: Images) -> None:
    with pytest.raises(errors.ImageNotFound):
        commit(service, owner="container/nobody")
    base = made.add(import_tar(service, BASE))
    made.prepare(base.id)
    with pytest.raises(errors.InvalidArgument):
        commit(service, changes=["RUN true"])
    with pytest.raises(errors.InvalidReference):
        commit(service, reference="Not A Reference")
    assert not list((service.data / "ingest").iterdir())


def test_cancelled_and_killed(service: Service, made: Images) -> None:
    base = made.add(import_tar(service, BASE))
    inside(made.prepare(base.id), "head -c 100000000 /dev/urandom > large")
    blobs = sorted((service.data / "blobs/sha256").iterdir())
    request = archive_pb2.CommitRequest(owner=OWNER)
    ingests = service.data / "ingest"
    for end in ("cancel", "kill"):
        call = ArchiveServiceStub(service.channel).Commit.future(request)
        while not any(path.stat().st_size for path in ingests.iterdir()):
            assert not call.done()
        if end == "cancel":
            call.cancel()
        else:
            service.kill_and_restart()
        processes.wait_for(lambda: not list(ingests.iterdir()), "the end of the ingest")
        assert sorted((service.data / "blobs/sha256").iterdir()) == blobs
    assert len(made.add(commit(service)).diff_ids) == 2


def test_other_programs_read_it(service: Service, made: Images, tmp_path: Path) -> None:
    base = made.add(import_tar(service, BASE))
    inside(made.prepare(base.id), CHANGES)
    image = made.add(commit(service))
    layer = layer_of(service, image)
    (tmp_path / "x").mkdir()
    done = subprocess.run(
        ["tar", "-xpC", str(tmp_path / "x"), "--xattrs", "--xattrs-include=*"],
        input=layer,
        capture_output=True,
        check=True,
    )
    assert b"implausibly old" in done.stderr  # of the year 1960, and nothing else
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "x/new/deep/two").samefile(tmp_path / "x/three")
    assert (tmp_path / "x/new/sparse").stat().st_blocks < 1000
