"""Checks and repairs of the store, over a bare channel: damage is found, told, put aside and made anew."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1 import store_pb2
from tests.support.badregistry import BadRegistry, layer_tar
from tests.support.digests import digest_of
from tests.support.imageservice import import_tar, pull, store_of, stub_of
from tests.support.service import Service

_LOST = "sha256:" + "0" * 64
Found = list[tuple[str, str, str, bool]]


@pytest.fixture(scope="module")
def own() -> Iterator[Service]:
    with Service("image", settings={"SCOW_IMAGE_SNAPSHOTTER": "overlay"}) as running:
        yield running


@pytest.fixture
def registry(own: Service) -> Iterator[BadRegistry]:
    """A registry, and its image in the service."""
    tars = [layer_tar({"a": b"1" * 3000, "d/b": b"2"}), layer_tar({"c": b"3"})]
    with BadRegistry(tars) as running:
        pull(own, running.reference)
        yield running
    for image in stub_of(own).List(pb.ListRequest(all=True)).images:
        stub_of(own).Remove(pb.RemoveRequest(image=image.id, force=True))


def check(
    service: Service, *images: str, repair: bool = False
) -> tuple[Found, store_pb2.CheckResult]:
    """Return kind, fault, action and whether it is repaired of each finding, and the result."""
    found: Found = []
    request = store_pb2.CheckRequest(images=images, repair=repair)
    for message in store_of(service).Check(request, timeout=60):
        kind = message.WhichOneof("message")
        if kind == "finding":
            finding = message.finding
            found.append((finding.kind, finding.fault, finding.action, finding.repaired))
        elif kind == "result":
            return found, message.result
        else:
            assert message.progress.current <= message.progress.total
    raise AssertionError("no result")


def blob(service: Service, digest: str) -> Path:
    return service.data / "blobs/sha256" / digest.removeprefix("sha256:")


def quarantined(service: Service) -> list[str]:
    return sorted(path.name.rpartition("-")[0] for path in (service.data / "quarantine").iterdir())


def damaged(service: Service, registry: BadRegistry) -> list[str]:
    return list(stub_of(service).Get(pb.GetRequest(image=registry.config)).image.damaged)


def flip(path: Path) -> None:
    """Change a byte in the middle, and not the time: as a bad disk does."""
    status = path.stat()
    with path.open("r+b") as file:
        file.seek(status.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_sound_store(own: Service, registry: BadRegistry) -> None:
    found, result = check(own)
    assert found == []
    assert (result.blobs, result.layers, result.images) == (4, 2, 1)
    assert result.size >= sum(path.stat().st_size for path in (own.data / "blobs/sha256").iterdir())


@pytest.mark.parametrize("how", [flip, Path.unlink, lambda path: os.truncate(path, 0)])
def test_a_damaged_blob_is_fetched_again(own: Service, registry: BadRegistry, how: object) -> None:
    assert callable(how)
    digest = digest_of(registry.layers[0])
    how(blob(own, digest))
    fault = "missing" if how is Path.unlink else "corrupt"
    found, result = check(own)
    assert found == [("blob", fault, "", False)]
    assert (result.faults, result.repaired) == (1, 0)
    found, _ = check(own, registry.reference, repair=True)
    assert found == [("blob", fault, "fetched", True)]
    assert blob(own, digest).read_bytes() == registry.layers[0]
    if fault == "corrupt":
        assert f"blob-{digest.removeprefix('sha256:')}" in quarantined(own)
    assert check(own)[0] == []


def test_damaged_documents_are_fetched_again(own: Service, registry: BadRegistry) -> None:
    documents = {digest_of(registry.manifest): registry.manifest}
    documents[registry.config] = registry.blobs[registry.config]
    for digest in documents:
        flip(blob(own, digest))
    found, result = check(own, repair=True)
    assert sorted(found) == [
        ("blob", "corrupt", "fetched", True),
        ("manifest", "corrupt", "fetched", True),
    ]
    assert (result.faults, result.repaired) == (2, 2)
    for digest, data in documents.items():
        assert blob(own, digest).read_bytes() == data


def test_what_cannot_be_repaired_marks_the_image(own: Service, registry: BadRegistry) -> None:
    digest = digest_of(registry.layers[1])
    flip(blob(own, digest))
    registry.misbehave = lambda handler: handler.refuse(404)
    found, result = check(own, repair=True)
    assert found == [("blob", "corrupt", "quarantined", False)]
    assert result.faults == 1
    assert damaged(own, registry) == [digest]
    own.kill_and_restart()
    assert damaged(own, registry) == [digest]
    # Again: it is still missed. Its layer is there, so containers can be made.
    assert check(own, repair=True)[0] == [("blob", "missing", "", False)]
    owner = "container/1"
    stub_of(own).Prepare(pb.PrepareRequest(image=registry.reference, owner=owner))
    stub_of(own).Release(pb.ReleaseRequest(owner=owner))
    registry.misbehave = lambda _: False
    assert check(own, repair=True)[0] == [("blob", "missing", "fetched", True)]
    assert damaged(own, registry) == []


def _chmod(folder: Path) -> None:
    (folder / "a").chmod(0o600)


def _content(folder: Path) -> None:
    flip(folder / "a")


def _extra(folder: Path) -> None:
    (folder / "d/more").write_bytes(b"")


def _less(folder: Path) -> None:
    (folder / "d/b").unlink()


def _link(folder: Path) -> None:
    (folder / "d/b").unlink()
    (folder / "d/b").symlink_to("/etc/passwd")


def _xattr(folder: Path) -> None:
    os.setxattr(folder / "a", "user.more", b"1")


@pytest.mark.parametrize("harm", [_chmod, _content, _extra, _less, _link, _xattr])
def test_a_damaged_layer_is_made_anew(own: Service, registry: BadRegistry, harm: object) -> None:
    assert callable(harm)
    owner = "container/2"
    prepared = stub_of(own).Prepare(pb.PrepareRequest(image=registry.reference, owner=owner))
    options = dict(option.partition("=")[::2] for option in prepared.mounts[0].options)
    folder = next(Path(x) for x in options["lowerdir"].split(":") if (Path(x) / "a").exists())
    held = os.open(folder, os.O_RDONLY)  # as a running container holds it
    harm(folder)
    assert check(own)[0] == [("layer", "differs", "", False)]
    assert check(own, repair=True)[0] == [("layer", "differs", "rebuilt", True)]
    assert check(own)[0] == []
    assert not os.path.samestat(folder.stat(), os.fstat(held)), "a layer in use was changed"
    os.stat("a", dir_fd=held)
    stub_of(own).Reconcile(pb.ReconcileRequest())
    os.stat("a", dir_fd=held)
    again = stub_of(own).Prepare(pb.PrepareRequest(image=registry.reference, owner=owner))
    assert again.mounts == prepared.mounts, "the next start does not have the fresh layer"
    stub_of(own).Release(pb.ReleaseRequest(owner=owner))
    stub_of(own).Reconcile(pb.ReconcileRequest())
    with pytest.raises(FileNotFoundError):
        os.stat("a", dir_fd=held)
    os.close(held)


def test_wrong_records_are_told(own: Service, registry: BadRegistry) -> None:
    own.stop()
    with sqlite3.connect(own.data / "image.db") as database:
        database.execute("UPDATE image_layers SET position = position + 5")
        database.execute("DELETE FROM image_layers WHERE position = 6")
        database.execute("DELETE FROM manifest_parts WHERE position = 1")
        database.execute("INSERT INTO names VALUES ('docker.io/library/lost:1', ?, NULL)", [_LOST])
    database.close()
    own.start()
    found, result = check(own)
    assert [each[:2] for each in found] == [
        ("manifest", "differs"),
        ("manifest", "missing"),
        ("image", "differs"),
    ]
    assert (result.faults, result.repaired) == (3, 0)
    stub_of(own).Remove(pb.RemoveRequest(image="lost:1"))


def test_only_the_images_asked_for(own: Service, registry: BadRegistry) -> None:
    other = import_tar(own, layer_tar({"x": b"y"}), "other")
    flip(blob(own, other.diff_ids[0]))
    assert check(own, registry.reference)[0] == []
    found, _ = check(own, "other", repair=True)
    assert found == [("blob", "corrupt", "quarantined", False)], "nobody has it"
    assert list(stub_of(own).Get(pb.GetRequest(image="other")).image.damaged) == other.diff_ids


@pytest.mark.parametrize("name", ["layer.tar", "layer.erofs"])
def test_a_damaged_erofs_layer_is_made_anew(name: str) -> None:
    with Service("image", settings={"SCOW_IMAGE_SNAPSHOTTER": "auto"}) as service:
        tars = [layer_tar({"a": os.urandom(5000)})]
        with BadRegistry(tars) as registry:
            pull(service, registry.reference)
            [folder] = (service.data / "layers").iterdir()
            if not (folder / "layer.erofs").exists():
                pytest.skip("the driver erofs does not work here")
            assert check(service)[0] == []
            flip(folder / name)
            assert check(service)[0] == [("layer", "differs", "", False)]
            assert check(service, repair=True)[0] == [("layer", "differs", "rebuilt", True)]
            assert check(service)[0] == []
