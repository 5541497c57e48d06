"""What the machine can do for containers."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.api.container.v1.container_pb2 import Support
from scow.container.query.machine import security_options, support, warnings
from scow.container.spec.kernel_limits import is_unified

_V2 = {"cgroup.controllers": "cpuset cpu io memory pids", "a/memory.swap.max": "max"}
_V1 = {
    "memory/memory.limit_in_bytes": "1",
    "memory/memory.oom_control": "0",
    "cpu/cpu.shares": "1024",
    "cpu/cpu.cfs_quota_us": "-1",
    "cpuset/cpuset.cpus": "0-1",
    "pids/cgroup.procs": "1",
}
_SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
}


def _folder(base: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = base / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return base


@pytest.mark.parametrize(
    ("cgroups", "sysctls", "expected"),
    [
        (_V2, _SYSCTLS, []),
        (_V1, _SYSCTLS, ["WARNING: No swap limit support"]),
        (
            {"cgroup.controllers": "cpu io memory pids"},
            _SYSCTLS,
            ["WARNING: No swap limit support", "WARNING: No cpuset support"],
        ),
        (
            _V2,
            {"net/ipv4/ip_forward": "0"},
            [
                "WARNING: IPv4 forwarding is disabled",
                "WARNING: bridge-nf-call-iptables is disabled",
                "WARNING: bridge-nf-call-ip6tables is disabled",
            ],
        ),
    ],
)
def test_warnings(
    tmp_path: Path, cgroups: dict[str, str], sysctls: dict[str, str], expected: list[str]
) -> None:
    found = support(_folder(tmp_path / "cgroup", cgroups), _folder(tmp_path / "sys", sysctls))
    assert list(warnings(found)) == expected
    assert is_unified(tmp_path / "cgroup") == ("cgroup.controllers" in cgroups)
    assert found.oom_kill_disable == (cgroups is _V1)


def test_nothing_is_there(tmp_path: Path) -> None:
    assert support(tmp_path, tmp_path) == Support()
    assert not any("seccomp" in each for each in security_options(tmp_path))
