"""Export and import of volumes by the running service."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.volume.v1 import archive_pb2 as pb
from scow.api.volume.v1 import snapshot_pb2, volume_pb2
from tests.support.processes import wait_for
from tests.support.volumeservice import VolumeService, reason


@pytest.fixture(scope="module")
def service() -> Iterator[VolumeService]:
    with VolumeService(settings={"SCOW_VOLUME_MAX_IMPORT_ENTRIES": "1000"}) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(service: VolumeService) -> Iterator[None]:
    yield
    for snapshot in service.snapshots.ListSnapshots(snapshot_pb2.ListSnapshotsRequest()).snapshots:
        service.snapshots.RemoveSnapshot(
            snapshot_pb2.RemoveSnapshotRequest(volume=snapshot.volume, name=snapshot.name)
        )
    for volume in service.volumes.List(volume_pb2.ListRequest()).volumes:
        service.volumes.Remove(volume_pb2.RemoveRequest(name=volume.name))
    wait_for(lambda: service.leftovers() == [], "all that passes to be gone")


def export(service: VolumeService, volume: str = "data", snapshot: str = "") -> bytes:
    request = pb.ExportRequest(volume=volume, snapshot=snapshot)
    return b"".join(message.chunk for message in service.archives.Export(request))


def requests(tar: bytes, **fields: str | bool) -> Iterator[pb.ImportRequest]:
    opened = pb.ImportRequest.Open(name=str(fields.pop("name", "copy")))
    opened.devices = bool(fields.get("devices"))
    yield pb.ImportRequest(open=opened)
    for start in range(0, len(tar), 1 << 16):
        yield pb.ImportRequest(chunk=tar[start : start + (1 << 16)])


def take(service: VolumeService, tar: bytes, **fields: str | bool) -> Path:
    return Path(service.archives.Import(requests(tar, **fields)).volume.mountpoint)


def archive(*entries: tarfile.TarInfo, data: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for entry in entries:
            entry.size = len(data) if entry.isreg() else 0
            tar.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, 0o4755
    return entry


def make_content(data: Path) -> None:
    (data / "folder").mkdir(mode=0o750)
    (data / "folder" / "ümläut 🐟").write_text("text")
    os.chown(data / "folder", 5, 6)
    (data / "link").symlink_to("/etc/passwd")
    (data / "hard").hardlink_to(data / "folder" / "ümläut 🐟")
    os.setxattr(data / "hard", "user.note", b"kept")
    with (data / "sparse").open("wb") as file:
        file.seek(8 << 20)
        file.write(b"end")
    os.mkfifo(data / "fifo")
    data.chmod(0o1770)
    os.chown(data, 7, 8)


def test_there_and_back(service: VolumeService) -> None:
    make_content(service.make())
    tar = export(service)
    assert export(service) == tar, "the same content gives the same bytes"
    for packed in (tar, gzip.compress(tar)):
        copy = take(service, packed)
        assert sorted(os.listdir(copy)) == ["fifo", "folder", "hard", "link", "sparse"]
        assert (copy / "hard").samefile(copy / "folder" / "ümläut 🐟")
        assert os.getxattr(copy / "hard", "user.note") == b"kept"
        assert os.readlink(copy / "link") == "/etc/passwd"
        assert (copy / "sparse").stat().st_blocks < 1000
        status = copy.stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o1770, 7, 8)
        assert export(service, "copy") == tar
        service.volumes.Remove(volume_pb2.RemoveRequest(name="copy"))


def test_a_snapshot_is_exported(service: VolumeService) -> None:
    data = service.make()
    (data / "file").write_text("old")
    request = snapshot_pb2.CreateSnapshotRequest(volume="data", name="one")
    service.snapshots.CreateSnapshot(request)
    before = export(service)
    (data / "file").write_text("new")
    assert export(service, snapshot="one") == before != export(service)


@pytest.mark.parametrize(
    ("tar", "expected"),
    [
        (b"nonsense" * 1000, "INVALID_ARCHIVE"),
        (archive(member("file"), data=bytes(9999))[:5000], "INVALID_ARCHIVE"),
        (archive(member("../out")), "INVALID_ARCHIVE"),
        (archive(member("/etc/passwd")), "INVALID_ARCHIVE"),
        (archive(member("l", tarfile.SYMTYPE, "/etc"), member("l/new")), "INVALID_ARCHIVE"),
        (archive(member("l", tarfile.LNKTYPE, "../../volume.db")), "INVALID_ARCHIVE"),
        (archive(member("node", tarfile.BLKTYPE)), "INVALID_ARCHIVE"),
        (archive(member("node", tarfile.CHRTYPE)), "INVALID_ARCHIVE"),
        (archive(*(member(f"f{i}") for i in range(1001))), "LIMIT_EXCEEDED"),
    ],
    ids=[
        "nonsense",
        "cut",
        "parent",
        "absolute",
        "through-link",
        "hard-link",
        "block",
        "char",
        "many",
    ],
)
def test_hostile_archives(service: VolumeService, tar: bytes, expected: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        take(service, tar)
    assert reason(caught.value) == expected
    assert list(service.volumes.List(volume_pb2.ListRequest()).volumes) == []


def test_devices_are_taken_when_asked_for(service: VolumeService) -> None:
    node = member("null", tarfile.CHRTYPE)
    node.devmajor, node.devminor = 1, 3
    copy = take(service, archive(node), devices=True)
    assert (copy / "null").is_char_device()


def test_names(service: VolumeService) -> None:
    service.make("copy")
    for name, expected in (("copy", "NAME_IN_USE"), ("a/b", "INVALID_NAME")):
        with pytest.raises(grpc.RpcError) as caught:
            take(service, archive(member("file")), name=name)
        assert reason(caught.value) == expected
    for name, expected in (("none", "VOLUME_NOT_FOUND"), ("copy@x", "VOLUME_NOT_FOUND")):
        with pytest.raises(grpc.RpcError) as caught:
            export(service, name)
        assert reason(caught.value) == expected


def test_what_is_removed_while_it_is_exported(service: VolumeService) -> None:
    data = service.make()
    for index in range(40):
        (data / f"f{index:02}").write_bytes(os.urandom(1 << 20))
    whole = hashlib.sha256(export(service)).digest()
    messages = service.archives.Export(pb.ExportRequest(volume="data"))
    read = hashlib.sha256(next(messages).chunk)
    service.volumes.Remove(volume_pb2.RemoveRequest(name="data"))
    for message in messages:
        read.update(message.chunk)
    assert read.digest() == whole
    service.volumes.Reconcile(volume_pb2.ReconcileRequest())


def test_killed_while_it_imports() -> None:
    tar = archive(*(member(f"f{i}") for i in range(500)), data=bytes(4096))
    with VolumeService() as service:

        def slowly() -> Iterator[pb.ImportRequest]:
            for request in requests(tar):
                yield request
                if request.chunk:
                    wait_for(lambda: killed, "the kill")

        killed: list[bool] = []

        def begun() -> bool:
            return any(service.data.glob("staging/*/tree/*"))

        def condition() -> bool:
            if begun():
                killed.append(True)
            return bool(killed)

        service.kill_when(condition, service.archives.Import, slowly())
        assert list(service.volumes.List(volume_pb2.ListRequest()).volumes) == []
        assert service.leftovers() == []
        assert len(os.listdir(take(service, tar))) == 500
