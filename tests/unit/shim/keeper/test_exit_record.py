"""The files of a state directory."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from scow.contract.shim_files import Exit, State
from scow.kernel import identity
from scow.shim.keeper import exit_record


def test_records_come_back(tmp_path: Path) -> None:
    assert Exit.read(str(tmp_path)) is None
    assert State.read(str(tmp_path)) is None
    record = Exit(137, 9, 123, True, "why")
    state = State("x", "1", 1, 2, 3, 4, ["/c"], ["w"])
    exit_record.write_exit(str(tmp_path), record)
    exit_record.write_state(str(tmp_path), state)
    assert Exit.read(str(tmp_path)) == record
    assert State.read(str(tmp_path)) == state
    assert sorted(os.listdir(tmp_path)) == ["exit.json", "state.json"]


def test_fields_of_another_version_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "exit.json").write_text('{"code": 1, "signal": 0, "time_ns": 2, "mood": "good"}')
    assert Exit.read(tmp_path) == Exit(1, 0, 2)


def test_statuses() -> None:
    for command, code, number in (("exit 7", 7, 0), ("kill -TERM $$", 143, signal.SIGTERM)):
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], os.environ)
        _, status = os.waitpid(pid, 0)
        made = exit_record.from_status(status)
        assert (made.code, made.signal, made.oom_killed, made.error) == (code, number, False, "")


def test_start_ticks_of_a_name_with_parentheses(tmp_path: Path) -> None:
    program = tmp_path / "a) b ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "10"]) as process:
        first = identity.start_ticks(process.pid)
        assert first >= identity.start_ticks(os.getpid()) > 0
        process.kill()
    assert identity.start_ticks(process.pid) == 0
