"""Commands on terminals and pipes, with the resident command server and without: a user sees no difference."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.support import field
from tests.support import processes, resident
from tests.support.engine import BIN, Engine, as_root
from tests.support.terminal import Terminal

pytestmark = as_root()
_TICKS = "i=0; while :; do i=$((i+1)); echo tick-$i-; sleep 0.05; done"


@pytest.fixture(params=["resident", "alone"])
def env(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of a user who has commands run by the server, or does without."""
    with resident.runtime_folder(tmp_path) as runtime:
        env = {**engine.env, "XDG_RUNTIME_DIR": str(runtime)}
        if request.param == "alone":
            env["SCOW_RESIDENT"] = "0"
        else:
            resident.start([str(BIN / "scow"), "--version"], env)
        yield env


@pytest.fixture
def shell(env: dict[str, str]) -> Iterator[Terminal]:
    """An interactive shell on a terminal."""
    env = {**env, "PS1": "ready> ", "PATH": f"{BIN}:{os.environ['PATH']}"}
    with Terminal(["bash", "--norc", "--noediting", "-i"], env) as terminal:
        terminal.wait_for(b"ready> ")
        yield terminal


@pytest.fixture
def ticking(engine: Engine) -> str:
    engine.cli("run", "-d", "--name", "ticking", "busybox", "sh", "-c", _TICKS)
    return "ticking"


def _tick(shell: Terminal) -> None:
    shell.wait_for(b"tick-")


def _commands(name: str) -> list[int]:
    """Return the processes that a command has: what the user started, and the server's."""
    return [
        pid
        for pid in processes.all_pids()
        if processes.name(pid) == "scow" and processes.alive(pid) and name in _all(pid)
    ]


def _all(pid: int) -> str:
    return " ".join(processes.command_line(pid))


def test_an_interrupt_from_the_keyboard(shell: Terminal, ticking: str) -> None:
    shell.type(b"scow logs -f ticking\r")
    _tick(shell)
    shell.type(b"\x03")
    shell.wait_for(b"ready> ")
    shell.type(b"echo code-$?-\r")
    shell.wait_for(b"code-130-")


def test_a_stop_from_the_keyboard_and_fg(shell: Terminal, ticking: str) -> None:
    shell.type(b"scow logs -f ticking\r")
    _tick(shell)
    shell.type(b"\x1a")
    shell.wait_for(b"Stopped")
    shell.wait_for(b"ready> ")
    # What runs on would print between the two.
    shell.type(b"sleep 0.3; echo si''lence\r")
    assert b"tick-" not in shell.text_before(b"silence")
    shell.type(b"fg\r")
    _tick(shell)
    shell.type(b"\x03")
    shell.wait_for(b"ready> ")


def test_a_terminal_that_hangs_up(shell: Terminal, ticking: str) -> None:
    shell.type(b"scow logs -f ticking\r")
    _tick(shell)
    shell.hang_up()
    shell.process.wait(20)
    processes.wait_for(lambda: not _commands("ticking"), "the end of the command")


def test_reading_the_terminal_from_the_background_stops(shell: Terminal, engine: Engine) -> None:
    shell.type(b"scow run --rm -it --name back busybox sh &\r")
    shell.wait_for(b"ready> ")
    shell.type(b"wait %1; jobs\r")
    shell.wait_for(b"Stopped")
    shell.wait_for(b"ready> ")
    assert not shell.is_raw()
    shell.type(b"fg\r")
    shell.wait_for(b"# ")
    shell.type(b"exit 5\r")
    shell.wait_for(b"ready> ")
    shell.type(b"echo code-$?-\r")
    shell.wait_for(b"code-5-")


def test_detaching(shell: Terminal, engine: Engine) -> None:
    shell.type(b"scow run -it --name kept busybox sh\r")
    shell.wait_for(b"# ")
    shell.type(b"\x10\x11")
    shell.wait_for(b"ready> ")
    assert field(engine, "kept", "{{.State.Running}}") == "true"
    shell.type(b"scow attach kept\r")
    shell.type(b"echo again-$((1+1))-\r")
    shell.wait_for(b"again-2-")
    shell.type(b"exit 6\r")
    shell.wait_for(b"ready> ")
    shell.type(b"echo code-$?-\r")
    shell.wait_for(b"code-6-")


def test_a_terminal_that_stops_output_from_the_background(shell: Terminal, ticking: str) -> None:
    shell.type(b"stty tostop; scow logs -f ticking &\r")
    shell.wait_for(b"ready> ")
    shell.type(b"wait %1; jobs\r")
    shell.wait_for(b"Stopped")
    shell.type(b"kill -9 %1; stty -tostop; echo do''ne\r")
    assert b"tick-" not in shell.text_before(b"done")


def test_a_pipe_that_nobody_reads(env: dict[str, str], engine: Engine, ticking: str) -> None:
    line = f'{BIN}/scow logs -f ticking | head -1; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, timeout=60)
    assert done.stdout.split() == [b"tick-1-", b"141"]
    assert done.stderr == b""


def test_input_and_exit_code(env: dict[str, str], engine: Engine) -> None:
    done = subprocess.run(
        [BIN / "scow", "run", "--rm", "-i", "busybox", "sh", "-c", "cat; echo bad >&2; exit 7"],
        env=env,
        input=b"x" * 200_000,
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"x" * 200_000, b"bad\n")


def test_a_signal_reaches_the_container(env: dict[str, str], engine: Engine) -> None:
    script = "trap 'echo got; exit 9' TERM; echo up; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [BIN / "scow", "run", "--rm", "busybox", "sh", "-c", script],
        env=env,
        stdout=subprocess.PIPE,
    ) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"up\n"
        caller.send_signal(signal.SIGTERM)
        assert caller.stdout.read() == b"got\n"
        assert caller.wait(20) == 9


def test_a_pipe_ends_with_the_command(env: dict[str, str], engine: Engine) -> None:
    """Nobody keeps the writing end, so that $(scow ps) ends."""
    line = f"x=$({BIN}/scow ps -q); echo done"
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, timeout=60)
    assert done.stdout == b"done\n"


def test_fifty_lists_at_once(env: dict[str, str], engine: Engine, ticking: str) -> None:
    wanted = engine.cli("ps", "-q").stdout
    callers = [
        subprocess.Popen([BIN / "scow", "ps", "-q"], env=env, stdout=subprocess.PIPE, text=True)
        for _ in range(50)
    ]
    for caller in callers:
        assert caller.communicate(timeout=60)[0] == wanted
        assert caller.returncode == 0


def test_what_common_commands_import_is_loaded_before(engine: Engine) -> None:
    """A module that a command imports by itself costs each command its time."""
    code = """
import sys
from scow.cli.resident import program
program.load()
loaded = set(sys.modules)
from scow.cli.__main__ import command
for line in sys.argv[1:]:
    assert command(line.split()) == 0
new = {name for name in sys.modules if name.startswith(("scow", "grpc", "google"))} - loaded
print(sorted(new), file=sys.stderr)
"""
    lines = ["ps", "ps -a --format json", "images", "inspect busybox", "run --rm busybox true"]
    lines += ["volume ls", "network ls", "info", "version"]
    done = subprocess.run(
        [BIN / "python", "-c", code, *lines],
        env=engine.env,
        capture_output=True,
        text=True,
    )
    assert done.stderr == "[]\n"
