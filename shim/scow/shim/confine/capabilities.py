"""Capabilities: names, bits, and how a process takes on the sets of the OCI configuration (capabilities(7))."""

from __future__ import annotations

import os
from collections.abc import Iterable

from scow.contract.errors import InvalidConfig
from scow.kernel import syscalls
from scow.shim.oci import config

# The index is the number of the capability: linux/capability.h.
NAMES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
_NUMBERS = {name: number for number, name in enumerate(NAMES)}


def bits(names: Iterable[str]) -> int:
    """Return the set of bits for capability names; an unknown name is InvalidArgument."""
    result = 0
    for name in names:
        number = _NUMBERS.get(name.upper())
        if number is None:
            text = f"there is no capability {name}"
            raise InvalidConfig(text, what="capability", which=name)
        result |= 1 << number
    return result


def held() -> int:
    """Return the capabilities that this process may use (its permitted set)."""
    with open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("CapPrm:"):
                return int(line.split()[1], 16)
    raise AssertionError("proc(5) has CapPrm")


class Sets:
    """The five sets as bits, limited to what the engine itself holds.

    An engine that lacks a capability (in a virtual machine without CAP_SYS_RESOURCE) cannot give it: it is
    left out of every set, as Docker does, and named in `missing`.
    """

    def __init__(self, wanted: config.Capabilities, available: int) -> None:
        self.bounding = bits(wanted.bounding) & available
        self.permitted = bits(wanted.permitted) & available
        self.effective = bits(wanted.effective) & self.permitted
        self.inheritable = bits(wanted.inheritable) & available
        self.ambient = bits(wanted.ambient) & self.permitted & self.inheritable
        lacking = (bits(wanted.bounding) | bits(wanted.permitted)) & ~available
        self.missing = tuple(name for number, name in enumerate(NAMES) if lacking >> number & 1)


def everything(available: int) -> Sets:
    """Return the sets of a privileged process: all that the engine holds."""
    names = tuple(name for number, name in enumerate(NAMES) if available >> number & 1)
    return Sets(config.Capabilities(names, names, (), names, ()), available)


def drop_bounding(sets: Sets) -> None:
    """Drop all but the bounding set; needs CAP_SETPCAP, so it comes before `change_ids`."""
    number = 0
    while True:
        if not sets.bounding >> number & 1:
            try:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
            except OSError:  # EINVAL: beyond the kernel's last capability
                return
        elif number >= len(NAMES):
            return
        number += 1


def change_ids(uid: int, gid: int, groups: list[int]) -> None:
    """Become another user and keep the permitted set until `apply`."""
    syscalls.prctl(syscalls.PR_SET_KEEPCAPS, 1)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def raise_effective(available: int) -> None:
    """Make everything permitted effective again after the change of user."""
    syscalls.capset(available, available, 0)


def apply(sets: Sets) -> None:
    """Take on the sets; ambient ones too, which must be permitted and inheritable by now."""
    syscalls.capset(sets.effective, sets.permitted, sets.inheritable)
    syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in range(len(NAMES)):
        if sets.ambient >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)
