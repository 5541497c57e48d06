"""A container's life: created, running, stopped, and what each step leaves."""

from __future__ import annotations

import json
import os
import signal

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.contract.errors import InvalidConfig, KernelUnsupported, ScowError
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import Connection, Spawner, reason
from tests.support.processes import alive, wait_for


def test_spawn_start_attach_exec_wait(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "echo hello; echo bad >&2; read line; exit 7"]))
    answer = container.spawn(stdin=True).ids
    assert container.netns == f"/proc/{answer.pid}/ns/net"
    assert container.stub.State(pb.StateRequest()).status == pb.STATUS_CREATED

    attached = container.attach(stdin=True)
    assert attached.first.attached
    started = container.launch()
    assert started.pid == answer.pid
    attached.until(b"hello\n")
    assert container.output("cat", "/proc/1/comm") == "sh"

    attached.send(b"go\n")
    result = attached.finish()
    assert (result.code, result.out, result.err) == (7, b"hello\n", b"bad\n")
    record = json.loads((container.state / "exit.json").read_text())
    assert record["code"] == container.wait().code == 7
    assert sorted(r["stream"] for r in container.records()) == ["stderr", "stdout"]


def test_state_tells_processes_with_their_start_time(box: MakeBox) -> None:
    container = box(config(args=["sleep", "100"])).start()
    state = container.stub.State(pb.StateRequest())
    assert (state.id, state.status) == (container.name, pb.STATUS_RUNNING)
    for pid, ticks in (
        (state.pid, state.pid_start_ticks),
        (state.shim_pid, container.ids.shim_start_ticks),
    ):
        with open(f"/proc/{pid}/stat") as file:
            assert int(file.read().rpartition(")")[2].split()[19]) == ticks


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_it_with_128_plus_n(box: MakeBox, number: int) -> None:
    # PID 1 has only the signals that it handles: busybox's sh with a trap that kills itself would be 128+n of a
    # child. SIGKILL from outside always works; others are handled here.
    script = "trap 'exit 77' TERM; trap 'exit 78' USR1; echo ready; while :; do sleep 0.05; done"
    container = box(config(args=["sh", "-c", script])).spawn()
    attached = container.attach()
    container.start()
    attached.until(b"ready")
    container.stub.Kill(pb.KillRequest(signal=number))
    expected = {signal.SIGKILL: (137, 9), signal.SIGTERM: (77, 0), signal.SIGUSR1: (78, 0)}
    ended = container.wait()
    assert (ended.code, ended.signal) == expected[signal.Signals(number)]


def test_kill_all_reaches_every_process(box: MakeBox) -> None:
    script = "sh -c 'trap \"echo child; exit\" USR1; echo up; while :; do sleep 0.05; done' & trap : USR1; wait; wait"
    container = box(config(args=["sh", "-c", script])).spawn()
    attached = container.attach()
    container.start()
    attached.until(b"up")
    container.stub.Kill(pb.KillRequest(signal=signal.SIGUSR1, all=True))
    assert b"child" in attached.finish().out


def test_several_wait_and_all_are_answered(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "read x; exit 3"])).start(stdin=True)
    waiting = [Connection(container.socket, "Wait", pb.WaitRequest()) for _ in range(5)]
    attached = container.attach(stdin=True)
    attached.send(b"\n")
    assert attached.finish().code == 3
    answers = [pb.WaitResponse.FromString(each.receive()[1]) for each in waiting]
    assert [each.exit.code for each in answers] == [3] * 5


@pytest.mark.parametrize(
    ("command", "code", "expected"),
    [
        ("no-such", 127, "COMMAND_NOT_FOUND"),
        ("/no/such", 127, "COMMAND_NOT_FOUND"),
        ("/etc/passwd", 126, "COMMAND_NOT_EXECUTABLE"),
        ("/etc", 126, "COMMAND_NOT_EXECUTABLE"),
    ],
)
def test_a_command_that_cannot_run(box: MakeBox, command: str, code: int, expected: str) -> None:
    container = box(config(args=[command])).spawn()
    with pytest.raises(ScowError) as raised:
        container.start()
    assert reason(raised.value) == expected
    assert raised.value.metadata["which"] == command
    ended = container.wait()
    assert ended.code == code
    assert command in ended.error


def test_whoever_asked_is_answered_once(box: MakeBox) -> None:
    container = box(config(args=["sleep", "100"])).spawn()
    connection = container.connection()
    container.launch()
    assert connection.recv(1) == b""
    assert container.output("echo", "runs") == "runs"


def test_a_container_that_nobody_starts_ends(box: MakeBox) -> None:
    container = box(config(args=["sleep", "100"])).spawn()
    container.connection().close()
    container.forget()
    wait_for(lambda: not alive(container.ids.shim_pid), "the end of the shim")
    assert container.recorded().code == 137
    assert not container.cgroups()


def test_killed_before_the_start(box: MakeBox) -> None:
    container = box().spawn()
    container.stub.Kill(pb.KillRequest(signal=9))
    ended = container.wait()
    assert ended.code == 137
    assert "before it executed" in ended.error


def test_mounts_that_come_with_start(box: MakeBox, tmp_path: object) -> None:
    container = box(config(args=["cat", "/etc/resolv.conf"])).spawn()
    hosts = container.bundle / "resolv"
    hosts.write_text("nameserver 192.0.2.1\n")
    attached = container.attach()
    mount = Mount(
        destination="/etc/resolv.conf", type="bind", source=str(hosts), options=["rbind", "ro"]
    )
    container.launch([mount])
    assert attached.finish().out == b"nameserver 192.0.2.1\n"


def test_who_is_told_of_the_start_finds_it_running(box: MakeBox) -> None:
    """Also when whoever serves him was there before and is told by another way."""
    for _ in range(20):
        container = box(config(args=["sleep", "1000"])).spawn()
        container.attach()
        container.start()
        container.stub.Pause(pb.PauseRequest())
        container.stub.Resume(pb.ResumeRequest())
        container.end()


def test_why_an_init_ends_at_once_is_told(box: MakeBox) -> None:
    """It is waited for by its parent before its maker has looked at it."""
    made = config()
    made["process"]["apparmorProfile"] = "scow-no-such-profile"
    for _ in range(20):
        with pytest.raises(KernelUnsupported):
            box(made).start()


def test_pause_stops_everything_until_resume(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "while :; do echo tick; sleep 0.05; done"])).spawn()
    attached = container.attach()
    container.start()
    attached.until(b"tick")
    container.stub.Pause(pb.PauseRequest())
    assert container.stub.State(pb.StateRequest()).status == pb.STATUS_PAUSED
    with pytest.raises(ScowError) as raised:
        container.execute("true")
    assert reason(raised.value) == "CONTAINER_PAUSED"
    size = container.log.stat().st_size
    wait_for(lambda: _same_size(container.log, size), "silence", 5)
    container.stub.Resume(pb.ResumeRequest())
    wait_for(lambda: container.log.stat().st_size > size + 200, "ticks after resume")


def _same_size(path: os.PathLike[str], size: int) -> bool:
    import time

    time.sleep(0.3)
    return os.stat(path).st_size == size


def test_a_paused_container_can_be_killed(box: MakeBox) -> None:
    container = box(config(args=["sleep", "100"])).start()
    container.stub.Pause(pb.PauseRequest())
    container.stub.Kill(pb.KillRequest(signal=9))
    assert container.wait().code == 137


def test_shutdown_ends_what_runs_and_leaves_the_record(box: MakeBox) -> None:
    container = box(config(args=["sleep", "100"])).start()
    pid, shim_pid = container.ids.pid, container.ids.shim_pid
    answer = container.stub.Shutdown(pb.ShutdownRequest())
    assert answer.exit.code == 137
    assert not alive(pid)
    assert json.loads((container.state / "exit.json").read_text())["code"] == 137
    wait_for(lambda: not alive(shim_pid), "the end of the shim")
    assert not container.cgroups()


def test_init_reaps_and_forwards_signals(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done"])
    made["annotations"] = {"scow.init": "true"}
    container = box(made).spawn()
    attached = container.attach()
    container.start()
    attached.until(b"up")
    assert "init" in container.output("cat", "/proc/1/cmdline")
    # An orphan is reaped: no zombie stays.
    container.output("sh", "-c", "(sleep 0.05 &) ; true")
    wait_for(
        lambda: "Z" not in container.output("sh", "-c", "cat /proc/[0-9]*/stat 2>/dev/null; true"),
        "reaping",
    )
    container.stub.Kill(pb.KillRequest(signal=signal.SIGTERM))
    assert container.wait().code == 5


def test_a_bad_bundle_leaves_nothing(spawner: Spawner) -> None:
    made = config()
    made["process"]["user"] = {"uid": "zero"}
    broken = spawner.box(made)
    with pytest.raises(ScowError) as raised:
        broken.spawn()
    assert type(raised.value) is InvalidConfig
    assert raised.value.metadata["which"] == "process.user.uid"
    assert not broken.cgroups()
    assert list(broken.state.iterdir()) == []
