"""A PID that was an exec session's or the init's, and is a stranger's by now."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scow.contract.errors import ContainerNotRunning
from scow.kernel import identity, syscalls
from scow.shim.rootfs import mount_ids
from scow.shim.talker import live_mounts
from scow.shim.talker.container import RUNNING, Container
from scow.shim.talker.execution import Execution, Executions
from tests.support.processes import alive, fork_as

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it chooses a PID")


@pytest.fixture
def reused() -> Iterator[tuple[int, int]]:
    """A PID that a stranger has, and a pidfd of the process that had it before."""
    pid, pidfd = syscalls.fork_into()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    stranger = fork_as(pid)
    yield stranger, pidfd
    os.kill(stranger, signal.SIGKILL)
    os.waitpid(stranger, 0)
    os.close(pidfd)


def session(pid: int, pidfd: int) -> Execution:
    """Return a session whose end the keeper has not told yet."""
    made = Execution.__new__(Execution)
    made.pid, made._pidfd, made.exit = pid, pidfd, None
    return made


def container(pid: int, pidfd: int, state_dir: str) -> Any:
    """Return a container whose end the keeper has not told yet."""
    made: Any = Container.__new__(Container)
    made.pid, made.pidfd, made.exit, made._executed = pid, pidfd, None, True
    made.request = SimpleNamespace(id="box", state_dir=state_dir)
    made.cgroup = SimpleNamespace(frozen=lambda: False)
    assert made.status == RUNNING
    return made


def test_a_session_that_has_ended_is_killed_and_nobody_else(reused: tuple[int, int]) -> None:
    session(*reused).kill(signal.SIGKILL)
    assert alive(reused[0])


def test_the_end_of_all_sessions_passes_over_one_that_has_ended() -> None:
    gone, pidfd = syscalls.fork_into()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    left, other = syscalls.fork_into()
    if left == 0:
        signal.pause()
    executions = Executions.__new__(Executions)
    executions._running = {"gone": session(gone, pidfd), "left": session(left, other)}
    executions.end()
    assert os.WTERMSIG(os.waitpid(left, 0)[1]) == signal.SIGKILL
    os.close(pidfd)
    os.close(other)


async def test_no_mount_is_changed_in_the_namespace_of_a_stranger(
    reused: tuple[int, int], tmp_path: Path
) -> None:
    mount_ids.add(str(tmp_path), {"/d": 1})
    with pytest.raises(ContainerNotRunning):
        await live_mounts.detach(container(*reused, str(tmp_path)), "/d", force=False)


def test_the_start_time_of_a_stranger_is_not_recorded(reused: tuple[int, int]) -> None:
    assert identity.start_ticks(reused[0])
    assert identity.ticks_of(*reused) == 0
