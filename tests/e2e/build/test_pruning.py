"""What of the cache goes: by `builder prune`, and by itself."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.api.build.v1.build_pb2_grpc import BuildServiceStub
from scow.client import Client
from scow.contract import errors
from tests.support import processes
from tests.support.building import build, files
from tests.support.busybox import import_busybox
from tests.support.engine import Engine, as_root

pytestmark = as_root()
MIB = 1 << 20


def random(name: str, size: int = 6) -> str:
    """Return a Dockerfile of one step that takes so many MiB."""
    return f"FROM busybox\nRUN : {name} && dd if=/dev/urandom of=/random bs=1M count={size}\n"


def names(client: Client) -> set[str]:
    """Return the names of the steps in the cache."""
    found = client.builds.disk_usage(filters={"type": ["regular"]})
    return {record.description.split()[2] for record in found}


@pytest.fixture
def client(own_engine: Engine) -> Iterator[Client]:
    with Client(own_engine.host) as found:
        yield found


def test_what_images_have_stays(own_engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, file="x")
    build(client, tmp_path, random("kept"), tags=["kept"])
    build(client, tmp_path, random("removed"), tags=["removed"])
    client.images.remove("removed")
    shared = {r.description.split()[2] for r in client.builds.disk_usage() if r.shared}
    assert shared == {"kept"}
    pruned = client.builds.prune()
    assert pruned.space_reclaimed > 6 * MIB
    assert names(client) == {"kept"}
    assert build(client, tmp_path, random("kept")).cached
    assert own_engine.cli("builder", "du", "--filter", "shared=true").stdout.count("true") == 1
    own_engine.cli("builder", "prune", "-f", "-a")
    assert names(client) == set()
    assert client.images.get("kept")


def test_sizes(own_engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, file="x")
    for name in ("first", "second", "third"):
        build(client, tmp_path, random(name), outputs=[pb.BuildOutput(type="tar")])
    client.builds.prune(max_used_size=13 * MIB)
    assert names(client) == {"second", "third"}
    client.builds.prune(max_used_size=1, keep_size=7 * MIB)
    assert names(client) == {"third"}
    own_engine.cli("builder", "prune", "-f", "--min-free-space", "1MB")
    assert names(client) == {"third"}
    own_engine.cli("builder", "prune", "-f", "--min-free-space", "1000TB")
    assert names(client) == set()


def reconcile(engine: Engine) -> list[str]:
    with grpc.insecure_channel(f"unix:{engine.run}/build.sock") as channel:
        answer = BuildServiceStub(channel).Reconcile(pb.ReconcileRequest(), timeout=30)
    return [action.object for action in answer.actions if action.detail == "the policy"]


@pytest.fixture
def small() -> Iterator[Engine]:
    """An engine with a disk of 200 MiB."""
    settings = {
        "SCOW_BUILD_GC_HIGH_PERCENT": "60",
        "SCOW_BUILD_GC_LOW_PERCENT": "40",
        "SCOW_BUILD_GC_MIN_AGE_SECONDS": "0",
    }
    engine = Engine(settings=settings)
    engine.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", engine.root], check=True)
    try:
        with engine:
            import_busybox(engine)
            yield engine
            engine.stop()
            subprocess.run(["umount", "-l", engine.root], check=True)
    except BaseException:
        subprocess.run(["umount", "-l", engine.root], check=False)
        raise


def test_a_full_disk(small: Engine, tmp_path: Path) -> None:
    files(tmp_path, file="x")
    with Client(small.host) as client:
        tar = [pb.BuildOutput(type="tar")]
        build(client, tmp_path, random("image", 10), tags=["image"])
        build(client, tmp_path, random("first", 10), outputs=tar)
        assert reconcile(small) == []
        for name in ("second", "third", "fourth", "fifth"):
            build(client, tmp_path, random(name, 10), outputs=tar)
        gone = reconcile(small)
        assert gone
        left = names(client)
        assert "image" in left  # its layer is the image's, and frees nothing
        assert "first" not in left
        assert "fifth" in left
        assert reconcile(small) == []


def test_a_program_that_fills_the_disk(small: Engine, tmp_path: Path) -> None:
    files(tmp_path, file="x")
    with Client(small.host) as client:
        with pytest.raises(errors.ScowError):
            build(client, tmp_path, random("fills", 1000))
        processes.wait_for(lambda: not client.containers.list(all=True), "the end of containers")
        build(client, tmp_path, random("fits", 10), tags=["fits"])
        build(client, tmp_path, "FROM fits\nRUN rm /random\nCOPY file /\n")


def test_a_largest_size(tmp_path: Path) -> None:
    settings = {"SCOW_BUILD_GC_MAX_BYTES": str(13 * MIB), "SCOW_BUILD_GC_MIN_AGE_SECONDS": "0"}
    with Engine(settings=settings) as engine, Client(engine.host) as client:
        import_busybox(engine)
        files(tmp_path, file="x")
        for name in ("first", "second", "third"):
            build(client, tmp_path, random(name), outputs=[pb.BuildOutput(type="tar")])
        assert reconcile(engine)
        assert names(client) == {"second", "third"}
