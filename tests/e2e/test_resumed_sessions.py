"""kill -9 of the container service under clients that are attached: each byte comes once, or they are told of it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.engine import BIN, Engine

# Numbers on both streams, some in lines that are begun long before they end; the last ones once a file is there.
_COUNT = """
i=0
while [ ! -e /tmp/enough ]; do
    printf "$i "; echo "e$i" >&2; i=$((i+1))
    [ $((i % 10)) = 0 ] && echo
    usleep 1000
done
echo end; exit 7
"""


class Client:
    """A command with its output in files."""

    def __init__(self, engine: Engine, folder: Path, *arguments: str) -> None:
        self._files = folder / "out", folder / "err"
        with self._files[0].open("wb") as out, self._files[1].open("wb") as err:
            self._process = subprocess.Popen(
                [BIN / "scow", *arguments],
                env=engine.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def output(self) -> str:
        return self._files[0].read_text()

    @property
    def errors(self) -> str:
        return self._files[1].read_text()

    def wait_for(self, text: str) -> None:
        processes.wait_for(lambda: text in self.output, f"{text} of {self.errors[-500:]}")

    def wait_for_more(self) -> None:
        size = len(self.output)
        processes.wait_for(lambda: len(self.output) > size + 100, f"more: {self.errors[-500:]}")

    def wait(self) -> int:
        return self._process.wait(60)


def kill_often(engine: Engine, client: Client, times: int = 3) -> None:
    for _ in range(times):
        client.wait_for_more()
        engine.kill_service("container")
    client.wait_for_more()
    engine.wait_healthy()


@contextlib.contextmanager
def without_service(engine: Engine) -> Iterator[None]:
    """Kill the container service, which is started again at the end of the block; that must not take seconds."""
    service = engine.service_pid("container")
    os.kill(engine.pid, signal.SIGSTOP)
    try:
        processes.kill(service)
        yield
    finally:
        os.kill(engine.pid, signal.SIGCONT)
    engine.wait_healthy()


def ticks(pid: str) -> int:
    """Return how often a process wrote (proc(5), io)."""
    text = Path(f"/proc/{pid}/io").read_text()
    return int(dict(line.split(": ") for line in text.splitlines())["syscw"])


def check_whole(client: Client, code: int) -> None:
    assert client.wait() == code, client.errors
    numbers = client.output.split()
    assert numbers == [*map(str, range(len(numbers) - 1)), "end"]
    assert client.errors.split() == [f"e{number}" for number in range(len(numbers) - 1)]


@pytest.mark.parametrize("options", [(), ("--log-opt", "max-size=20k", "--log-opt", "max-file=9")])
def test_an_attached_run_gets_every_byte_once(
    own_engine: Engine, tmp_path: Path, options: Sequence[str]
) -> None:
    client = Client(
        own_engine, tmp_path, "run", "--name", "counting", *options, "busybox", "sh", "-c", _COUNT
    )
    kill_often(own_engine, client)
    _stop_counting(own_engine)
    check_whole(client, 7)
    own_engine.cli("rm", "counting")


def _stop_counting(engine: Engine) -> None:
    """Let the container end, which may kill the command that tells it to."""
    done = engine.cli("exec", "counting", "touch", "/tmp/enough", check=False)
    assert done.returncode in (0, 128 + signal.SIGKILL), done.stderr


def test_a_run_that_is_removed_gets_every_byte_once(own_engine: Engine, tmp_path: Path) -> None:
    client = Client(
        own_engine, tmp_path, "run", "--rm", "--name", "counting", "busybox", "sh", "-c", _COUNT
    )
    kill_often(own_engine, client)
    _stop_counting(own_engine)
    check_whole(client, 7)


@pytest.mark.parametrize("remove", [False, True], ids=["kept", "removed"])
def test_an_end_while_the_engine_is_away(own_engine: Engine, tmp_path: Path, remove: bool) -> None:
    """What was written last comes from the log, and the exit code from the record."""
    script = "echo first; while [ ! -e /tmp/go ]; do usleep 10000; done; sleep 1; echo last; exit 5"
    options = ["--rm"] if remove else []
    client = Client(
        own_engine, tmp_path, "run", "--name", "counting", *options, "busybox", "sh", "-c", script
    )
    client.wait_for("first")
    pid = int(own_engine.cli("inspect", "-f", "{{.State.Pid}}", "counting").stdout)
    own_engine.cli("exec", "counting", "touch", "/tmp/go")
    with without_service(own_engine):
        processes.wait_for(lambda: not processes.alive(pid), "the end of the container")
    assert client.wait() == 5
    assert client.output == "first\nlast\n"
    assert client.errors == ""
    if remove:
        assert own_engine.cli("ps", "-aq").stdout == ""
    else:
        own_engine.cli("rm", "counting")


@pytest.mark.parametrize(
    "options",
    [("--log-driver", "none"), ("--log-opt", "max-size=4k", "--log-opt", "max-file=1")],
    ids=["no log", "rotated away"],
)
def test_what_is_missing_is_told(
    own_engine: Engine, tmp_path: Path, options: Sequence[str]
) -> None:
    client = Client(
        own_engine, tmp_path, "run", "--name", "counting", *options, "busybox", "sh", "-c", _COUNT
    )
    client.wait_for_more()
    pid = own_engine.cli("inspect", "-f", "{{.State.Pid}}", "counting").stdout.strip()
    with without_service(own_engine):
        calls = ticks(pid)
        processes.wait_for(lambda: ticks(pid) > calls + 1000, "much output")
    client.wait_for_more()
    _stop_counting(own_engine)
    assert client.wait() == 7
    told = re.findall(r"scow: (\d+) bytes of output are missing: .*\n", client.errors)
    assert told, client.errors[-500:]
    # What came and what is told to be missing is all there was.
    errors = re.sub(r"scow: .*\n", "", client.errors)
    numbers = client.output.removesuffix("end\n").split()
    count = int(re.findall(r"e(\d+)\n", errors)[-1]) + 1
    everything = "".join(f"{n} " + "\n" * (n % 10 == 9) for n in range(count)) + "end\n"
    both = len(everything) + sum(len(f"e{n}\n") for n in range(count))
    assert len(client.output) + len(errors) + sum(map(int, told)) == both
    assert len(numbers) < count
    own_engine.cli("rm", "counting")


def test_an_exec_gets_every_byte_once(own_engine: Engine, tmp_path: Path) -> None:
    own_engine.cli("run", "-d", "--name", "counting", "busybox", "sleep", "1000")
    client = Client(own_engine, tmp_path, "exec", "counting", "sh", "-c", _COUNT)
    kill_often(own_engine, client)
    _stop_counting(own_engine)
    check_whole(client, 7)
    own_engine.cli("rm", "-f", "counting")


def test_an_exec_that_ends_while_the_engine_is_away(own_engine: Engine, tmp_path: Path) -> None:
    own_engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    script = "echo first; while [ ! -e /tmp/go ]; do usleep 10000; done; echo last; exit 5"
    client = Client(own_engine, tmp_path, "exec", "box", "sh", "-c", script)
    client.wait_for("first")
    init = own_engine.cli("inspect", "-f", "{{.State.Pid}}", "box").stdout.strip()
    with without_service(own_engine):
        Path(f"/proc/{init}/root/tmp/go").touch()
        children = Path(f"/proc/{init}/root/proc")
        processes.wait_for(
            lambda: len([p for p in children.iterdir() if p.name.isdigit()]) == 1, "its end"
        )
    assert client.wait() == 5
    assert (client.output, client.errors) == ("first\nlast\n", "")
    own_engine.cli("rm", "-f", "box")


def test_what_is_missing_of_an_exec_is_told(own_engine: Engine, tmp_path: Path) -> None:
    """More than is kept was written while nobody was connected."""
    own_engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    script = (
        "echo first; while [ ! -e /tmp/go ]; do usleep 10000; done; seq 200000; touch /tmp/done"
    )
    script += "; while [ ! -e /tmp/end ]; do usleep 10000; done; exit 6"
    client = Client(own_engine, tmp_path, "exec", "box", "sh", "-c", script)
    client.wait_for("first")
    root = Path(
        "/proc", own_engine.cli("inspect", "-f", "{{.State.Pid}}", "box").stdout.strip(), "root/tmp"
    )
    with without_service(own_engine):
        (root / "go").touch()
        processes.wait_for((root / "done").exists, "much output")
    client.wait_for("\n200000\n")
    (root / "end").touch()
    assert client.wait() == 6
    (told,) = re.findall(r"scow: (\d+) bytes of output are missing: .*\n", client.errors)
    everything = "first\n" + "".join(f"{number}\n" for number in range(1, 200_001))
    assert int(told) + len(client.output) == len(everything)
    assert everything.endswith(client.output.removeprefix("first\n"))
    own_engine.cli("rm", "-f", "box")


def test_one_to_be_removed_that_nobody_comes_back_to(own_engine: Engine) -> None:
    """It stays a moment longer than clients try to come back, and is then removed."""
    script = "while [ ! -e /tmp/go ]; do usleep 10000; done"
    own_engine.cli("run", "-d", "--rm", "--name", "alone", "busybox", "sh", "-c", script)
    pid = int(own_engine.cli("inspect", "-f", "{{.State.Pid}}", "alone").stdout)
    with without_service(own_engine):
        Path(f"/proc/{pid}/root/tmp/go").touch()
        processes.wait_for(lambda: not processes.alive(pid), "the end of the container")
    processes.wait_for(lambda: own_engine.cli("ps", "-aq").stdout == "", "the removal")
