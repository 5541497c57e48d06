"""Reading config.json: what is there, what is missing, what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from scow.contract.errors import InvalidConfig, ScowError
from scow.shim.oci import config as oci


def parse(**changes: Any) -> oci.Spec:
    config: dict[str, Any] = {"process": {"args": ["true"]}, **changes}
    return oci.parse(config, "/bundle")


def test_defaults() -> None:
    spec = parse()
    assert spec.root_path == "/bundle/rootfs"
    assert (spec.process.cwd, spec.process.uid, spec.process.umask) == ("/", 0, None)
    assert spec.process.console_size == (0, 0)
    assert spec.resources == oci.Resources()
    assert (spec.seccomp, spec.init, spec.mounts) == (None, False, ())


def test_an_absolute_root_stays() -> None:
    assert parse(root={"path": "/abs", "readonly": True}).root_path == "/abs"


def test_resources() -> None:
    resources = parse(
        linux={
            "resources": {
                "memory": {"limit": 1, "swap": -1, "reservation": 0},
                "cpu": {"quota": 2, "period": 3, "shares": 4, "cpus": "0", "mems": "1"},
                "pids": {"limit": 5},
                "blockIO": {"weight": 6},
                "devices": [
                    {"allow": False},
                    {"allow": True, "type": "c", "major": 1, "minor": -1, "access": "r"},
                ],
            }
        }
    ).resources
    rules = (
        oci.DeviceRule(False, "a", None, None, "rwm"),
        oci.DeviceRule(True, "c", 1, None, "r"),
    )
    assert resources == oci.Resources(
        memory=1,
        memory_swap=-1,
        memory_reservation=0,
        cpu_quota=2,
        cpu_period=3,
        cpu_shares=4,
        cpuset_cpus="0",
        cpuset_mems="1",
        pids=5,
        block_io=oci.BlockIO(weight=6),
        devices=rules,
    )


def test_further_limits() -> None:
    device = {"major": 8, "minor": 0}
    resources = parse(
        linux={
            "resources": {
                "memory": {"swappiness": 0, "disableOOMKiller": True},
                "cpu": {"realtimeRuntime": 1, "realtimePeriod": 2},
                "blockIO": {
                    "weightDevice": [{**device, "weight": 10}],
                    "throttleReadBpsDevice": [{**device, "rate": 11}],
                    "throttleWriteIOPSDevice": [{**device, "rate": 12}],
                },
                "hugepageLimits": [{"pageSize": "2MB", "limit": 13}],
                "unified": {"memory.high": "14"},
            }
        }
    ).resources
    assert (resources.swappiness, resources.oom_kill_disable) == (0, True)
    assert (resources.cpu_rt_runtime, resources.cpu_rt_period) == (1, 2)
    assert resources.block_io.weights == (oci.DeviceLimit(8, 0, 10),)
    assert resources.block_io.read_bps == (oci.DeviceLimit(8, 0, 11),)
    assert resources.block_io.write_iops == (oci.DeviceLimit(8, 0, 12),)
    assert resources.hugepages == (("2MB", 13),)
    assert resources.unified == (("memory.high", "14"),)


def test_annotations_of_our_own() -> None:
    spec = parse(annotations={"scow.init": "true", "scow.groups": "audio,,7"})
    assert spec.init
    assert spec.process.groups == ("audio", "7")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"process": {}}, "process.args"),
        ({"process": {"args": [""]}}, "process.args"),
        ({"process": {"args": "true"}}, "process.args"),
        ({"process": {"args": ["a\0b"]}}, "process.args"),
        ({"process": {"args": ["x"], "cwd": "relative"}}, "process.cwd"),
        ({"process": {"args": ["x"], "env": [1]}}, "process.env"),
        ({"process": {"args": ["x"], "user": {"uid": "0"}}}, "process.user.uid"),
        ({"process": {"args": ["x"], "user": {"uid": True}}}, "process.user.uid"),
        ({"process": {"args": ["x"], "terminal": 1}}, "process.terminal"),
        ({"mounts": [{"destination": 1}]}, "mounts[0].destination"),
        ({"mounts": [{}, "x"]}, "mounts[1]"),
        ({"hostname": "a\0"}, "hostname"),
        ({"linux": []}, "linux"),
        ({"linux": {"sysctl": {"a": 1}}}, "linux.sysctl"),
        ({"linux": {"resources": {"memory": {"limit": 1.5}}}}, "linux.resources.memory.limit"),
    ],
)
def test_a_wrong_value_is_named_by_its_place(changes: dict[str, Any], place: str) -> None:
    with pytest.raises(ScowError) as raised:
        parse(**changes)
    assert type(raised.value) is InvalidConfig
    assert raised.value.metadata["which"] == place


def test_load_reads_rootfs(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"process": {"args": ["x"]}}))
    assert oci.load(str(tmp_path)).rootfs == ()
    entry = {"type": "overlay", "source": "overlay", "options": ["lowerdir=/a"]}
    (tmp_path / "rootfs.json").write_text(json.dumps([entry]))
    expected = oci.Mount("", "overlay", "overlay", ("lowerdir=/a",))
    assert oci.load(str(tmp_path)).rootfs == (expected,)


@pytest.mark.parametrize("text", [None, "{", "[]", "3"])
def test_load_of_what_is_no_configuration(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ScowError) as raised:
        oci.load(str(tmp_path))
    assert raised.value.metadata["which"] == str(tmp_path / "config.json")
