"""Exec sessions: who they are, what they see, how they end."""

from __future__ import annotations

import signal

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.contract.errors import ScowError
from tests.integration.shim.bundles import DEFAULT_SECCOMP, config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import SECONDS, Box, reason
from tests.support.processes import alive, wait_for


@pytest.fixture
def running(box: MakeBox) -> Box:
    made = config(args=["sleep", "1000"], env=["PATH=/bin", "WHO=container"])
    made["process"]["cwd"] = "/var/www"
    made["linux"]["seccomp"] = DEFAULT_SECCOMP
    return box(made).start()


def test_it_inherits_environment_and_directory(running: Box) -> None:
    assert running.output("sh", "-c", "echo $WHO $PWD") == "container /var/www"


def test_its_own_environment_directory_user_and_groups(running: Box) -> None:
    text = running.output(
        "sh", "-c", "echo $A $HOME $PWD; id -u; id -g; id -G",
        env=["PATH=/bin", "A=1"], cwd="/tmp", user="app", add_groups=["nogroup"],
    )  # fmt: skip
    assert text.split("\n") == ["1 /home/app /tmp", "1000", "1000", "1000 2000 65534"]


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", "0 0"),
        ("1000", "1000 1000"),
        ("4321", "4321 0"),
        ("app:root", "1000 0"),
        ("7:8", "7 8"),
    ],
)
def test_users_and_groups(running: Box, user: str, expected: str) -> None:
    assert running.output("sh", "-c", "echo $(id -u) $(id -g)", user=user) == expected


def test_an_unknown_user(running: Box) -> None:
    with pytest.raises(ScowError) as raised:
        running.execute("true", user="nobody-such")
    assert reason(raised.value) == "USER_NOT_FOUND"


def test_it_is_in_the_containers_namespaces_and_cgroup(running: Box) -> None:
    script = "for n in mnt uts ipc pid net cgroup; do readlink /proc/self/ns/$n; done; cat /proc/self/cgroup"
    own = running.output("sh", "-c", script)
    assert own == running.output("sh", "-c", script.replace("self", "1"))
    assert "/\n" in own + "\n"


@pytest.mark.parametrize("cwd", ["/missing/far", "/etc/passwd"])
def test_a_missing_directory_is_not_made(running: Box, cwd: str) -> None:
    with pytest.raises(ScowError) as raised:
        running.execute("true", exec_id=f"in{len(cwd)}", cwd=cwd)
    assert reason(raised.value) == "COMMAND_NOT_EXECUTABLE"
    assert cwd in str(raised.value)
    state = running.stub.ExecState(pb.ExecStateRequest(exec_id=f"in{len(cwd)}"))
    assert state.exit.code == 126
    assert running.output("sh", "-c", "ls -d /missing || echo none") == "none"


@pytest.mark.parametrize(
    ("command", "expected"),
    [("no-such", "COMMAND_NOT_FOUND"), ("/etc/group", "COMMAND_NOT_EXECUTABLE")],
)
def test_commands_that_cannot_run(running: Box, command: str, expected: str) -> None:
    with pytest.raises(ScowError) as raised:
        running.execute(command, exec_id="x")
    assert reason(raised.value) == expected
    code = {"COMMAND_NOT_FOUND": 127, "COMMAND_NOT_EXECUTABLE": 126}[expected]
    assert running.stub.ExecState(pb.ExecStateRequest(exec_id="x")).exit.code == code


def test_exit_codes_and_signals(running: Box) -> None:
    assert running.execute("sh", "-c", "exit 42").finish().code == 42
    session = running.execute("sleep", "1000", exec_id="sleeper")
    running.stub.Kill(pb.KillRequest(exec_id="sleeper", signal=signal.SIGTERM))
    ended = session.finish().exit
    assert (ended.code, ended.signal) == (143, 15)
    again = running.stub.Wait(pb.WaitRequest(exec_id="sleeper")).exit
    assert again == ended
    assert not running.stub.ExecState(pb.ExecStateRequest(exec_id="sleeper")).running


def test_stdin_goes_in_and_ends(running: Box) -> None:
    session = running.execute("cat", stdin=True)
    session.send(b"abc" * 100_000)
    session.close_stdin()
    result = session.finish()
    assert (result.code, result.out) == (0, b"abc" * 100_000)


def test_streams_stay_apart(running: Box) -> None:
    result = running.execute("sh", "-c", "echo out; echo err >&2").finish()
    assert (result.out, result.err) == (b"out\n", b"err\n")


def test_a_terminal_with_a_size(running: Box) -> None:
    size = pb.WindowSize(rows=17, columns=71)
    session = running.execute("sh", terminal=True, window_size=size, stdin=True)
    session.send(b"stty size; tty\n")
    session.until(b"17 71")
    session.resize(18, 72)
    session.send(b"stty size\n")
    session.until(b"18 72")
    session.until(b"/dev/pts/")
    session.send(b"exit 5\n")
    assert session.finish().code == 5


def test_end_of_input_on_a_terminal(running: Box) -> None:
    session = running.execute("sh", terminal=True, stdin=True)
    session.send(b"echo $((6*7))\n")
    # The prompt stands where the shell has set the terminal to raw again: a ^D that comes before is the terminal's own
    # end of file, which is gone when the mode changes.
    session.until(b"42\r\n/var/www # ")
    session.close_stdin()
    assert session.finish().code == 0


def test_detached(running: Box) -> None:
    session = running.execute("sh", "-c", "yes | head -c 1000000; exit 3", exec_id="d", detach=True)
    assert session.first.started.pid > 0
    assert not session.step()
    ended = running.stub.Wait(pb.WaitRequest(exec_id="d"), timeout=SECONDS).exit
    assert ended.code == 3


def test_a_client_that_goes_away_leaves_the_process(running: Box) -> None:
    for terminal in (False, True):
        session = running.execute("sleep", "1000", exec_id=f"go{terminal}", terminal=terminal)
        pid = session.first.started.pid
        session.cancel()
        assert running.output("true") == ""
        assert running.stub.ExecState(pb.ExecStateRequest(exec_id=f"go{terminal}")).running
        assert alive(pid)


def test_input_ends_with_the_client_that_goes_away(running: Box) -> None:
    session = running.execute("cat", exec_id="cat", stdin=True)
    session.send(b"x\n")
    session.until(b"x\n")
    session.cancel()
    assert running.stub.Wait(pb.WaitRequest(exec_id="cat"), timeout=SECONDS).exit.code == 0


def test_a_terminal_goes_on_when_its_client_goes_away(running: Box) -> None:
    session = running.execute("sh", exec_id="tty", terminal=True, stdin=True)
    session.send(b"echo $((6*7))\n")
    session.until(b"42")
    session.cancel()
    assert running.output("sleep", "0.3") == ""
    assert running.stub.ExecState(pb.ExecStateRequest(exec_id="tty")).running


def test_what_it_leaves_behind_does_not_hold_it(running: Box) -> None:
    result = running.execute("sh", "-c", "sleep 1000 & echo started").finish()
    assert (result.code, result.out) == (0, b"started\n")


def test_names_are_unique(running: Box) -> None:
    running.execute("true", exec_id="same").finish()
    with pytest.raises(ScowError) as raised:
        running.execute("true", exec_id="same")
    assert raised.value.code_name == "ALREADY_EXISTS"


def test_unknown_session(running: Box) -> None:
    for method, request in (
        ("ExecState", pb.ExecStateRequest(exec_id="none")),
        ("Wait", pb.WaitRequest(exec_id="none")),
        ("Kill", pb.KillRequest(exec_id="none", signal=9)),
    ):
        with pytest.raises(ScowError) as raised:
            getattr(running.stub, method)(request)
        assert reason(raised.value) == "EXEC_NOT_FOUND"


def test_confined_as_the_container_unless_privileged(running: Box) -> None:
    script = "grep -E 'CapEff|Seccomp:' /proc/self/status"
    confined = running.output("sh", "-c", script).split()
    privileged = running.output("sh", "-c", script, privileged=True).split()
    assert confined[1::2] == ["00000000a80425fb", "2"]
    assert privileged[3] == "0"
    assert int(privileged[1], 16) > 0xA80425FB


def test_not_after_the_end(box: MakeBox) -> None:
    container = box(config(args=["true"])).start()
    container.wait()
    with pytest.raises((ScowError, OSError)) as raised:
        container.execute("true")
    if isinstance(raised.value, ScowError):  # otherwise the shim itself has ended by now
        assert reason(raised.value) == "CONTAINER_NOT_RUNNING"


def test_sessions_end_with_the_container(running: Box) -> None:
    session = running.execute("sleep", "1000", exec_id="s")
    running.stub.Kill(pb.KillRequest(signal=9))
    assert session.finish().code == 137
    wait_for(lambda: not alive(session.first.started.pid), "the end of the session")
