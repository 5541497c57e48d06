"""Containers with a terminal."""

from __future__ import annotations

from tests.e2e.cli.support import field, terminal
from tests.support.engine import Engine, as_root

pytestmark = as_root()


def test_a_shell(engine: Engine) -> None:
    with terminal(engine, "run", "--rm", "-it", "busybox", "sh") as shell:
        shell.wait_for(b"# ")
        assert shell.is_raw()
        shell.type(b"stty size; tty\r")
        shell.wait_for(b"24 80")
        shell.wait_for(b"/dev/pts/0")
        shell.resize(40, 132)
        shell.type(b"sleep 1; stty size\r")
        shell.wait_for(b"40 132")
        shell.type(b"exit 3\r")
        assert shell.ended() == 3


def test_keys_reach_the_program(engine: Engine) -> None:
    with terminal(engine, "run", "--rm", "-it", "busybox", "sh") as shell:
        shell.wait_for(b"# ")
        shell.type(b"trap 'echo int' INT; sh -c 'echo ready; sleep 100'\r")
        shell.wait_for(b"\r\nready")
        shell.type(b"\x03")
        shell.wait_for(b"# ")
        shell.type(b"\x04")
        assert shell.ended() == 130


def test_detach_and_attach_again(engine: Engine) -> None:
    with terminal(engine, "run", "-it", "--name", "kept", "busybox", "sh") as shell:
        shell.wait_for(b"# ")
        shell.type(b"x=kept\r")
        shell.wait_for(b"# ")
        shell.type(b"\x10\x11")
        assert shell.ended() == 0
    assert field(engine, "kept", "{{.State.Running}}") == "true"
    with terminal(engine, "attach", "kept") as shell:
        shell.type(b"echo was-$x\r")
        shell.wait_for(b"was-kept")
        shell.type(b"exit 4\r")
        assert shell.ended() == 4
    assert field(engine, "kept", "{{.State.ExitCode}}") == "4"


def test_exec_with_a_terminal(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "busy", "busybox", "sleep", "60")
    with terminal(engine, "exec", "-it", "busy", "sh") as shell:
        shell.wait_for(b"# ")
        shell.type(b"stty size\r")
        shell.wait_for(b"24 80")
        shell.type(b"exit 7\r")
        assert shell.ended() == 7
