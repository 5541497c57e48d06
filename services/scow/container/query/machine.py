"""The machine that the engine runs on, and what its kernel can do for containers."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from scow.api.container.v1.container_pb2 import Machine, Support
from scow.container.spec.kernel_limits import is_unified
from scow.container.spec.security_options import apparmor_enabled, apparmor_loads

_CGROUPS = Path("/sys/fs/cgroup")
_SYSCTLS = Path("/proc/sys")
# Docker's words. The rest of its list is about what scow does not offer.
_WARNINGS = (
    ("memory_limit", "No memory limit support"),
    ("swap_limit", "No swap limit support"),
    ("cpu_quota", "No cpu cfs quota support"),
    ("cpu_shares", "No cpu shares support"),
    ("cpuset", "No cpuset support"),
    ("pids_limit", "No pids limit support"),
    ("ipv4_forwarding", "IPv4 forwarding is disabled"),
    ("bridge_nf_iptables", "bridge-nf-call-iptables is disabled"),
    ("bridge_nf_ip6tables", "bridge-nf-call-ip6tables is disabled"),
)
# Where cgroup v1 has a limit: the controller and its file.
_V1 = {
    "memory_limit": "memory/memory.limit_in_bytes",
    "swap_limit": "memory/memory.memsw.limit_in_bytes",
    "cpu_shares": "cpu/cpu.shares",
    "cpu_quota": "cpu/cpu.cfs_quota_us",
    "cpuset": "cpuset/cpuset.cpus",
    # The root group of pids has no limit.
    "pids_limit": "pids/cgroup.procs",
    "oom_kill_disable": "memory/memory.oom_control",
}


def machine() -> Machine:
    """Return what the machine is."""
    about, release = os.uname(), _os_release()
    return Machine(
        hostname=about.nodename,
        kernel_version=about.release,
        operating_system=release.get("PRETTY_NAME") or release.get("NAME") or "linux",
        os_version=release.get("VERSION_ID", ""),
        os_type="linux",
        architecture=about.machine,
        cpus=os.cpu_count() or 1,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def support(cgroups: Path = _CGROUPS, sysctls: Path = _SYSCTLS) -> Support:
    """Return what the kernel can limit and does.

    Args:
        cgroups: Where cgroups are mounted.
        sysctls: The folder of sysctls.
    """
    found = _v2(cgroups) if is_unified(cgroups) else _v1(cgroups)
    return Support(
        **found,
        ipv4_forwarding=_is_on(sysctls / "net/ipv4/ip_forward"),
        bridge_nf_iptables=_is_on(sysctls / "net/bridge/bridge-nf-call-iptables"),
        bridge_nf_ip6tables=_is_on(sysctls / "net/bridge/bridge-nf-call-ip6tables"),
    )


def warnings(found: Support) -> Iterator[str]:
    """Yield a line for each thing that containers cannot have."""
    for name, text in _WARNINGS:
        if not getattr(found, name):
            yield f"WARNING: {text}"


def security_options(sysctls: Path = _SYSCTLS) -> Iterator[str]:
    """Yield in Docker's form what confines a container that asks for nothing."""
    if apparmor_enabled() and apparmor_loads():
        yield "name=apparmor"
    if (sysctls / "kernel/seccomp/actions_avail").exists():
        yield "name=seccomp,profile=builtin"
    if os.path.exists("/proc/self/ns/cgroup"):
        yield "name=cgroupns"


def _v1(cgroups: Path) -> dict[str, bool]:
    return {name: (cgroups / file).exists() for name, file in _V1.items()}


def _v2(cgroups: Path) -> dict[str, bool]:
    controllers = (cgroups / "cgroup.controllers").read_text().split()
    return {
        "memory_limit": "memory" in controllers,
        # The root has no limits; any group below that has the controller shows whether swap is counted.
        "swap_limit": any(cgroups.glob("*/memory.swap.max")),
        "cpu_shares": "cpu" in controllers,
        "cpu_quota": "cpu" in controllers,
        "cpuset": "cpuset" in controllers,
        "pids_limit": "pids" in controllers,
        "oom_kill_disable": False,
    }


def _is_on(file: Path) -> bool:
    try:
        return file.read_text().strip() not in ("", "0")
    except OSError:  # the module is not loaded
        return False


def _os_release() -> dict[str, str]:
    """Return what the distribution says of itself (os-release(5))."""
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as file:
            pairs = (line.rstrip("\n").partition("=") for line in file)
            return {key: value.strip("\"'") for key, _, value in pairs}
    except OSError:
        return {}
