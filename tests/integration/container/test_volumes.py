"""First content of volumes: filled once, at once, and never by a name that a container can write."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1 import image_pb2
from scow.api.volume.v1 import volume_pb2
from scow.contract.errors import InvalidMount
from tests.integration.container.node import Node, eventually, fails, in_background
from tests.support.busybox import rootfs_tar
from tests.support.processes import PATIENCE

_FILES = 400


@pytest.fixture
def names(node: Node) -> Iterator[list[str]]:
    """Names of containers, which go with the test, and the volumes too."""
    found: list[str] = []
    yield found
    for name in found:
        with contextlib.suppress(grpc.RpcError):
            node.remove(name)
    for volume in node.volume.List(volume_pb2.ListRequest()).volumes:
        node.volume.Remove(volume_pb2.RemoveRequest(name=volume.name))


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname, entry.mode = kind, link, 0o755
    return entry


def make_image(node: Node, name: str, *members: tarfile.TarInfo, change: str = "CMD sh") -> None:
    """Give the node an image of busybox and more."""
    stream = io.BytesIO(rootfs_tar())
    with tarfile.open(fileobj=stream, mode="a") as tar:
        for entry in members:
            tar.addfile(entry)
    raw = stream.getvalue()

    def messages() -> Iterator[image_pb2.ImportRequest]:
        opened = image_pb2.ImportRequest.Open(reference=name, changes=[change])
        yield image_pb2.ImportRequest(open=opened)
        for start in range(0, len(raw), 1 << 20):
            yield image_pb2.ImportRequest(chunk=raw[start : start + (1 << 20)])

    node.image.Import(messages())


def on(target: str, *, no_copy: bool = False, read_only: bool = False) -> list[pb.MountSpec]:
    return [
        pb.MountSpec(
            type="volume", source="data", target=target, no_copy=no_copy, read_only=read_only
        )
    ]


def data(node: Node, name: str = "data") -> Path:
    return Path(node.volume.Get(volume_pb2.GetRequest(name=name)).volume.mountpoint)


def leftovers(node: Node) -> list[str]:
    """Return what the volume service has beside the volumes' content."""
    base = node.root / "volume"
    return [
        str(path.relative_to(base))
        for folder in (base / "trash", *(base / "volumes").iterdir())
        for path in folder.iterdir()
        if path.name != "_data"
    ]


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A directory of the host that no container is given."""
    folder = tmp_path / "host"
    folder.mkdir()
    (folder / "secret").write_text("of the host")
    return folder


def test_a_link_that_a_container_left_moves_nothing_of_the_host(
    node: Node, names: list[str], host: Path
) -> None:
    """Names that earlier versions looked up in a volume at each start, as links to a directory of the host."""
    names.append("attacker")
    script = f"for n in .scow-populate .scow-populate-ready; do ln -s {host} /data/$n; done"
    node.create("sh", "-c", script, mounts=on("/data"), name="attacker")
    for _ in range(2):
        node.stub.Start(pb.StartRequest(container="attacker"))
        node.wait("attacker")
    assert [path.name for path in host.iterdir()] == ["secret"]
    assert node.output("ls", "/home", mounts=on("/home")) == (0, "")
    assert [path.name for path in host.iterdir()] == ["secret"]
    assert sorted(os.listdir(data(node))) == [".scow-populate", ".scow-populate-ready"]


def test_such_a_link_of_an_image_is_a_link(node: Node, names: list[str], host: Path) -> None:
    links = [
        member(f"data/{name}", tarfile.SYMTYPE, str(host))
        for name in (".scow-populate-ready", "links", "content", "content.part")
    ]
    make_image(node, "links", *links, change="VOLUME /data")
    for _ in range(2):
        code, output = node.output("ls", "-A", "/data", image="links", mounts=on("/data"))
        assert (code, len(output.split())) == (0, 4)
    assert [path.name for path in host.iterdir()] == ["secret"]
    assert os.readlink(data(node) / "links") == str(host)


def test_proc_is_not_copied_through_a_link(node: Node, names: list[str]) -> None:
    make_image(node, "proc", member("p", tarfile.SYMTYPE, "/proc"), change="VOLUME /p")
    names.append("proc")
    node.create("cat", "/p/version", image="proc", name="proc")
    [volume] = node.volume.List(volume_pb2.ListRequest()).volumes
    assert os.listdir(volume.mountpoint) == []
    with fails(InvalidMount):
        node.stub.Start(pb.StartRequest(container="proc"))
    assert os.listdir(volume.mountpoint) == []


def test_a_volume_is_filled_once(node: Node, names: list[str]) -> None:
    assert node.output("ls", "/home", mounts=on("/home")) == (0, "app\n")
    assert node.output("sh", "-c", "rm -r /home/*", mounts=on("/home"), user="0")[0] == 0
    # It is empty, and stays so: it had its content.
    assert node.output("ls", "/home", mounts=on("/home")) == (0, "")
    assert leftovers(node) == []


def test_an_image_without_content_leaves_a_volume_to_the_next_one(
    node: Node, names: list[str]
) -> None:
    names += ["first", "second"]
    # Both are made before one is started, the one without content first.
    node.create("sleep", "60", mounts=on("/nothing"), name="first")
    node.create("ls", "/home", mounts=on("/home"), name="second")
    node.stub.Start(pb.StartRequest(container="first"))
    assert node.exec("first", "ls", "/nothing") == (0, "app\n")


def test_a_volume_is_not_filled_under_a_running_container(node: Node, names: list[str]) -> None:
    names += ["first", "second"]
    node.run_detached("sleep", "60", mounts=on("/nothing"), name="first")
    node.create("ls", "/home", mounts=on("/home"), name="second")
    assert node.exec("first", "touch", "/nothing/mine") == (0, "")
    node.stub.Start(pb.StartRequest(container="second"))
    node.wait("second")
    assert node.logs("second") == "mine\n"
    node.remove("first")
    assert leftovers(node) == []


def test_no_copy_leaves_it_empty_and_read_only_does_not(node: Node, names: list[str]) -> None:
    assert node.output("ls", "/home", mounts=on("/home", no_copy=True)) == (0, "")
    assert node.output("ls", "/home", mounts=on("/home", read_only=True)) == (0, "app\n")


def test_many_containers_with_one_fresh_volume(node: Node, names: list[str]) -> None:
    make_image(node, "many", *(member(f"data/{number:04}") for number in range(_FILES)))
    names += [f"c{number}" for number in range(8)]
    runs = [
        in_background(
            lambda name: node.run_detached(
                "sh", "-c", "ls /data | wc -l", image="many", name=name, mounts=on("/data")
            ),
            name,
        )
        for name in names
    ]
    for run in runs:
        run.result(60 * PATIENCE)
    for name in names:
        node.wait(name)
        assert node.logs(name) == f"{_FILES}\n"
    assert leftovers(node) == []


@pytest.mark.parametrize("killed", ["container", "volume", "copy"])
def test_who_is_killed_while_a_volume_is_filled(node: Node, names: list[str], killed: str) -> None:
    members = (member(f"data/{number:05}") for number in range(20_000))
    make_image(node, "large", *members)
    names += ["first", "second"]
    first = in_background(
        lambda: node.create("true", image="large", name="first", mounts=on("/data"))
    )
    volumes = node.root / "volume" / "volumes"
    eventually(lambda: any(volumes.glob("data/fill-*/content.part/*")), 60)
    assert os.listdir(volumes / "data" / "_data") == []
    if killed == "copy":
        os.kill(_copying(node), signal.SIGKILL)
    else:
        node.stop(killed)
        node.start(killed)
    with contextlib.suppress(grpc.RpcError):
        first.result(60 * PATIENCE)
    assert len(os.listdir(volumes / "data" / "_data")) in (0, 20_000)
    script = ("sh", "-c", "ls /data | wc -l")
    code, output = node.output(*script, image="large", mounts=on("/data"))
    assert (code, output) == (0, "20000\n")
    names.remove("second")
    with contextlib.suppress(grpc.RpcError):
        node.remove("first")
    node.volume.Reconcile(volume_pb2.ReconcileRequest())
    assert leftovers(node) == []


def _copying(node: Node) -> int:
    """Return the PID of the spawner's child that copies: the one that has a folder of volumes open."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(
                os.readlink(fd).startswith(f"{node.root}/volume/volumes/data/fill-")
                for fd in (process / "fd").iterdir()
            ):
                return int(process.name)
    raise AssertionError("nobody copies")


def test_a_bind_source_that_was_made_is_made_again(
    node: Node, names: list[str], host: Path
) -> None:
    names.append("bound")
    source = host / "made"
    mounts = [pb.MountSpec(type="bind", source=str(source), target="/x", create_source=True)]
    node.run_detached("true", name="bound", mounts=mounts)
    node.wait("bound")
    source.rmdir()
    node.stub.Start(pb.StartRequest(container="bound"))
    assert node.wait("bound").exit_code == 0
    assert source.is_dir()


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_a_directory_on_a_file_and_the_reverse(
    node: Node, names: list[str], host: Path, kind: str
) -> None:
    names.append("wrong")
    source, target = {
        "directory": (host, "/etc/passwd"),
        "file": (host / "secret", "/home"),
    }[kind]
    mounts = [pb.MountSpec(type="bind", source=str(source), target=target)]
    node.create("true", name="wrong", mounts=mounts)
    with fails(InvalidMount) as errors:
        node.stub.Start(pb.StartRequest(container="wrong"))
    [error] = errors
    assert str(source) in error.message
    assert "a directory" in error.message
    assert "a file" in error.message
