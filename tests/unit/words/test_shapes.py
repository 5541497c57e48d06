"""What `inspect` prints has Docker's shape: names, types, nil and empty, order."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1 import image_pb2, store_pb2
from scow.api.network.v1 import network_pb2
from scow.api.types.v1.types_pb2 import Platform, PortMapping
from scow.api.volume.v1 import volume_pb2
from scow.words.shapes.container import container_shape, split_arguments
from scow.words.shapes.engine import info_shape, version_shape
from scow.words.shapes.image import image_shape
from scow.words.shapes.network import network_shape
from scow.words.shapes.ports import port_map, ports_text
from scow.words.shapes.summary import container_summary
from scow.words.shapes.volume import volume_shape
from scow.words.template import Struct, to_json


def web() -> pb.Container:
    """Return a running container with most of what there is."""
    container = pb.Container(
        id="0123456789abcdef" * 4,
        name="web",
        image_id="sha256:" + "a" * 64,
        args=["nginx", "-g", "daemon off;"],
        env=["PATH=/bin"],
        status=pb.STATUS_RUNNING,
        pid=42,
        hostname="0123456789ab",
        labels={"tier": "front"},
        exposed_ports=["80/tcp", "443/tcp"],
        ports=[PortMapping(host_port=8080, container_port=80, protocol="tcp", count=1)],
        mounts=[
            pb.MountPoint(
                type="volume", name="data", source="/v/data", destination="/data", driver="local"
            ),
            pb.MountPoint(type="volume", name="f00", source="/v/f00", destination="/anonymous"),
        ],
        endpoints=[
            pb.Endpoint(
                network="bridge",
                network_id="n1",
                endpoint_id="e1",
                ip_address="172.20.0.2",
                prefix_length=16,
                gateway="172.20.0.1",
                mac_address="02:42:ac:14:00:02",
            )
        ],
        netns_path="/proc/42/ns/net",
        snapshot_driver="overlay",
        config=pb.ContainerConfig(
            image="nginx",
            command=["-g", "daemon off;"],
            resources=pb.Resources(memory=64 << 20, nano_cpus=1_500_000_000, pids_limit=100),
            mounts=[
                pb.MountSpec(type="volume", source="data", target="/data", read_only=True),
                pb.MountSpec(type="tmpfs", target="/tmp", tmpfs_size=1024),
            ],
        ),
    )
    container.created_at.FromNanoseconds(1_136_214_245_000_000_000)
    container.started_at.FromNanoseconds(1_136_214_246_120_000_000)
    return container


def _json(shape: Struct) -> Any:
    return json.loads(to_json(shape))


def test_container_has_docker_s_fields_in_docker_s_order() -> None:
    assert list(_json(container_shape(web()))) == [
        "Id", "Created", "Path", "Args", "State", "Image", "ResolvConfPath", "HostnamePath",
        "HostsPath", "LogPath", "Name", "RestartCount", "Driver", "Platform", "MountLabel",
        "ProcessLabel", "AppArmorProfile", "ExecIDs", "HostConfig", "GraphDriver", "Mounts",
        "Config", "NetworkSettings",
    ]  # fmt: skip


def test_container_state() -> None:
    shape = _json(container_shape(web()))
    assert shape["Name"] == "/web"
    assert shape["Created"] == "2006-01-02T15:04:05Z"
    assert (shape["Path"], shape["Args"]) == ("nginx", ["-g", "daemon off;"])
    assert shape["State"] == {
        "Status": "running",
        "Running": True,
        "Paused": False,
        "Restarting": False,
        "OOMKilled": False,
        "Dead": False,
        "Pid": 42,
        "ExitCode": 0,
        "Error": "",
        "StartedAt": "2006-01-02T15:04:06.12Z",
        "FinishedAt": "0001-01-01T00:00:00Z",
    }
    assert shape["ExecIDs"] is None


def test_a_paused_container_runs() -> None:
    container = web()
    container.status = pb.STATUS_PAUSED
    state = container_shape(container)["State"]
    assert (state["Status"], state["Running"], state["Paused"]) == ("paused", True, True)


def test_container_network() -> None:
    settings = _json(container_shape(web()))["NetworkSettings"]
    assert settings["IPAddress"] == "172.20.0.2"
    assert settings["Networks"]["bridge"]["Gateway"] == "172.20.0.1"
    assert settings["Ports"] == {
        "443/tcp": None,
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
    }


def test_host_config() -> None:
    host = _json(container_shape(web()))["HostConfig"]
    assert host["Memory"] == 64 << 20
    assert host["MemorySwap"] == 128 << 20
    assert host["NanoCpus"] == 1_500_000_000
    assert host["PidsLimit"] == 100
    assert host["Binds"] == ["data:/data:ro"]
    assert host["Tmpfs"] == {"/tmp": "size=1024"}
    assert host["NetworkMode"] == "bridge"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {}}
    assert host["CapAdd"] is None
    assert "/proc/kcore" in host["MaskedPaths"]


def test_mounts_and_config() -> None:
    shape = _json(container_shape(web()))
    assert shape["Mounts"][:1] == [
        {
            "Type": "volume",
            "Name": "data",
            "Source": "/v/data",
            "Destination": "/data",
            "Driver": "local",
            "Mode": "ro",
            "RW": True,
            "Propagation": "",
        }
    ]
    assert shape["Config"]["Volumes"] == {"/anonymous": {}}
    assert shape["Config"]["Labels"] == {"tier": "front"}
    assert shape["Config"]["Entrypoint"] == ["nginx"]
    assert shape["Config"]["Cmd"] == ["-g", "daemon off;"]


@pytest.mark.parametrize(
    ("mount", "mode"),
    [
        (pb.MountSpec(type="volume", source="data", target="/d"), "z"),
        (pb.MountSpec(type="volume", source="data", target="/d", read_only=True), "ro"),
        (pb.MountSpec(type="volume", source="data", target="/d", no_copy=True), "nocopy"),
        (pb.MountSpec(type="volume", source="data", target="/d", volume_driver="x"), ""),
        (pb.MountSpec(type="volume", target="/d"), ""),
        (pb.MountSpec(type="bind", source="/d", target="/d", create_source=True), ""),
        (
            pb.MountSpec(
                type="bind",
                source="/d",
                target="/d",
                create_source=True,
                read_only=True,
                propagation="rshared",
            ),
            "ro,rshared",
        ),
    ],
)
def test_a_mount_has_the_mode_that_docker_shows(mount: pb.MountSpec, mode: str) -> None:
    container = pb.Container(
        config=pb.ContainerConfig(mounts=[mount]),
        mounts=[pb.MountPoint(type=mount.type, destination="/d")],
    )
    assert _json(container_shape(container))["Mounts"][0]["Mode"] == mode


@pytest.mark.parametrize(
    ("config", "entrypoint", "command"),
    [
        (pb.ContainerConfig(), ["/entry"], ["a", "b"]),
        (pb.ContainerConfig(command=["b"]), ["/entry", "a"], ["b"]),
        (
            pb.ContainerConfig(override_entrypoint=True, entrypoint=["/entry", "a", "b"]),
            ["/entry", "a", "b"],
            [],
        ),
        (pb.ContainerConfig(override_entrypoint=True), [], ["/entry", "a", "b"]),
    ],
)
def test_split_arguments(
    config: pb.ContainerConfig, entrypoint: list[str], command: list[str]
) -> None:
    image = image_pb2.Image(config=image_pb2.ImageConfig(entrypoint=["/entry"]))
    container = pb.Container(args=["/entry", "a", "b"], config=config)
    assert split_arguments(container, image) == (entrypoint, command)


def test_image() -> None:
    image = image_pb2.Image(
        id="sha256:abc",
        references=["docker.io/library/nginx:latest", "localhost:5000/a:1"],
        repo_digests=["docker.io/library/nginx@sha256:d"],
        platform=Platform(os="linux", architecture="arm64", variant="v8"),
        config=image_pb2.ImageConfig(cmd=["sh"], exposed_ports=["80/tcp"]),
        size=5,
        diff_ids=["sha256:l"],
    )
    shape = _json(image_shape(image_pb2.GetResponse(image=image, manifest=b"{}")))
    assert shape["RepoTags"] == ["nginx:latest", "localhost:5000/a:1"]
    assert shape["RepoDigests"] == ["nginx@sha256:d"]
    assert (shape["Os"], shape["Architecture"], shape["Variant"]) == ("linux", "arm64", "v8")
    assert shape["RootFS"] == {"Type": "layers", "Layers": ["sha256:l"]}
    assert shape["Config"]["Cmd"] == ["sh"]
    assert shape["Config"]["ExposedPorts"] == {"80/tcp": {}}
    assert shape["Config"]["Entrypoint"] is None
    assert shape["Size"] == 5
    assert shape["Descriptor"]["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
    assert shape["Descriptor"]["size"] == 2


def test_network() -> None:
    network = network_pb2.Network(
        id="n1",
        name="bridge",
        driver="bridge",
        subnets=[network_pb2.Subnet(subnet="172.20.0.0/16", gateway="172.20.0.1")],
        endpoints=[
            network_pb2.Endpoint(
                id="e1",
                owner="container/c1",
                name="web",
                ip_address="172.20.0.2",
                prefix_length=16,
                mac_address="02:00",
            )
        ],
    )
    shape = _json(network_shape(network))
    assert shape["IPAM"]["Config"] == [{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.1"}]
    assert shape["Containers"] == {
        "c1": {
            "Name": "web",
            "EndpointID": "e1",
            "MacAddress": "02:00",
            "IPv4Address": "172.20.0.2/16",
            "IPv6Address": "",
        }
    }
    assert shape["Scope"] == "local"


def test_volume() -> None:
    shape = _json(volume_shape(volume_pb2.Volume(name="data", mountpoint="/v/data")))
    assert shape == {
        "CreatedAt": "0001-01-01T00:00:00Z",
        "Driver": "local",
        "Fault": "",
        "Labels": None,
        "Mountpoint": "/v/data",
        "Name": "data",
        "Options": None,
        "Scope": "local",
        "Uses": [],
    }


def test_uses_of_a_volume() -> None:
    volume = volume_pb2.Volume(name="data")
    volume.uses.add(owner="container/abc", target="/d", exclusive=True, mounted=True)
    assert _json(volume_shape(volume, {"abc": "web"}))["Uses"] == [
        {
            "Container": "abc",
            "Name": "web",
            "Target": "/d",
            "RW": True,
            "Exclusive": True,
            "Mounted": True,
        }
    ]


def _port(inside: int, outside: int = 0, **more: Any) -> PortMapping:
    return PortMapping(container_port=inside, host_port=outside, **more)


@pytest.mark.parametrize(
    ("exposed", "published", "expected"),
    [
        ([], [], ""),
        (["80/tcp"], [], "80/tcp"),
        (["443/tcp", "80/tcp", "81/tcp"], [], "80-81/tcp, 443/tcp"),
        (["80/tcp"], [_port(80, 8080)], "0.0.0.0:8080->80/tcp"),
        (["443/tcp"], [_port(80, 8080)], "443/tcp, 0.0.0.0:8080->80/tcp"),
        ([], [_port(80, 80, count=3)], "0.0.0.0:80-82->80-82/tcp"),
        (
            [],
            [_port(80, 8080, host_ip="0.0.0.0"), _port(80, 8080, host_ip="::")],
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
        ),
        (
            [],
            [_port(80, 8080, count=2)],
            "0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp",
        ),
        ([], [_port(53, 53, protocol="udp", host_ip="127.0.0.1")], "127.0.0.1:53->53/udp"),
        ([], [_port(80, 8080, host_ip="::1")], "[::1]:8080->80/tcp"),
    ],
)
def test_ports_text(exposed: list[str], published: list[PortMapping], expected: str) -> None:
    assert ports_text(exposed, published) == expected


def test_port_map_of_a_range() -> None:
    assert port_map([], [_port(80, 8080, count=2)]) == {
        "80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8080"}],
        "81/tcp": [{"HostIp": "0.0.0.0", "HostPort": "8081"}],
    }


_ENGINE = pb.InfoResponse(
    version="1.2",
    machine=pb.Machine(
        hostname="far",
        kernel_version="9.9",
        os_type="linux",
        architecture="aarch64",
        cpus=3,
        memory=5,
    ),
    support=pb.Support(swap_limit=True),
    warnings=["WARNING: No cpuset support"],
)


def test_info_is_of_the_engines_machine() -> None:
    store = store_pb2.InfoResponse(
        insecure_registries=["plain.io"],
        mirrored_registries=[store_pb2.MirroredRegistry(domain="quay.io", mirrors=["https://m"])],
        http_proxy="http://p",
        warnings=["WARNING: a file"],
    )
    counts = {"running": 0, "paused": 0, "stopped": 0, "images": 0}
    shape = info_shape(_ENGINE, store, **counts, network_drivers=[], now="")
    about = [shape[name] for name in ("Name", "KernelVersion", "Architecture", "NCPU", "MemTotal")]
    assert about == ["far", "9.9", "aarch64", 3, 5]
    assert (shape["SwapLimit"], shape["CPUSet"], shape["HttpProxy"]) == (True, False, "http://p")
    assert shape["Warnings"] == ["WARNING: No cpuset support", "WARNING: a file"]
    indexes = shape["RegistryConfig"]["IndexConfigs"]
    assert [index["Secure"] for index in indexes.values()] == [True, False, True]
    assert indexes["quay.io"]["Mirrors"] == ["https://m"]


def test_version_is_of_the_engine() -> None:
    server = version_shape(Struct(), _ENGINE, {"container": True, "volume": False})["Server"]
    assert (server["Version"], server["Arch"], server["KernelVersion"]) == ("1.2", "arm64", "9.9")
    assert [part["Version"] for part in server["Components"]] == ["1.2", "1.2", ""]
    assert version_shape(Struct(), None, {"container": False})["Server"] is None
    silent = version_shape(Struct(), None, {"container": False, "volume": True})["Server"]
    assert silent["Version"] == silent["Os"] == ""


def test_mounts_that_no_text_says() -> None:
    container = web()
    container.config.mounts.add(
        type="volume",
        source="data",
        target="/d",
        volume_driver="local",
        volume_options={"type": "tmpfs"},
        subpath="a",
    )
    container.config.mounts.add(
        type="bind", source="/b", target="/b", read_only=True, recursion="writable"
    )
    host = _json(container_shape(container))["HostConfig"]
    assert host["Mounts"][-2:] == [
        {
            "Type": "volume",
            "Source": "data",
            "Target": "/d",
            "VolumeOptions": {
                "DriverConfig": {"Name": "local", "Options": {"type": "tmpfs"}},
                "Subpath": "a",
            },
        },
        {
            "Type": "bind",
            "Source": "/b",
            "Target": "/b",
            "ReadOnly": True,
            "BindOptions": {"ReadOnlyNonRecursive": True},
        },
    ]


def test_ports_of_a_list_are_those_of_a_line() -> None:
    container = web()
    assert container_summary(container, 0)["Ports"] == [
        {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
        {"PrivatePort": 443, "Type": "tcp"},
    ]
    del container.ports[:]
    del container.exposed_ports[:]
    container.ports.add(host_port=80, container_port=80)
    container.exposed_ports.extend(["80", "²/tcp"])
    ports = container_summary(container, 0)["Ports"]
    assert [each["PrivatePort"] for each in ports] == [80]
    container.status = pb.STATUS_EXITED
    assert container_summary(container, 0)["Ports"] == []
