"""The foreground on a real terminal: raw mode, detach keys, window size, signals, a restarting service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2_grpc import ContainerServiceServicer
from tests.support import processes
from tests.support.processes import wait_for
from tests.support.terminal import Terminal as BaseTerminal
from tests.unit.client.toy import serving

Context = grpc.ServicerContext
_SECONDS = 20.0


class Containers(ContainerServiceServicer):
    """A container that gives back what is typed, until it reads `q`."""

    def __init__(self) -> None:
        self.signals: list[str] = []
        self.sizes: list[tuple[int, int]] = []
        self.opened: list[pb.AttachRequest.Open] = []
        self.closed_stdin = threading.Event()
        self.end = threading.Event()
        self.cut = False
        self.ignores_eof = False

    def Create(self, request: pb.CreateRequest, context: Context) -> pb.CreateResponse:  # noqa: N802
        return pb.CreateResponse(container=pb.Container(id="c1"))

    def Get(self, request: pb.GetRequest, context: Context) -> pb.GetResponse:  # noqa: N802
        config = pb.ContainerConfig(tty=True, stdin_open=True)
        return pb.GetResponse(container=pb.Container(id="c1", config=config))

    def Kill(self, request: pb.KillRequest, context: Context) -> pb.KillResponse:  # noqa: N802
        self.signals.append(request.signal)
        self.end.set()
        return pb.KillResponse()

    def Attach(  # noqa: N802
        self, requests: Iterator[pb.AttachRequest], context: Context
    ) -> Iterator[pb.AttachResponse]:
        opened = next(requests).open
        self.opened.append(opened)
        yield pb.AttachResponse(attached=True)
        yield pb.AttachResponse(stdout=b"ready\r\n")
        if self.cut:
            self.cut = False
            context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")
        if not opened.stdin:
            self.end.wait(_SECONDS)
            yield pb.AttachResponse(exit=pb.AttachResponse.Exit(code=143))
            return
        for request in requests:
            kind = request.WhichOneof("message")
            if kind == "resize":
                self.sizes.append((request.resize.rows, request.resize.columns))
            elif kind == "close_stdin":
                self.closed_stdin.set()
                if self.ignores_eof:
                    continue
                break
            elif b"q" in request.stdin:
                break
            else:
                yield pb.AttachResponse(stdout=b"<" + request.stdin + b">")
        yield pb.AttachResponse(exit=pb.AttachResponse.Exit(code=5))


class Terminal(BaseTerminal):
    """A terminal with a command line that runs on it."""

    def __init__(self, host: str, *arguments: str) -> None:
        super().__init__([sys.executable, "-m", "scow.cli", "-H", host, *arguments])


@pytest.fixture
def containers() -> Containers:
    return Containers()  # type: ignore[abstract]  # without what is not called


@pytest.fixture
def host(tmp_path: Path, containers: Containers) -> Iterator[str]:
    with serving(tmp_path, containers):
        yield f"unix://{tmp_path}"


@pytest.fixture
def run_tty(host: str) -> Iterator[Terminal]:
    terminal = Terminal(host, "run", "-it", "busybox")
    yield terminal
    terminal.close()


def test_what_is_typed_goes_to_the_process_unchanged(
    run_tty: Terminal, containers: Containers
) -> None:
    run_tty.wait_for(b"ready")
    assert run_tty.is_raw()
    run_tty.type(b"a\x03\r")
    run_tty.wait_for(b"<a\x03\r>")
    run_tty.type(b"q")
    assert run_tty.ended() == 5
    size = containers.opened[0].window_size
    assert (size.rows, size.columns) == (24, 80)


def test_detach_keys_leave_the_container_running(run_tty: Terminal, containers: Containers) -> None:
    run_tty.wait_for(b"ready")
    run_tty.type(b"a\x10")
    run_tty.wait_for(b"<a>")
    run_tty.type(b"\x11")
    assert run_tty.ended() == 0
    assert containers.signals == []


def test_a_resized_window_is_told(run_tty: Terminal, containers: Containers) -> None:
    run_tty.wait_for(b"ready")
    run_tty.resize(50, 120)
    deadline = time.monotonic() + _SECONDS
    while (50, 120) not in containers.sizes:
        assert time.monotonic() < deadline, containers.sizes
        time.sleep(0.02)


def _has_signals(containers: Containers, count: int) -> bool:
    return len(containers.signals) == count


def test_signals_go_to_a_process_with_a_terminal(run_tty: Terminal, containers: Containers) -> None:
    run_tty.wait_for(b"ready")
    sent = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT]
    for count, number in enumerate(sent, 1):
        run_tty.process.send_signal(number)
        wait_for(partial(_has_signals, containers, count), f"signal {number!r}")
    assert containers.signals == [number.name for number in sent]
    assert run_tty.is_raw()
    run_tty.type(b"q")
    assert run_tty.ended() == 5


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGALRM]
)
@pytest.mark.parametrize(
    "words", [["attach"], ["start", "-ai"], ["run", "-it", "--sig-proxy=false"]]
)
def test_a_signal_gives_the_terminal_back(
    host: str, containers: Containers, words: list[str], number: signal.Signals
) -> None:
    with Terminal(host, *words, "busybox") as terminal:
        terminal.wait_for(b"ready")
        terminal.process.send_signal(number)
        assert terminal.ended() == 128 + number
    assert containers.signals == []


def test_a_terminal_that_hangs_up_ends_the_command_line(
    run_tty: Terminal, containers: Containers
) -> None:
    containers.ignores_eof = True  # and it does not end of the signal
    run_tty.wait_for(b"ready")
    run_tty.hang_up()
    assert run_tty.process.wait(_SECONDS) == 128 + signal.SIGHUP
    assert containers.signals[0] == "SIGHUP"  # the kernel sends SIGCONT after it


def test_a_suspended_command_line_gives_the_terminal_back(host: str, tmp_path: Path) -> None:
    script = f"{sys.executable} -m scow.cli -H {host} run -it busybox; stty -a; echo stopped; fg"
    with BaseTerminal(["sh", "-mc", script]) as terminal:
        terminal.wait_for(b"ready")
        (command,) = processes.children(terminal.process.pid)
        os.kill(command, signal.SIGTSTP)
        terminal.wait_for(b" icanon")
        terminal.wait_for(b"stopped")
        wait_for(terminal.is_raw, "the terminal to be raw again")
        terminal.type(b"xq")
        assert terminal.ended() == 5


def test_input_goes_on_after_the_service_restarted(host: str, containers: Containers) -> None:
    containers.cut = True
    terminal = Terminal(host, "run", "-it", "busybox")
    try:
        terminal.wait_for(b"ready")
        terminal.wait_for(b"ready")
        terminal.type(b"x")
        terminal.wait_for(b"<x>")
        terminal.type(b"q")
        assert terminal.ended() == 5
    finally:
        terminal.close()
    # Started once; afterwards only attached.
    assert [opened.start for opened in containers.opened] == [True, False]


def _run(host: str, *arguments: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "scow.cli", "-H", host, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,
    )


def _read(process: subprocess.Popen[bytes], text: bytes) -> None:
    assert process.stdout is not None
    assert text in process.stdout.readline()


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "SIGINT"), (signal.SIGUSR1, "SIGUSR1")]
)
def test_signals_go_to_a_process_without_a_terminal(
    host: str, containers: Containers, number: signal.Signals, name: str
) -> None:
    with _run(host, "run", "busybox") as process:
        _read(process, b"ready")
        process.send_signal(number)
        assert process.wait(_SECONDS) == 143
    assert containers.signals == [name]


def test_signals_end_the_command_line_where_they_are_not_passed_on(
    host: str, containers: Containers
) -> None:
    with _run(host, "run", "--sig-proxy=false", "busybox") as process:
        _read(process, b"ready")
        process.send_signal(signal.SIGINT)
        assert process.wait(_SECONDS) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert containers.signals == []


def test_input_of_a_pipe_and_its_end(host: str, containers: Containers) -> None:
    with _run(host, "run", "-i", "busybox", stdin=subprocess.PIPE) as process:
        out, _ = process.communicate(b"hello", timeout=_SECONDS)
    assert out == b"ready\r\n<hello>"
    assert containers.closed_stdin.is_set()
    assert process.returncode == 5


def test_a_terminal_is_needed_where_one_is_asked_for(host: str) -> None:
    with _run(host, "run", "-it", "busybox", stdin=subprocess.DEVNULL) as process:
        _, err = process.communicate(timeout=_SECONDS)
    assert process.returncode == 1
    assert b"the input device is not a TTY" in err
