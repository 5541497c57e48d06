"""What a command of the resident server has from its caller, and nothing of others."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes, resident
from tests.support.engine import BIN
from tests.unit.cli.resident.user import WAYS, User


def test_the_probe_tells_ways_apart(user: User) -> None:
    assert "resident.server" in str(user.look(user.served("resident"))["ancestor"])
    assert "resident.server" not in str(user.look(user.served("alone"))["ancestor"])


def _ignore_and_block() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 600))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _nicer() -> None:
    os.nice(5)
    Path("/proc/self/oom_score_adj").write_text("500")


def _umask() -> None:
    os.umask(0o137)


@pytest.mark.parametrize("prepare", [_umask, _ignore_and_block, _limits, _nicer])
def test_what_a_command_has_from_its_parent(user: User, prepare: object, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    told = []
    for way in WAYS:
        env = {**user.served(way), "FRESH": way, "EMPTY": ""}
        found = user.look(env, preexec_fn=prepare, cwd=folder)
        found.pop("ancestor")
        environment = found["environment"]
        assert isinstance(environment, dict)
        assert environment.pop("FRESH") == way
        environment.pop("SCOW_RESIDENT", None)
        told.append(found)
    assert told[0] == told[1]
    assert told[0]["folder"] == str(folder)


def test_nothing_of_one_caller_is_in_the_next_ones_command(user: User) -> None:
    env = user.served("resident")
    user.look({**env, "SECRET": "of the first"})
    environment = user.look(env)["environment"]
    assert isinstance(environment, dict)
    assert "SECRET" not in environment
    server = resident.ready(user.runtime)
    for pid in (server, *processes.children(server)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            assert b"TOLD" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_deleted_directory(user: User, tmp_path: Path) -> None:
    for way in WAYS:
        env = user.served(way)
        folder = tmp_path / "gone"
        folder.mkdir()
        done = subprocess.run(
            ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *user.command()],
            cwd=folder,
            env=env,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "No such file" in json.loads(user.told.read_text())["folder"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_descriptor(user: User, way: str, closed: int) -> None:
    line = f"{BIN}/scow nonsense {closed}>&-; echo $? >&3"
    read, write = os.pipe()
    subprocess.run(
        ["bash", "-c", f"exec 3>&{write}; {line}"],
        env=user.served(way),
        pass_fds=[write],
        capture_output=True,
        check=False,
    )
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() == "1\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_a_descriptor(user: User, way: str) -> None:
    """Bash's <(...) is /dev/fd/63, which the command must have."""
    env = user.served(way)
    for number in (5, 200):
        _read_from(f"exec {number}< <(echo 'bad line')", f"/dev/fd/{number}", env)
    _read_from(":", "<(echo 'bad line')", env)


def _read_from(before: str, file: str, env: dict[str, str]) -> None:
    line = f"{before}; {BIN}/scow run --env-file {file} x"
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, check=False)
    assert b"bad line" in done.stderr


def test_exit_codes_and_messages_are_the_same(user: User) -> None:
    for arguments in (["--help"], ["nope"], ["run", "--nope"], ["ps"], ["help", "run"], []):
        seen = []
        for way in WAYS:
            env = {**user.served(way), "SCOW_HOST": "unix:///nonexistent"}
            done = subprocess.run(
                [str(BIN / "scow"), *arguments], env=env, capture_output=True, check=False
            )
            seen.append((done.returncode, done.stdout, done.stderr))
        assert seen[0] == seen[1]


def test_the_script_of_an_installer_works_as_well(user: User) -> None:
    """That of the entry point, which starts the interpreter with everything."""
    code = "import sys; from scow.cli.resident.caller import main; sys.exit(main())"
    for way in ("cold", *WAYS):
        env = user.env if way == "cold" else user.served(way)
        command = [sys.executable, "-c", code, "logout", "registry.example"]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        ancestor = json.loads(user.told.read_text())["ancestor"]
        assert ("resident.server" in ancestor) == (way == "resident")
