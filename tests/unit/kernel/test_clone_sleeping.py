"""A child that is born in namespaces, and shares its parent's memory meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

from scow.kernel import syscalls


@pytest.mark.skipif(os.getuid() != 0, reason="namespaces are made by root")
def test_it_is_in_namespaces_of_its_own() -> None:
    pid = syscalls.clone_sleeping(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWUTS, 60)
    try:
        for kind in ("user", "uts"):
            assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")
        assert os.readlink(f"/proc/{pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    finally:
        os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_it_ends_by_itself() -> None:
    pid = syscalls.clone_sleeping(0, 1)
    kept = [bytes(number % 256 for number in range(1000)) for _ in range(1000)]
    assert os.waitpid(pid, 0)[1] & 0x7F == 0
    assert len(set(kept)) == 1
