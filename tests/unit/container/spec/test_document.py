import os
from pathlib import Path
from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import Mount
from scow.container.spec import document
from scow.container.spec.capabilities import DEFAULT, KNOWN
from scow.container.spec.document import Surroundings
from scow.contract.errors import InvalidArgument

BUNDLE = Path("/run/x/bundle")


def make(
    config: ContainerConfig, around: Surroundings | None = None, **fields: Any
) -> dict[str, Any]:
    described = pb.Container(
        config=config, args=["true"], env=["PATH=/bin"], working_dir="/", hostname="h", **fields
    )
    return document.make(described, [], around or Surroundings(BUNDLE))


def kinds(found: dict[str, Any]) -> dict[str, str]:
    return {n["type"]: n.get("path", "") for n in found["linux"]["namespaces"]}


def test_a_plain_container() -> None:
    found = make(ContainerConfig())
    process, linux = found["process"], found["linux"]
    assert process["args"] == ["true"]
    assert process["user"] == {"uid": 0, "gid": 0, "username": "0"}
    assert process["env"] == ["PATH=/bin", "HOSTNAME=h"]
    assert set(process["capabilities"]["bounding"]) == set(DEFAULT)
    assert "inheritable" not in process["capabilities"]
    assert process["noNewPrivileges"] is False
    assert found["hostname"] == "h"
    assert found["root"] == {"path": "/run/x/bundle/rootfs", "readonly": False}
    assert kinds(found) == dict.fromkeys(("mount", "pid", "network", "ipc", "uts", "cgroup"), "")
    assert "/proc/kcore" in linux["maskedPaths"]
    assert "/proc/sys" in linux["readonlyPaths"]
    assert linux["seccomp"]["defaultAction"] == "SCMP_ACT_ERRNO"
    assert linux["sysctl"]["net.ipv4.ip_unprivileged_port_start"] == "0"


def test_privileged() -> None:
    found = make(ContainerConfig(privileged=True))
    linux = found["linux"]
    assert found["process"]["capabilities"]["effective"] == list(KNOWN)
    assert "maskedPaths" not in linux
    assert "readonlyPaths" not in linux
    assert "seccomp" not in linux
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    access = {m["destination"]: m["options"][-1] for m in found["mounts"]}
    assert (access["/sys"], access["/sys/fs/cgroup"]) == ("rw", "rw")


def test_namespaces_of_the_host_are_left_out() -> None:
    config = ContainerConfig(
        network="host", pid_mode="host", ipc_mode="host", uts_mode="host", cgroupns_mode="host"
    )
    found = make(config)
    assert kinds(found) == {"mount": ""}
    assert "hostname" not in found
    assert found["linux"]["sysctl"] == {}


def test_namespaces_of_another_container_are_joined() -> None:
    config = ContainerConfig(network="container:a", pid_mode="container:b", ipc_mode="container:c")
    joined = {"network": "/proc/1/ns/net", "pid": "/proc/2/ns/pid", "ipc": "/proc/3/ns/ipc"}
    found = make(config, Surroundings(BUNDLE, joined))
    assert {k: v for k, v in kinds(found).items() if v} == joined
    assert found["linux"]["sysctl"] == {}
    shm = next(m for m in found["mounts"] if m["destination"] == "/dev/shm")
    assert (shm["type"], shm["source"]) == ("bind", "/dev/shm")
    assert "scow.namespace=/proc/3/ns/mnt" in shm["options"]


def test_what_the_user_asks_for() -> None:
    config = ContainerConfig(
        tty=True,
        read_only=True,
        init=True,
        domainname="example.org",
        group_add=["audio", "20"],
        umask=0o027,
        oom_score_adj=500,
        sysctls={"net.core.somaxconn": "5"},
        security_opts=["no-new-privileges", "seccomp=unconfined", "systempaths=unconfined"],
        ulimits=[pb.Ulimit(name="nofile", soft=5, hard=6)],
        resources=pb.Resources(pids_limit=9),
    )
    found = make(config, Surroundings(BUNDLE, window=(24, 80)), user="app:20")
    process, linux = found["process"], found["linux"]
    assert process["terminal"] is True
    assert process["consoleSize"] == {"height": 24, "width": 80}
    assert "TERM=xterm" in process["env"]
    assert process["user"] == {"uid": 0, "gid": 0, "username": "app:20", "umask": 0o027}
    assert process["oomScoreAdj"] == 500
    assert process["noNewPrivileges"] is True
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 5, "hard": 6}]
    assert found["domainname"] == "example.org"
    assert found["annotations"] == {"scow.init": "true", "scow.groups": "audio,20"}
    assert found["root"]["readonly"] is True
    assert linux["sysctl"]["net.core.somaxconn"] == "5"
    assert linux["resources"]["pids"] == {"limit": 9}
    assert not {"seccomp", "maskedPaths", "readonlyPaths"} & linux.keys()


def test_a_zero_umask_is_not_the_default() -> None:
    assert make(ContainerConfig(umask=0))["process"]["user"]["umask"] == 0
    assert "umask" not in make(ContainerConfig())["process"]["user"]


def test_a_profile_of_ones_own_binds_a_privileged_container_too() -> None:
    profile = '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []}'
    found = make(ContainerConfig(privileged=True, security_opts=[f"seccomp={profile}"]))
    assert found["linux"]["seccomp"]["defaultAction"] == "SCMP_ACT_ALLOW"


@pytest.mark.parametrize(
    ("propagation", "expected"), [("", "rprivate"), ("rslave", "rslave"), ("shared", "rshared")]
)
def test_propagation_of_the_root(propagation: str, expected: str) -> None:
    described = pb.Container(id="ab" * 32, args=["true"], working_dir="/")
    described.mounts.add(type="bind", source="/a", destination="/b", propagation=propagation)
    made = document.make(described, [], document.Surroundings(Path("/nowhere")))
    assert made["linux"]["rootfsPropagation"] == expected


def test_volumes_are_part_of_the_mounts() -> None:
    described = pb.Container(config=ContainerConfig(), args=["x"], working_dir="/")
    volume = Mount(destination="/data", type="bind", source="/v", options=["rbind", "rw"])
    found = document.make(described, [volume], Surroundings(BUNDLE))
    assert found["mounts"][-1] == {
        "destination": "/data",
        "type": "bind",
        "source": "/v",
        "options": ["rbind", "rw", "scow.detachable"],
    }


def test_variables_whose_values_are_in_files(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("secret\n")
    found = make(ContainerConfig(env_files={"KEY": str(tmp_path / "value")}))
    assert "KEY=secret\n" in found["process"]["env"]


def test_files_of_variables_that_cannot_be_used(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # nobody waits for it
    (tmp_path / "long").write_bytes(b"x" * (128 << 10) + b"y")
    (tmp_path / "nul").write_bytes(b"a\0b")
    (tmp_path / "binary").write_bytes(b"\xff")
    for name in ("fifo", "long", "nul", "binary", "none", "."):
        with pytest.raises(InvalidArgument):
            make(ContainerConfig(env_files={"KEY": str(tmp_path / name)}))
