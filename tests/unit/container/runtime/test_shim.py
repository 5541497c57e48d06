import json
import os
from pathlib import Path

import grpc

from scow.container.runtime import shim
from scow.contract.errors import CommandNotFound, ShimDied


def write_state(folder: Path, pid: int, ticks: int) -> None:
    record = {"shim_pid": pid, "shim_start_ticks": ticks, "warnings": ["w"]}
    (folder / "state.json").write_text(json.dumps(record))


def ticks(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])


def test_a_shim_lives_when_its_pid_is_still_its_own(tmp_path: Path) -> None:
    assert not shim.lives(tmp_path)
    write_state(tmp_path, os.getpid(), ticks(os.getpid()))
    assert shim.lives(tmp_path)
    write_state(tmp_path, os.getpid(), ticks(os.getpid()) - 1)
    assert not shim.lives(tmp_path)
    write_state(tmp_path, 2**22 + 1, 5)
    assert not shim.lives(tmp_path)


def test_a_zombie_does_not_live(tmp_path: Path) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    write_state(tmp_path, pid, ticks(pid))
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not shim.lives(tmp_path)
    os.waitpid(pid, 0)


def test_the_exit_record(tmp_path: Path) -> None:
    assert shim.ending(tmp_path) is None
    record = {"code": 137, "signal": 9, "time_ns": 5, "oom_killed": True, "error": ""}
    (tmp_path / "exit.json").write_text(json.dumps(record))
    assert shim.ending(tmp_path) == shim.Ending(137, 5, True, "")


def test_warnings(tmp_path: Path) -> None:
    assert shim.warnings(tmp_path) == []
    write_state(tmp_path, 1, 1)
    assert shim.warnings(tmp_path) == ["w"]


def failure(code: grpc.StatusCode, trailing: grpc.aio.Metadata) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="text")


def test_a_shim_that_does_not_answer_is_dead_for_the_caller() -> None:
    error = shim.shim_error("a" * 64, failure(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata()))
    assert isinstance(error, ShimDied)
    assert error.which == "a" * 64


def test_what_a_shim_says_keeps_its_class() -> None:
    said = CommandNotFound("no such command", which="nope")
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", said.to_details()))
    error = shim.shim_error("a", failure(grpc.StatusCode.FAILED_PRECONDITION, trailing))
    assert isinstance(error, CommandNotFound)
    assert error.which == "nope"
