"""The files of a state directory."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from scow.shim import exitrecord
from scow.shim.exitrecord import Exit, State


def test_records_come_back(tmp_path: Path) -> None:
    assert exitrecord.read_exit(str(tmp_path)) is None
    assert exitrecord.read_state(str(tmp_path)) is None
    record = Exit(137, 9, 123, True, "why")
    state = State("x", "1", 1, 2, 3, 4, ["/c"], ["w"])
    exitrecord.write_exit(str(tmp_path), record)
    exitrecord.write_state(str(tmp_path), state)
    assert exitrecord.read_exit(str(tmp_path)) == record
    assert exitrecord.read_state(str(tmp_path)) == state
    assert sorted(os.listdir(tmp_path)) == ["exit.json", "state.json"]


def test_statuses() -> None:
    for command, code, number in (("exit 7", 7, 0), ("kill -TERM $$", 143, signal.SIGTERM)):
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ)
        _, status = os.waitpid(pid, 0)
        made = exitrecord.from_status(status)
        assert (made.code, made.signal, made.oom_killed, made.error) == (code, number, False, "")


def test_start_ticks_of_a_name_with_parentheses(tmp_path: Path) -> None:
    program = tmp_path / "a) b ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "10"]) as process:
        first = exitrecord.start_ticks(process.pid)
        assert first >= exitrecord.start_ticks(os.getpid()) > 0
        process.kill()
    assert exitrecord.start_ticks(process.pid) == 0
