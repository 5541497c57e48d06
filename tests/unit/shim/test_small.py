"""Modules of a few lines: rlimits, sysctls, mount table."""

from __future__ import annotations

import os
import resource

import pytest

from scow.contract.errors import ScowError
from scow.kernel import mountinfo
from scow.shim.confine import rlimits, sysctls
from scow.shim.oci.config import Rlimit
from scow.shim.rootfs import devices


def test_rlimits() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        rlimits.apply([Rlimit("RLIMIT_CORE", 0, hard if hard >= 0 else 2**64 - 1)])
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_rlimits_that_are_refused_name_the_bound() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open("/proc/sys/fs/nr_open", encoding="ascii") as file:
        most = int(file.read())
    with pytest.raises(ScowError) as raised:
        rlimits.apply([Rlimit("RLIMIT_NOFILE", 5, most + 1)])
    assert raised.value.reason == "ULIMIT_REFUSED"
    assert raised.value.metadata["which"] == "nofile"
    assert f"nofile cannot be set to 5:{most + 1}" in raised.value.message
    assert str(most) in raised.value.metadata["do"]
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


@pytest.mark.parametrize("name", ["RLIMIT_NONE", "NOFILE", "setrlimit"])
def test_rlimits_that_are_none(name: str) -> None:
    with pytest.raises(ScowError) as raised:
        rlimits.apply([Rlimit(name, 1, 1)])
    assert raised.value.metadata["which"] == name


@pytest.mark.parametrize(
    "name",
    ["kernel.panic", "net.ipv4/../kernel/panic", "/etc/passwd", "net", "net..x", "kernel.shm"],
)
def test_sysctls_of_the_host_are_refused(name: str) -> None:
    with pytest.raises(ScowError) as raised:
        sysctls.apply({name: "1"}, {"network", "uts"})
    assert raised.value.reason == "INVALID_CONFIG"


def test_mount_table() -> None:
    entries = list(mountinfo.read())
    assert any(entry.mountpoint == "/" for entry in entries)
    assert any(entry.fstype == "proc" and entry.mountpoint == "/proc" for entry in entries)


def test_sizes_of_a_terminal() -> None:
    master, slave = os.openpty()
    try:
        devices.set_size(master, 12, 34)
        assert os.get_terminal_size(slave) == (34, 12)
        devices.set_size(master, 0, 99)
        assert os.get_terminal_size(slave) == (34, 12)
    finally:
        os.close(master)
        os.close(slave)
