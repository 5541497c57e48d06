import asyncio
import json
import os
from pathlib import Path

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.types.v1 import errors_pb2
from scow.container.runtime import shim
from scow.contract import frames
from scow.contract.errors import CommandNotFound, ContainerNotRunning, ShimDied
from scow.contract.shim_files import Exit, State


def write_state(folder: Path, pid: int, ticks: int) -> None:
    state = State("a" * 64, "1", pid, ticks, warnings=["w"])
    (folder / "state.json").write_bytes(state.encode())


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
    assert shim.ending(tmp_path) == Exit(137, 9, 5, True)


def test_warnings(tmp_path: Path) -> None:
    assert shim.warnings(tmp_path) == []
    write_state(tmp_path, 1, 1)
    assert shim.warnings(tmp_path) == ["w"]


async def test_a_shim_that_does_not_answer_is_dead_for_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ShimDied) as raised:
        await shim.Shim("a" * 64, tmp_path / "none", tmp_path).kill(9)
    assert raised.value.which == "a" * 64


async def test_a_shim_that_has_ended_tells_by_its_record(tmp_path: Path) -> None:
    record = {"code": 3, "signal": 0, "time_ns": 5, "oom_killed": False, "error": ""}
    (tmp_path / "exit.json").write_text(json.dumps(record))
    ended = shim.Shim("a" * 64, tmp_path / "none", tmp_path)
    with pytest.raises(ContainerNotRunning):
        await ended.pause()
    assert await ended.ended() == Exit(3, 0, 5)


async def test_what_a_shim_says_keeps_its_class(tmp_path: Path) -> None:
    said = CommandNotFound("no such command", which="nope")
    error = errors_pb2.Status.FromString(said.to_details())

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        result = pb.Result(error=error).SerializeToString()
        writer.write(frames.frame(frames.RESPONSE, result))
        writer.close()

    server = await asyncio.start_unix_server(answer, tmp_path / "sock")
    async with server:
        with pytest.raises(CommandNotFound) as raised:
            await shim.Shim("a", tmp_path / "sock", tmp_path).kill(9)
    assert raised.value.which == "nope"
