"""Docker's own client for Python, unchanged, against the engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound, NotFound
from docker.models.containers import Container

from tests.support.engine import Engine


@pytest.fixture
def client(engine: Engine) -> Iterator[docker.DockerClient]:
    """A client of the shared engine."""
    with_client = docker.DockerClient(base_url=f"unix://{engine.run}/docker.sock", timeout=60)
    yield with_client
    with_client.close()


@pytest.fixture
def box(client: docker.DockerClient) -> Container:
    """A container that runs."""
    return client.containers.run(
        "busybox",
        ["sleep", "1000"],
        detach=True,
        name="box",
        environment={"X": "1"},
        labels={"a": "b"},
        ports={"80/tcp": None},
        mem_limit="64m",
    )


def test_what_a_container_prints(client: docker.DockerClient) -> None:
    assert client.containers.run("busybox", ["echo", "hello"], remove=True) == b"hello\n"


def test_what_a_container_is(box: Container) -> None:
    box.reload()
    assert (box.status, box.name, box.labels) == ("running", "box", {"a": "b"})
    assert box.attrs["HostConfig"]["Memory"] == 64 << 20
    assert {each["HostIp"] for each in box.ports["80/tcp"] or []} == {"0.0.0.0", "::"}


def test_executions(client: docker.DockerClient, box: Container) -> None:
    done = box.exec_run(["sh", "-c", "echo $X; exit 3"])
    assert (done.exit_code, done.output) == (3, b"1\n")
    both: object = box.exec_run(["sh", "-c", "echo o; echo e >&2"], demux=True).output
    assert both == (b"o\n", b"e\n")
    made = client.api.exec_create(box.id, ["cat"], stdin=True)["Id"]
    stream: Any = client.api.exec_start(made, socket=True)
    stream._sock.sendall(b"abc\n")
    stream._sock.shutdown(1)
    assert stream.read(12) == b"\x01\x00\x00\x00\x00\x00\x00\x04abc\n"
    assert stream.read(1) == b"", "the end"
    assert client.api.exec_inspect(made)["ExitCode"] == 0


def test_a_log_that_is_followed(client: docker.DockerClient) -> None:
    script = "for i in 1 2 3; do echo l$i; done"
    box = client.containers.run("busybox", ["sh", "-c", script], detach=True)
    assert b"".join(box.logs(stream=True, follow=True)) == b"l1\nl2\nl3\n"
    assert box.wait()["StatusCode"] == 0


def test_attached_to_what_another_client_starts(
    client: docker.DockerClient, engine: Engine
) -> None:
    box = client.containers.create("busybox", ["sh", "-c", "echo hello; sleep 1"], name="later")
    output = box.attach(stream=True)
    engine.cli("start", "later")
    assert b"".join(output) == b"hello\n"


def test_a_life(client: docker.DockerClient, box: Container) -> None:
    box.pause()
    box.reload()
    assert box.status == "paused"
    box.unpause()
    box.rename("other")
    box.stop(timeout=0)
    assert box.wait()["StatusCode"] == 137
    box.start()
    box.restart(timeout=0)
    box.kill()
    box.remove(force=True)
    with pytest.raises(NotFound):
        client.containers.get("other")


def test_images(client: docker.DockerClient, box: Container) -> None:
    image = box.commit("made", "1")
    assert image.tags == ["made:1"]
    assert [each.tags for each in client.images.load(b"".join(image.save()))]
    client.images.remove("made:1", force=True)
    with pytest.raises(ImageNotFound):
        client.images.get("made:1")


def test_networks_and_volumes(client: docker.DockerClient, box: Container) -> None:
    network = client.networks.create("front", driver="bridge", labels={"q": "r"})
    network.connect(box)
    network.reload()
    assert [each.name for each in network.containers] == ["box"]
    network.disconnect(box)
    network.remove()
    volume = client.volumes.create("kept", labels={"q": "r"})
    assert [each.name for each in client.volumes.list(filters={"label": "q=r"})] == ["kept"]
    volume.remove()
