"""Backups of volumes at registries: Debian's docker-registry, and the one that the engine is itself."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from scow.api.volume.v1 import backup_pb2 as pb
from scow.api.volume.v1.backup_pb2_grpc import BackupServiceStub
from scow.client import Client
from scow.contract.errors import (
    DigestMismatch,
    InvalidArgument,
    InvalidBackup,
    ManifestNotFound,
    NameInUse,
    RegistryRefused,
    RegistryUnavailable,
)
from scow.volume.backup import format as layout
from tests.support.busybox import import_busybox
from tests.support.content import Content
from tests.support.engine import Engine
from tests.support.net import free_port
from tests.support.processes import wait_for
from tests.support.registry import Registry

_MIB = 1 << 20


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def own() -> str:
    return f"127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def running(own: str) -> Iterator[Engine]:
    settings = {
        "SCOW_IMAGE_SERVE_ADDRESS": own,
        "SCOW_IMAGE_SERVE_NAME": "local.test",
        "SCOW_IMAGE_SERVE_DELETION": "true",
        "SCOW_IMAGE_RETRIES": "1",
    }
    with Engine(settings) as engine:
        import_busybox(engine)
        yield engine


@pytest.fixture(scope="module")
def client(running: Engine) -> Iterator[Client]:
    with running.client() as connected:
        yield connected


@pytest.fixture
def engine(running: Engine) -> Iterator[Engine]:
    yield running
    listed = running.cli("ps", "-aq").stdout.split()
    if listed:
        running.cli("rm", "-f", *listed)
    names = running.cli("volume", "ls", "-q").stdout.split()
    if names:
        running.cli("volume", "rm", *names)


def make(client: Client, size: int = 24 * _MIB) -> Path:
    """Make the volume "data" with large and small files."""
    folder = Path(client.volumes.create("data").mountpoint)
    (folder / "large").write_bytes(random.Random(1).randbytes(size))
    for index in range(50):
        (folder / f"small{index}").write_text("text" * index)
    os.chown(folder / "small1", 5, 6)
    return folder


def exported(client: Client, name: str) -> bytes:
    done = client.volumes.export_stream(name)
    with done as stream:
        return b"".join(message.chunk for message in stream)


@pytest.mark.parametrize("where", ["docker-registry", "embedded"])
@pytest.mark.usefixtures("engine")
def test_incremental(client: Client, registry: Registry, own: str, where: str) -> None:
    host = registry.address if where == "docker-registry" else own
    reference, original = (f"{host}/backups/data:{tag}" for tag in ("latest", "first"))
    folder = make(client)
    first = client.backups.backup("data", original)
    assert first.size > 24 * _MIB
    assert (first.reused, first.sent > 20 * _MIB) == (0, True)
    before = exported(client, "data")

    same = client.backups.backup("data", reference, base=original)
    assert (same.sent, same.reused) == (0, same.size)

    with (folder / "large").open("r+b") as file:
        file.seek(10 * _MIB)
        file.write(b"changed")
    (folder / "added").write_text("new")
    second = client.backups.backup("data", reference)
    assert second.sent < 8 * _MIB
    assert second.reused > 16 * _MIB

    client.backups.restore(reference, "latest")
    assert exported(client, "latest") == exported(client, "data") != before
    by_digest = f"{host}/backups/data@{first.digest}"
    client.backups.restore(by_digest, "earlier")
    assert exported(client, "earlier") == before
    with pytest.raises(NameInUse):
        client.backups.restore(reference)
    with pytest.raises(InvalidArgument):
        client.backups.backup("data", f"{host}/other:1", base=original)


def test_by_command(engine: Engine, client: Client, registry: Registry) -> None:
    reference = f"{registry.address}/backups/command:1"
    script = "echo kept > /data/file; exec sleep 1000"
    engine.cli("run", "-d", "--name", "user", "-v", "data:/data", "busybox", "sh", "-c", script)
    wait_for(lambda: engine.cli("exec", "user", "cat", "/data/file", check=False).stdout, "a file")
    done = engine.cli("volume", "backup", "--freeze", "data", reference)
    assert done.stdout.startswith(f"{reference}@sha256:")
    assert "sent" in done.stderr
    assert (
        engine.cli("volume", "restore", "-q", "--label", "a=1", reference, "copy").stdout
        == "copy\n"
    )
    shown = engine.cli("run", "--rm", "-v", "copy:/d", "busybox", "cat", "/d/file").stdout
    assert shown == "kept\n"
    engine.cli("volume", "snapshot", "create", "data@one")
    engine.cli("volume", "backup", "-q", "data@one", reference)
    engine.cli("volume", "snapshot", "rm", "data@one")


def backup_as(client: Client, host: str, *tags: str) -> None:
    for tag in tags:
        (Path(client.volumes.get("data").mountpoint) / "file").write_text(tag)
        client.backups.backup("data", f"{host}/pruned/data:{tag}")


@pytest.mark.parametrize("where", ["docker-registry", "embedded"])
def test_old_backups_are_deleted(
    engine: Engine, client: Client, registry: Registry, own: str, where: str
) -> None:
    host = registry.address if where == "docker-registry" else own
    repository = f"{host}/pruned/data"
    make(client, _MIB)
    backup_as(client, host, "one", "two", "three")
    client.backups.backup("data", f"{repository}:again", base=f"{repository}:three")
    client.volumes.create("other")
    client.backups.backup("other", f"{repository}:other")
    if where == "docker-registry":
        Content(registry, "pruned/data").image("amd64", {"file": b"x"}, tag="image")
    listed = [(backup.volume, *backup.tags) for backup in client.backups.list(repository)]
    assert sorted(tag for _, *tags in listed for tag in tags) == sorted(
        ["one", "two", "three", "again", "other"]
    )
    assert [tags[0] for volume, *tags in listed if volume == "data"][:2] == ["one", "two"]

    would = engine.cli("volume", "backups", "prune", "--dry-run", "--keep-last", "2", repository)
    assert would.stdout.split() == [f"{repository}:one", f"{repository}:two"]
    none = client.backups.prune(repository, keep_last=1, keep_within=3600)
    assert not none.removed
    done = client.backups.prune(repository, keep_last=2)
    assert [[*backup.tags] for backup in done.removed] == [["one"], ["two"]]
    shown = engine.cli("volume", "backups", "ls", "-q", repository).stdout.split()
    assert shown == [f"{repository}:{tag}" for tag in ("three", "again", "other")]
    client.backups.restore(f"{repository}:three", "copy")
    with pytest.raises(ManifestNotFound):
        client.backups.restore(f"{repository}:one", "gone")
    if where == "docker-registry":
        assert registry.digest("pruned/data", "image")
    with pytest.raises(InvalidArgument, match="kept"):
        client.backups.prune(repository)


def test_what_an_old_backup_names_and_others_have_stays(
    engine: Engine, client: Client, registry: Registry
) -> None:
    repository = f"{registry.address}/named/data"
    make(client, _MIB)
    kept = client.backups.backup("data", f"{repository}:kept").digest
    content = Content(registry, "named/data")
    image = content.image("amd64", {"file": b"x"}, tag="image")
    index = {
        "schemaVersion": 2,
        "mediaType": layout.MANIFESTS,
        "artifactType": layout.CONFIG,
        "manifests": [
            image,
            {"mediaType": layout.MANIFEST, "digest": kept, "size": 1},
        ],
        "annotations": {layout.TITLE: "data", layout.CREATED: "2020-01-02T03:04:05Z"},
    }
    content.put(index, layout.MANIFESTS, tag="old")
    done = client.backups.prune(repository, keep_last=1)
    assert [[*backup.tags] for backup in done.removed] == [["old"]]
    assert registry.digest("named/data", "image") == image["digest"]
    client.backups.restore(f"{repository}:kept", "copy")


def test_a_registry_that_deletes_nothing(engine: Engine, client: Client) -> None:
    with Registry(deletion=False) as registry:
        make(client, _MIB)
        backup_as(client, registry.address, "one", "two")
        with pytest.raises(RegistryRefused, match="405"):
            client.backups.prune(f"{registry.address}/pruned/data", keep_last=1)


def test_the_same_restore_again(engine: Engine, client: Client, registry: Registry) -> None:
    make(client, _MIB)
    reference = f"{registry.address}/backups/again:1"
    client.backups.backup("data", reference)
    request = pb.RestoreRequest(request_id="again", reference=reference, name="copy")
    with grpc.insecure_channel(f"unix:{engine.run / 'volume.sock'}") as channel:
        restore = BackupServiceStub(channel).Restore
        first, second = ([*restore(request)][-1].result for _ in range(2))
        assert first == second
        assert (first.volume.name, first.size > _MIB) == ("copy", True)
        request.request_id = "another"
        with pytest.raises(grpc.RpcError, match="there is a volume copy"):
            list(restore(request))


def test_refusals(engine: Engine, client: Client, registry: Registry) -> None:
    make(client, _MIB)
    content = Content(registry, "images/app")
    content.image("amd64", {"file": b"x"}, tag="1")
    for call in (
        lambda: client.backups.backup("data", f"{registry.address}/images/app:1"),
        lambda: client.backups.restore(f"{registry.address}/images/app:1", "other"),
    ):
        with pytest.raises(InvalidBackup):
            call()
    with pytest.raises(ManifestNotFound):
        client.backups.restore(f"{registry.address}/backups/none:1", "other")
    with pytest.raises(RegistryUnavailable):
        client.backups.backup("data", f"127.0.0.1:{free_port()}/x:1")


def test_damage_is_found(engine: Engine, client: Client, registry: Registry) -> None:
    make(client, 4 * _MIB)
    reference = f"{registry.address}/backups/damaged:1"
    client.backups.backup("data", reference)
    blobs = sorted(registry.storage.rglob("blobs/sha256/*/*/data"), key=lambda p: p.stat().st_mtime)
    pack = max(blobs[-6:], key=lambda path: path.stat().st_size)
    data = bytearray(pack.read_bytes())
    data[len(data) // 2] ^= 1
    pack.write_bytes(data)
    with pytest.raises(DigestMismatch):
        client.backups.restore(reference, "copy")
    assert engine.cli("volume", "ls", "-q").stdout == "data\n"
    # A backup of everything puts right what it can: the damaged blob has the name of a good one.
    pack.unlink()
    with pytest.raises(ManifestNotFound):
        client.backups.restore(reference, "copy")
    again = client.backups.backup("data", reference)
    assert again.reused == 0
    client.backups.restore(reference, "copy")


@pytest.mark.parametrize("killed", ["volume", "image"])
def test_services_that_are_killed(
    engine: Engine, client: Client, registry: Registry, killed: str
) -> None:
    make(client, 40 * _MIB)
    reference = f"{registry.address}/backups/{killed}:1"
    staging = engine.root / "volume/staging"
    with client.backups.backup_progress("data", reference) as progress:
        next(iter(progress))
        os.kill(engine.service_pid(killed), signal.SIGKILL)
    client.backups.backup("data", reference)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(client.backups.restore, reference, "copy")
        wait_for(lambda: list(staging.iterdir()), "the restore to begin")
        os.kill(engine.service_pid(killed), signal.SIGKILL)
        wait_for(future.done, "the end of the restore")
    wait_for(lambda: all(client.health().values()), "the services")
    wait_for(lambda: not list(staging.iterdir()), "the half to be gone")
    if "copy" not in engine.cli("volume", "ls", "-q").stdout.split():
        assert future.exception() is not None
        client.backups.restore(reference, "copy")
    assert exported(client, "copy") == exported(client, "data")
