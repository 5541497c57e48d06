"""Who may be served by a resident server, and where its socket may be."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import processes, resident
from tests.unit.cli.resident.user import User, version


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_folder_that_others_may_enter_is_not_used(user: User, mode: int) -> None:
    folder = user.runtime / resident.FOLDER
    folder.mkdir()
    folder.chmod(mode)
    assert version(user.env) == 0
    assert not list(folder.iterdir())


def test_a_folder_of_somebody_else_is_not_used(user: User) -> None:
    folder = user.runtime / resident.FOLDER
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    assert version(user.env) == 0
    assert not list(folder.iterdir())
    folder.rmdir()
    folder.symlink_to(user.base / "bin")
    assert version(user.env) == 0


def test_nobody_else_can_reach_a_server(user: User) -> None:
    user.served("resident")
    folder = user.runtime / resident.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (path,) = folder.iterdir()
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077


_OTHER_USER = [
    *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"),
    # To get at the folder, as nobody can who is not root.
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
]
_CONNECT = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print(connection.recv(5).decode()[:1])
"""
_PRETEND = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
connection, _ = listener.accept()
print(connection.recv(1 << 20))
"""


def test_another_user_is_not_served(user: User) -> None:
    user.served("resident")
    (path,) = (user.runtime / resident.FOLDER).iterdir()
    done = subprocess.run(
        [*_OTHER_USER, sys.executable, "-c", _CONNECT, path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "n\n"


def test_a_server_of_another_user_gets_nothing(user: User) -> None:
    env = user.served("resident")
    (path,) = (user.runtime / resident.FOLDER).iterdir()
    processes.kill(resident.ready(user.runtime))
    path.unlink()
    command = [*_OTHER_USER, sys.executable, "-c", _PRETEND, path.name]
    with subprocess.Popen(command, cwd=path.parent, stdout=subprocess.PIPE, text=True) as pretender:
        assert pretender.stdout is not None
        assert pretender.stdout.readline() == "listens\n"
        assert version({**env, "SECRET": "mine"}) == 0
        assert pretender.stdout.read() == "b''\n"


def test_server_and_waiting_processes_have_one_thread(user: User) -> None:
    """So that the one may fork, and that nothing reads an environment while the others replace theirs."""
    user.served("resident")
    user.look(user.env)  # those that were there have rehearsed
    server = resident.ready(user.runtime)
    for pid in (server, *processes.children(server)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            assert "Threads:\t1\n" in Path(f"/proc/{pid}/status").read_text()


def test_other_rights_are_not_served(user: User) -> None:
    """Root without its capabilities, in the same folder, runs its command by itself."""
    env = user.served("resident")
    dropped = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    done = subprocess.run([*dropped, *user.command()], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(user.told.read_text())
    assert int(told["status"]["CapEff"], 16) == 0
    assert told["status"]["NoNewPrivs"] == "1"


def test_another_network_namespace_is_not_served(user: User) -> None:
    env = user.served("resident")
    done = subprocess.run(
        ["unshare", "--net", *user.command()], env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(user.told.read_text())["net"] != os.readlink("/proc/self/ns/net")
