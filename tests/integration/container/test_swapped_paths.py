"""Links that are swapped in while containers start: what was checked is mounted, or nothing."""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.volume.v1 import volume_pb2
from scow.contract.errors import MountFailed
from tests.integration.container.node import Node, fails

_STARTS = 30
_AT_FDCWD, _EXCHANGE = -100, 2
_libc = ctypes.CDLL(None, use_errno=True)


def exchange(one: Path, two: Path) -> None:
    names = [os.fsencode(path) for path in (one, two)]
    assert _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE) == 0


@contextlib.contextmanager
def swapping(one: Path, two: Path) -> Iterator[None]:
    """Swap two names all the time, as a container could that has their directory mounted."""
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            exchange(one, two)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory of the host with data, and a link to what no container is to see."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/file").write_text("secret\n")
    shared = tmp_path / "shared"
    (shared / "data").mkdir(parents=True)
    (shared / "data/file").write_text("data\n")
    (shared / "link").symlink_to(tmp_path / "secret")
    return shared


@pytest.fixture
def made(node: Node) -> Iterator[str]:
    """The name of a container that goes with the test, as do all volumes."""
    yield "swapped"
    with contextlib.suppress(grpc.RpcError):
        node.remove("swapped")
    for volume in node.volume.List(volume_pb2.ListRequest()).volumes:
        node.volume.Remove(volume_pb2.RemoveRequest(name=volume.name))


def seen(node: Node, name: str) -> set[str]:
    """Start a container many times; return what it saw, or "refused"."""
    found = set()
    for _ in range(_STARTS):
        try:
            node.stub.Start(pb.StartRequest(container=name))
        except grpc.RpcError as error:
            assert "MOUNT_FAILED" in str(error.trailing_metadata()), error
            found.add("refused")
            continue
        node.wait(name)
    return found | set(node.logs(name).splitlines())


@pytest.mark.parametrize("create_source", [False, True])
def test_the_source_of_a_bind(node: Node, made: str, place: Path, create_source: bool) -> None:
    source = str(place / "data")
    mount = pb.MountSpec(type="bind", source=source, target="/x", create_source=create_source)
    node.create("cat", "/x/file", name=made, mounts=[mount])
    with swapping(place / "data", place / "link"):
        assert seen(node, made) <= {"data", "refused"}


def test_a_directory_above_the_source(node: Node, made: str, place: Path, tmp_path: Path) -> None:
    (tmp_path / "secret/data").mkdir()
    (tmp_path / "secret/data/file").write_text("secret\n")
    (tmp_path / "link").symlink_to("secret")
    mount = pb.MountSpec(type="bind", source=f"{place}/data", target="/x")
    node.create("cat", "/x/file", name=made, mounts=[mount])
    with swapping(place, tmp_path / "link"):
        assert seen(node, made) <= {"data", "refused"}


def test_a_link_in_the_place_of_the_source_is_told(node: Node, made: str, place: Path) -> None:
    mount = pb.MountSpec(type="bind", source=f"{place}/data", target="/x")
    node.create("cat", "/x/file", name=made, mounts=[mount])
    exchange(place / "data", place / "link")
    with fails(MountFailed) as errors:
        node.stub.Start(pb.StartRequest(container=made))
    assert f"{place}/data is a link, and was none when the container was made" in str(errors[0])


def test_links_that_were_there_may_lead_elsewhere(node: Node, made: str, place: Path) -> None:
    (place / "current").symlink_to("data")
    mount = pb.MountSpec(type="bind", source=f"{place}/current", target="/x")
    node.create("cat", "/x/file", name=made, mounts=[mount])
    (place / "next").mkdir()
    (place / "next/file").write_text("next\n")
    (place / "current").unlink()
    (place / "current").symlink_to("next")
    node.stub.Start(pb.StartRequest(container=made))
    node.wait(made)
    assert node.logs(made) == "next\n"


def test_a_part_of_a_volume(node: Node, made: str, tmp_path: Path) -> None:
    mount = pb.MountSpec(type="volume", source="vol", target="/x", subpath="data")
    node.create("cat", "/x/file", name=made, mounts=[mount])
    volume = node.volume.Get(volume_pb2.GetRequest(name="vol")).volume
    inside = Path(volume.mountpoint)
    (inside / "data").mkdir()
    (inside / "data/file").write_text("data\n")
    (tmp_path / "file").write_text("secret\n")
    (inside / "link").symlink_to(tmp_path)
    with swapping(inside / "data", inside / "link"):
        assert seen(node, made) <= {"data", "refused"}
