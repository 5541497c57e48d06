"""Servers and processes of commands that are killed, silent or many."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support import processes, resident
from tests.support.engine import BIN
from tests.unit.cli.resident.user import NOTHING, WAIT, WAYS, User, running, version


def test_a_command_outlives_the_server(user: User) -> None:
    env = user.served("resident")
    user.use(f"#!/bin/sh\necho here > $TOLD; while [ -e $TOLD ]; do sleep 0.01; done\n{NOTHING}")
    caller = subprocess.Popen(user.command(), env=env)
    processes.wait_for(user.told.exists, "the command")
    processes.kill(resident.ready(user.runtime))
    user.told.unlink()
    assert caller.wait(20) == 0


def test_a_command_that_is_lost_with_the_server_is_told(user: User) -> None:
    env = user.served("resident")
    user.use(WAIT)
    caller = subprocess.Popen(user.command(), env=env, stderr=subprocess.PIPE)
    command = running(user)
    processes.kill(resident.ready(user.runtime))
    processes.kill(command)
    _, message = caller.communicate(timeout=20)
    assert caller.returncode == 1
    assert b"how far the command went is not known" in message


def test_a_killed_process_of_a_command(user: User) -> None:
    env = user.served("resident")
    user.use(WAIT)
    caller = subprocess.Popen(user.command(), env=env)
    processes.kill(running(user), signal.SIGSEGV)
    assert caller.wait(20) == -signal.SIGSEGV


@pytest.mark.parametrize("killed", ["server", "spares", "all"])
def test_a_server_that_was_killed(user: User, killed: str) -> None:
    env = user.served("resident")
    server = resident.ready(user.runtime)
    spares = processes.children(server)
    for pid in {"server": [server], "spares": spares, "all": [server, *spares]}[killed]:
        processes.kill(pid)
    for _ in range(3):
        assert version(env) == 0
    resident.start([str(BIN / "scow"), "--version"], env)


def test_servers_and_spares_killed_all_the_time(user: User) -> None:
    """Whenever it is, the command runs once and rightly."""
    env = user.served("resident")
    user.use(f"#!/bin/sh\necho once >> $TOLD\n{NOTHING}")
    for round_ in range(40):
        told = user.base / f"told-{round_}"
        caller = subprocess.Popen(user.command(), env={**env, "TOLD": str(told)})
        time.sleep(round_ * 0.0005)  # another moment each time
        for server in resident.servers(user.runtime):
            idle = [pid for pid in processes.children(server) if not processes.children(pid)]
            for pid in (server, *idle)[: 1 + round_ % 3]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        code = caller.wait(20)
        # It may have been the command's own process.
        assert code in (0, 1, -signal.SIGKILL)
        lines = told.read_text().splitlines() if told.exists() else []
        assert lines == ["once"] or (code != 0 and lines == [])


def test_a_server_that_does_not_answer(user: User) -> None:
    env = user.served("resident")
    server = resident.ready(user.runtime)
    stopped = [server, *processes.children(server)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    assert version(env) == 0
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert version(env) == 0


def test_fifty_commands_at_once(user: User) -> None:
    for way in ("cold", *WAYS):
        env = user.env if way == "cold" else user.served(way)
        callers = [
            subprocess.Popen(
                [BIN / "scow", f"--{number}"], env=env, stderr=subprocess.PIPE, text=True
            )
            for number in range(50)
        ]
        for number, caller in enumerate(callers):
            _, message = caller.communicate(timeout=60)
            assert caller.returncode == 125
            assert message.count(f"unknown flag: --{number}\n") == 1  # not run twice
        if way == "cold":
            resident.ready(user.runtime)  # one, and no more


def test_a_disk_that_is_full(user: User, tmp_path: Path) -> None:
    """Of the runtime folder: the commands run; of the output: the message and code are the same."""
    mount = tmp_path / "full"
    mount.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "none", mount], check=True)
    try:
        assert version({**user.env, "XDG_RUNTIME_DIR": str(mount)}) == 0
    finally:
        subprocess.run(["umount", mount], check=True)
    seen = []
    for way in WAYS:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [BIN / "scow", "--help"], env=user.served(way), stdout=full, stderr=subprocess.PIPE
            )
        seen.append((done.returncode, done.stderr))
    assert seen[0] == seen[1]
    assert seen[0][0] == 1
