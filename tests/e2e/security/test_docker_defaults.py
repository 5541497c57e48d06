"""What a container is given by default: the same as by docker, but for the differences listed here with their reasons.

Debian's dockerd is 20.10; where a difference is that of later versions, the reason says so.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine
from tests.support.peers import Docker, Net

_SUPPORT = Path(__file__).parents[2] / "support"
_PROBE = (_SUPPORT / "default_probe.sh").read_text()
_RUN = ("run", "--rm", "--network", "none")
# Pattern of a whole fact: why scow alone, or docker alone, has it.
SCOW_ALONE = {
    r"device /dev/core .*": "the specification's link; runc makes it where the host has /proc/kcore",
    r"mount / overlay .*": "places of layers; userxattr",
    r"mount /proc/acpi tmpfs ro,nosuid,nodev,noexec,.*": "covers are as strict as they can be, and take no memory",
    r"mount /sys/firmware tmpfs ro,nosuid,nodev,noexec,.*": "the same",
    r"mount /proc/\w+ devtmpfs .*": "/dev/null of the host covers files, not the container's",
    r"path /proc/interrupts file 0 ?": "hidden by later versions (a side channel)",
    r"mount /sys/fs/cgroup tmpfs ro,.*": "read-only also where nothing is mounted",
    r"ls drwxr-xr-x root root /sys/fs/cgroup": "the same",
    r"mount /sys/fs/cgroup/unified cgroup2 .*": "the hybrid hierarchy of this host, which docker 20.10 leaves out",
    r"ls ls: No such": "no /etc/mtab is added to images",
    r"sysctl net/ipv6/conf/all/disable_ipv6 0": "IPv6 is the network's matter",
}
DOCKER_ALONE = {
    r"mount / overlay .*": "places of layers",
    r"mount /proc/acpi tmpfs ro,relatime.*": "see above",
    r"mount /sys/firmware tmpfs ro,relatime.*": "see above",
    r"mount /proc/(keys|timer_list|sched_debug|latency_stats) tmpfs rw,nosuid,.*": "see above",
    r"path /proc/interrupts file 1 ?": "see above",
    r"mount /sys/fs/cgroup tmpfs rw,.*": "see above",
    r"ls dr-xr-xr-x root root /sys/fs/cgroup": "see above",
    r"ls lrwxrwxrwx root root /etc/mtab -> /proc/mounts": "see above",
    r"sysctl net/ipv6/conf/all/disable_ipv6 1": "see above",
}
# What a user namespace changes about the same.
OWN_USERS = {
    r"device /dev/(mqueue|pts) .* 65534:65534 .*": "the roots of these file systems are the host root's",
    r"mount \S+ tmpfs .*uid=1[0-9]{9},gid=1[0-9]{9}": "made by the container's root",
    r"mount /dev/pts devpts .*gid=1[0-9]{9},.*": "its group tty",
    r"mount /etc/(hostname|hosts|resolv.conf) \S+ \S*idmapped\S*": "ids are mapped",
    r"mount / overlay .*": "layers with mapped ids",
    r"path /proc/(kallsyms|kmsg) file [01] Permission denied": "the host root's",
    r"sysctl net/ipv4/ping_group_range 65534\s65534": "all groups, shown as they are outside",
    r"uid_map +0 [0-9]+ 65536": "what it is about",
    r"ls .* (root|nobody|65534) .*": "owners of what is the kernel's",
}
# Of x86-64: answers of scow and docker, 0 where the call is made, and why they differ.
CALLS = {
    "name_to_handle_at": (0, 1, "allowed by later versions: it opens nothing"),
    "process_vm_readv": (0, 1, "allowed by later versions, as ptrace is from Linux 4.8 on"),
    "process_vm_writev": (0, 1, "allowed by later versions, as ptrace is from Linux 4.8 on"),
    "pkey_mprotect": (0, 1, "allowed by later versions: the process's own memory"),
    "pkey_alloc": (0, 1, "allowed by later versions"),
    "pkey_free": (0, 1, "allowed by later versions"),
    "io_uring_setup": (1, 0, "refused by later versions, for its many faults"),
    "io_uring_enter": (1, 0, "refused by later versions"),
    "io_uring_register": (1, 0, "refused by later versions"),
    "set_mempolicy_home_node": (1, 38, "newer than docker 20.10; takes CAP_SYS_NICE as set_mempolicy does"),
    "cachestat": (0, 38, "newer than docker 20.10"),
    "fchmodat2": (0, 38, "newer than docker 20.10"),
    "map_shadow_stack": (0, 38, "newer than docker 20.10"),
    "futex_wake": (0, 38, "newer than docker 20.10"),
    "futex_wait": (0, 38, "newer than docker 20.10"),
    "futex_requeue": (0, 38, "newer than docker 20.10"),
}  # fmt: skip
# uretprobe and uprobe pass all filters, and end who calls them by hand.
_NUMBERS = [number for number in range(470) if number not in (335, 336)]


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    net = Net()
    try:
        with Docker(net) as running:
            running.cli("import", "-", "busybox", stdin=rootfs_tar())
            yield running
    finally:
        net.close()


def _facts(text: str) -> set[str]:
    return {line.rstrip() for line in text.splitlines()}


def _beyond(facts: set[str], expected: dict[str, str]) -> list[str]:
    return sorted(
        fact for fact in facts if not any(re.fullmatch(pattern, fact) for pattern in expected)
    )


def test_what_a_container_is_given(engine: Engine, docker: Docker) -> None:
    """The five sets of capabilities, mounts and their flags, devices, hidden paths, limits, sysctls, descriptors."""
    ours = _facts(engine.cli(*_RUN, "busybox", "sh", "-c", _PROBE).stdout)
    theirs = _facts(docker.cli(*_RUN, "busybox", "sh", "-c", _PROBE))
    assert len(ours) > 100
    assert _beyond(ours - theirs, SCOW_ALONE) == []
    assert _beyond(theirs - ours, DOCKER_ALONE) == []
    mapped = _facts(engine.cli(*_RUN, "--userns", "auto", "busybox", "sh", "-c", _PROBE).stdout)
    assert _beyond(mapped - ours, OWN_USERS) == []


def test_what_system_calls_are_answered(engine: Engine, docker: Docker, tmp_path: Path) -> None:
    program = tmp_path / "probe"
    source = _SUPPORT / "seccomp_probe.c"
    subprocess.run(["gcc", "-static", "-O1", "-o", program, source], check=True)
    os.chmod(tmp_path, 0o755)
    questions = "".join(f"0 {number} 0\n" for number in _NUMBERS).encode()
    words = (*_RUN, "-i", "-v", f"{program}:/probe:ro", "busybox", "/probe")
    ours = engine.cli(*words, stdin=questions).stdout.split()
    theirs = docker.cli(*words, stdin=questions).split()
    assert len(ours) == len(theirs) == len(_NUMBERS)
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_syscall_resolve_num_arch.restype = ctypes.c_char_p
    differences = {}
    for number, *answers in zip(_NUMBERS, map(int, ours), map(int, theirs), strict=True):
        if answers[0] != answers[1]:
            name = library.seccomp_syscall_resolve_num_arch(0xC000003E, number) or b""
            differences[name.decode() or str(number)] = tuple(answers)
    # Names that libseccomp does not know have no difference either: both answer ENOSYS.
    expected = {name: answers[:2] for name, answers in CALLS.items()}
    assert differences == expected
