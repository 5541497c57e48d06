"""Signals and stops of a caller reach its command."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support import processes
from tests.unit.cli.resident.user import NOTHING, WAIT, WAYS, User, children, running


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_ends_command_and_process(user: User, way: str, number: int) -> None:
    env = user.served(way)
    user.use(WAIT)
    before = children(user)
    caller = subprocess.Popen(user.command(), env=env)
    processes.wait_for(user.told.exists, "the command")
    running = {pid for pid in children(user) - before if processes.children(pid)}
    assert len(running) <= 1
    caller.send_signal(number)
    assert caller.wait(20) == -number
    processes.wait_for(lambda: not any(map(processes.alive, running)), "the end of the command")


def test_an_interrupt(user: User) -> None:
    codes = []
    for way in WAYS:
        env = user.served(way)
        user.use(WAIT)
        caller = subprocess.Popen(user.command(), env=env)
        processes.wait_for(user.told.exists, "the command")
        caller.send_signal(signal.SIGINT)
        codes.append(caller.wait(20))
        user.told.unlink()
    assert codes == [130, 130]


def test_a_stopped_caller_stops_its_command(user: User) -> None:
    env = user.served("resident")
    user.use(WAIT)
    # A group of its own, whose parent is in this session: a group that is orphaned ignores a stop, and that of this
    # test may be.
    caller = subprocess.Popen(user.command(), env=env, process_group=0)
    command = running(user)
    caller.send_signal(signal.SIGTSTP)
    processes.wait_for(lambda: _state(caller.pid) == _state(command) == "T", "the stop of both")
    caller.send_signal(signal.SIGCONT)
    processes.wait_for(lambda: _state(command) == _state(caller.pid) == "S", "both to go on")
    caller.send_signal(signal.SIGTERM)
    assert caller.wait(20) == -signal.SIGTERM


def test_an_orphaned_caller_is_not_stopped(user: User) -> None:
    """As the kernel has it for a process whose stop nobody would see; nor is its command."""
    env = user.served("resident")
    user.use(f"#!/bin/sh\necho here > $TOLD; while [ -e $TOLD ]; do sleep 0.01; done\n{NOTHING}")
    caller = subprocess.Popen(user.command(), env=env, start_new_session=True)
    processes.wait_for(user.told.exists, "the command")
    caller.send_signal(signal.SIGTSTP)
    user.told.unlink()
    assert caller.wait(20) == 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
