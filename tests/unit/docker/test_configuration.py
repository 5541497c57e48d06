"""How a container is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import InvalidArgument, InvalidMount, InvalidPort, ScowError
from scow.docker.configuration import configuration
from scow.docker.fields import Fields
from scow.words.shapes.container import container_shape
from scow.words.template.values import plain


def made(**body: Any) -> pb.ContainerConfig:
    return configuration(Fields({"Image": "busybox", **body}))


def test_what_is_asked_for_is_what_inspect_shows() -> None:
    """The shape of inspect, sent as a request, asks for the same container."""
    host = {
        "Binds": ["/srv:/a:ro", "data:/b"],
        "Memory": 64 << 20,
        "MemorySwap": 128 << 20,
        "MemoryReservation": 32 << 20,
        "MemorySwappiness": 10,
        "NanoCpus": 1_500_000_000,
        "CpusetCpus": "0",
        "CpusetMems": "0",
        "PidsLimit": 10,
        "BlkioWeight": 300,
        "BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 1000}],
        "DeviceCgroupRules": ["c 10:229 rwm"],
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["MKNOD"],
        "Ulimits": [{"Name": "nofile", "Soft": 10, "Hard": 20}],
        "Devices": [
            {"PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"}
        ],
        "PortBindings": {"80/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]},
        "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 3},
        "NetworkMode": "bridge",
        "Dns": ["9.9.9.9"],
        "ExtraHosts": ["a:1.2.3.4"],
        "GroupAdd": ["5"],
        "Sysctls": {"net.ipv4.ip_forward": "1"},
        "ReadonlyRootfs": True,
        "Privileged": False,
        "AutoRemove": False,
        "ShmSize": 1 << 20,
        "OomScoreAdj": 5,
        "Init": True,
        "Tmpfs": {"/tmp": "size=1024"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1m"}},
    }
    config = made(
        Cmd=["sleep", "9"],
        Env=["A=b"],
        Labels={"k": "v"},
        User="1:2",
        WorkingDir="/w",
        Hostname="h",
        HostConfig=host,
    )
    shape = plain(container_shape(pb.Container(config=config, ports=config.ports)))
    assert isinstance(shape, dict)
    shown = {key: shape["HostConfig"][key] for key in host}
    assert shown == host


@pytest.mark.parametrize(
    ("given", "source", "target", "create"),
    [
        ({"Binds": ["/a:/b"]}, "/a", "/b", True),
        ({"Mounts": [{"Type": "bind", "Source": "/a", "Target": "/b"}]}, "/a", "/b", False),
        ({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/b"}]}, "v", "/b", False),
        ({"Mounts": [{"Type": "tmpfs", "Target": "/b"}]}, "", "/b", False),
    ],
)
def test_mounts(given: dict[str, Any], source: str, target: str, create: bool) -> None:
    (mount,) = made(HostConfig=given).mounts
    assert (mount.source, mount.target, mount.create_source) == (source, target, create)


def test_volumes_are_anonymous_where_nothing_else_is_mounted() -> None:
    config = made(Volumes={"/a": {}, "/b": {}}, HostConfig={"Binds": ["named:/a"]})
    assert [(each.source, each.target) for each in config.mounts] == [("named", "/a"), ("", "/b")]


def test_a_port_without_bindings_gets_a_free_one() -> None:
    config = made(HostConfig={"PortBindings": {"80/udp": [], "81/tcp": None}})
    found = {(each.container_port, each.protocol, each.host_port) for each in config.ports}
    assert found == {(80, "udp", 0), (81, "tcp", 0)}


def test_networks() -> None:
    config = made(
        HostConfig={"NetworkMode": "front"},
        NetworkingConfig={
            "EndpointsConfig": {
                "back": None,
                "front": {"Aliases": ["web"], "IPAMConfig": {"IPv4Address": "10.1.2.3"}},
            }
        },
    )
    assert config.network == "front"
    assert [each.network for each in config.networks] == ["front", "back"]
    assert list(config.networks[0].aliases) == ["web"]
    assert config.networks[0].ipv4_address == "10.1.2.3"


def test_an_entry_point_that_is_empty_takes_the_images_away() -> None:
    assert not made().override_entrypoint
    assert not made(Entrypoint=None).override_entrypoint
    for value in ([], [""], ""):
        config = made(Entrypoint=value)
        assert config.override_entrypoint
        assert not config.entrypoint


@pytest.mark.parametrize(
    ("host", "error"),
    [
        ({"PortBindings": {"80": [{"HostPort": "x"}]}}, InvalidPort),
        ({"PortBindings": {"80/xyz": []}}, InvalidPort),
        ({"Binds": ["/a:/b:nonsense"]}, InvalidMount),
        ({"Mounts": [{"Type": "cluster", "Target": "/a"}]}, InvalidArgument),
        ({"Mounts": [{"Type": "x", "Target": "/a"}]}, InvalidArgument),
        ({"RestartPolicy": {"Name": "sometimes"}}, InvalidArgument),
        ({"DeviceRequests": [{"Driver": "nvidia", "Count": -1}]}, InvalidArgument),
        ({"Memory": "64m"}, InvalidArgument),
        ("text", InvalidArgument),
    ],
)
def test_what_is_wrong_is_refused(host: Any, error: type[ScowError]) -> None:
    with pytest.raises(error):
        made(HostConfig=host)
