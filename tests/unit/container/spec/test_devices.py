from pathlib import Path

import pytest

from scow.api.container.v1.container_pb2 import Device
from scow.container.spec import devices
from scow.contract.errors import InvalidConfig, NotFound


def test_a_device_gets_a_node_and_a_rule() -> None:
    device = Device(host_path="/dev/null", container_path="/dev/mine", permissions="r")
    nodes, rules = devices.nodes([device], privileged=False)
    (node,) = nodes
    assert (node["path"], node["type"], node["major"], node["minor"]) == ("/dev/mine", "c", 1, 3)
    assert rules[0] == {"allow": False, "access": "rwm"}
    assert rules[-1] == {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "r"}


def test_without_devices_nothing_but_making_nodes_is_allowed() -> None:
    nodes, rules = devices.nodes([], privileged=False)
    assert nodes == []
    assert [rule["access"] for rule in rules if rule["allow"]] == ["m", "m"]


def test_a_privileged_container_gets_the_hosts_devices() -> None:
    nodes, rules = devices.nodes([], privileged=True)
    assert "/dev/null" in {node["path"] for node in nodes}
    assert not any(node["path"].startswith("/dev/pts/") for node in nodes)
    assert rules == [{"allow": True, "access": "rwm"}]


def test_a_folder_brings_its_devices(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "zero").symlink_to("/dev/zero")
    (tmp_path / "text").write_text("no device")
    device = Device(host_path=str(tmp_path), container_path="/dev/x")
    nodes, rules = devices.nodes([device], privileged=False)
    assert [node["path"] for node in nodes] == ["/dev/x/sub/zero"]
    assert rules[-1]["access"] == "rwm"


@pytest.mark.parametrize("path", ["/dev/nothing-like-this", "/etc/passwd"])
def test_what_is_no_device_is_not_found(path: str) -> None:
    with pytest.raises(NotFound) as caught:
        devices.nodes([Device(host_path=path)], privileged=False)
    assert caught.value.which == path


@pytest.mark.parametrize(
    "device",
    [
        Device(host_path="dev/null"),
        Device(host_path="/dev/null", container_path="x"),
        Device(host_path="/dev/null", permissions="rx"),
    ],
)
def test_wrong_devices_are_refused(device: Device) -> None:
    with pytest.raises(InvalidConfig):
        devices.check([device])
