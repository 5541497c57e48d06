"""Lines of `ps`, `images`, `network ls` and `volume ls`."""

from __future__ import annotations

import time

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1 import image_pb2
from scow.api.network.v1 import network_pb2
from scow.api.volume.v1 import volume_pb2
from scow.cli.output.rows import container_row, image_rows, network_row, volume_row
from scow.words.shapes.summary import status_text

_NOW = 1_136_214_245_000_000_000
_SECOND = 1_000_000_000


def _container(status: pb.Status.ValueType, **more: object) -> pb.Container:
    container = pb.Container(
        id="0123456789abcdef",
        name="web",
        status=status,
        args=["sh", "-c", "sleep 1000; exit"],
        config=pb.ContainerConfig(image="busybox"),
        labels={"a": "1", "b": "2"},
        exposed_ports=["80/tcp"],
        **more,  # type: ignore[arg-type]
    )
    container.created_at.FromNanoseconds(_NOW - 600 * _SECOND)
    container.started_at.FromNanoseconds(_NOW - 180 * _SECOND)
    container.finished_at.FromNanoseconds(_NOW - 2 * _SECOND)
    return container


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (pb.STATUS_RUNNING, "Up 3 minutes"),
        (pb.STATUS_PAUSED, "Up 3 minutes (Paused)"),
        (pb.STATUS_EXITED, "Exited (137) 2 seconds ago"),
        (pb.STATUS_CREATED, "Created"),
        (pb.STATUS_CREATING, "Created"),
        (pb.STATUS_REMOVING, "Removal In Progress"),
        (pb.STATUS_DEAD, "Dead"),
    ],
)
def test_status_text(status: pb.Status.ValueType, expected: str) -> None:
    assert status_text(_container(status, exit_code=137), _NOW) == expected


def test_container_row() -> None:
    row = container_row(_container(pb.STATUS_RUNNING), now=_NOW)
    assert row["ID"] == "0123456789ab"
    assert row["Command"] == '"sh -c \'sleep 1000; …"'
    assert row["RunningFor"] == "10 minutes ago"
    assert row["Ports"] == "80/tcp"
    assert row["State"] == "running"
    assert row["Labels"] == "a=1,b=2"
    assert row["Label"]("a") == "1"
    assert row["Label"]("c") == ""
    assert row["Networks"] == "bridge"


def test_full_container_row() -> None:
    row = container_row(_container(pb.STATUS_RUNNING), (5, 1000), full=True, now=_NOW)
    assert row["ID"] == "0123456789abcdef"
    assert row["Command"] == "\"sh -c 'sleep 1000; exit'\""
    assert row["Size"] == "5B (virtual 1kB)"


def test_a_stopped_container_shows_no_ports() -> None:
    assert container_row(_container(pb.STATUS_EXITED), now=_NOW)["Ports"] == ""


def test_image_rows() -> None:
    image = image_pb2.Image(
        id="sha256:0123456789abcdef",
        references=["docker.io/library/nginx:1", "docker.io/me/web:2", "localhost:5000/x:latest"],
        repo_digests=["docker.io/library/nginx@sha256:d"],
        size=4_270_000,
    )
    image.created_at.FromNanoseconds(time.time_ns() - 3 * 3600 * _SECOND)
    rows = list(image_rows(image))
    assert [(row["Repository"], row["Tag"]) for row in rows] == [
        ("nginx", "1"),
        ("me/web", "2"),
        ("localhost:5000/x", "latest"),
    ]
    assert [row["Digest"] for row in rows] == ["sha256:d", "<none>", "<none>"]
    assert rows[0]["ID"] == "0123456789ab"
    assert rows[0]["CreatedSince"] == "3 hours ago"
    assert rows[0]["Size"] == "4.27MB"


def test_an_image_without_reference_is_shown() -> None:
    (row,) = image_rows(image_pb2.Image(id="sha256:0123456789abcdef"), full=True)
    assert (row["Repository"], row["Tag"], row["CreatedSince"]) == ("<none>", "<none>", "N/A")
    assert row["ID"] == "sha256:0123456789abcdef"


def test_network_and_volume_rows() -> None:
    network = network_pb2.Network(id="0123456789abcdef", name="bridge", driver="bridge")
    assert network_row(network)["ID"] == "0123456789ab"
    assert network_row(network, full=True)["ID"] == "0123456789abcdef"
    six = network_pb2.Network(name="six", ipv6=True, subnets=[{"subnet": "fd00::/64"}])  # type: ignore[list-item]
    assert [network_row(each)["IPv4"] for each in (network, six)] == ["true", "false"]
    volume = volume_pb2.Volume(name="data", mountpoint="/v", labels={"k": "v"})
    row = volume_row(volume)
    assert (row["Driver"], row["Name"], row["Label"]("k")) == ("local", "data", "v")
