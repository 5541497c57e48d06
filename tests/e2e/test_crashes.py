"""kill -9 of every part, at rest and in the middle of work: containers go on, and the truth is kept."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import threading
import time

import pytest

from tests.support import processes
from tests.support.engine import BIN, Engine, remains

SERVICES = ("image", "volume", "network", "container")
# Writes a number every 0.1 s, exits with 7 when it is told to.
TICKING = "i=0; trap 'exit 7' TERM; while :; do echo $i; i=$((i+1)); sleep 0.1; done"


def start_ticking(engine: Engine, name: str) -> int:
    """Run a container that ticks; return the pid of its process."""
    engine.cli("run", "-d", "--name", name, "busybox", "sh", "-c", TICKING)
    return int(engine.cli("inspect", "-f", "{{.State.Pid}}", name).stdout)


def lines(engine: Engine, name: str) -> list[int]:
    return [int(line) for line in engine.cli("logs", name).stdout.split()]


def check_container(engine: Engine, name: str, pid: int) -> None:
    """The container still is what it was, and every verb on it is right."""
    assert processes.alive(pid), "the container's process ended"
    state = json.loads(engine.cli("inspect", name).stdout)[0]["State"]
    assert (state["Status"], state["Pid"]) == ("running", pid)
    assert name in engine.cli("ps", "--format", "{{.Names}}").stdout.split()
    assert engine.cli("exec", name, "echo", "in").stdout == "in\n"
    before = lines(engine, name)
    assert before == list(range(len(before))), "lines were lost or doubled"
    processes.wait_for(lambda: len(lines(engine, name)) > len(before), "new lines in the log")


def end_container(engine: Engine, name: str) -> None:
    """The exit code is right and the removal leaves nothing."""
    waiting = subprocess.Popen(
        [BIN / "scow", "wait", name], env=engine.env, stdout=subprocess.PIPE, text=True
    )
    time.sleep(0.3)
    engine.cli("stop", name)
    assert waiting.communicate(timeout=30)[0].strip() == "7"
    engine.cli("rm", name)
    assert engine.cli("ps", "-aq").stdout == ""
    processes.wait_for(lambda: not remains(engine.instance), "the end of what the container had")


@pytest.mark.parametrize("service", SERVICES)
def test_a_killed_service_comes_back(own_engine: Engine, service: str) -> None:
    pid = start_ticking(own_engine, "tick")
    own_engine.kill_service(service)
    own_engine.wait_healthy()
    check_container(own_engine, "tick", pid)
    end_container(own_engine, "tick")


def test_killed_all_at_once(own_engine: Engine) -> None:
    pid = start_ticking(own_engine, "tick")
    for child in processes.children(own_engine.pid):
        processes.kill(child)
    own_engine.wait_healthy()
    check_container(own_engine, "tick", pid)
    end_container(own_engine, "tick")


def test_a_killed_spawner(own_engine: Engine) -> None:
    pid = start_ticking(own_engine, "tick")
    processes.kill(own_engine.spawner_pid())
    check_container(own_engine, "tick", pid)
    other = start_ticking(own_engine, "other")  # by a new spawner
    check_container(own_engine, "other", other)
    own_engine.cli("rm", "-f", "other")
    end_container(own_engine, "tick")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_scowd_ends_and_starts_again(own_engine: Engine, number: int) -> None:
    pid = start_ticking(own_engine, "tick")
    own_engine.stop(number)
    assert processes.alive(pid), "the container ended with the engine"
    own_engine.start()
    check_container(own_engine, "tick", pid)
    end_container(own_engine, "tick")


def test_an_exit_while_nobody_looks(own_engine: Engine) -> None:
    own_engine.cli("run", "-d", "--name", "brief", "busybox", "sh", "-c", "sleep 1; exit 5")
    own_engine.cli("run", "-d", "--rm", "--name", "gone", "busybox", "sleep", "1")
    own_engine.stop(signal.SIGKILL)
    time.sleep(2)
    ended_by = time.time()
    own_engine.start()
    assert own_engine.cli("wait", "brief").stdout.strip() == "5"
    finished = own_engine.cli("inspect", "-f", "{{.State.FinishedAt}}", "brief").stdout.strip()
    then = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ended_by))
    assert finished < then, "the time of the exit is when it was noticed, not when it was"
    processes.wait_for(
        lambda: "gone" not in own_engine.cli("ps", "-a", "--format", "{{.Names}}").stdout.split(),
        "the removal of a container with --rm",
    )


def test_a_killed_shim(own_engine: Engine) -> None:
    pid = start_ticking(own_engine, "tick")
    processes.wait_for(lambda: len(lines(own_engine, "tick")) >= 3, "three ticks")
    processes.kill(own_engine.shim_pid("tick"))
    processes.wait_for(lambda: not processes.alive(pid), "the end of the container")
    assert own_engine.cli("wait", "tick").stdout.strip() == "137"
    state = json.loads(own_engine.cli("inspect", "tick").stdout)[0]["State"]
    assert state["Status"] == "exited"
    assert "shim" in state["Error"]
    processes.wait_for(lambda: not remains(own_engine.instance), "the end of what it had")
    assert lines(own_engine, "tick")[:3] == [0, 1, 2]
    own_engine.cli("start", "tick")  # it is a container like any other
    check_running = own_engine.cli("inspect", "-f", "{{.State.Running}}", "tick").stdout.strip()
    assert check_running == "true"
    own_engine.cli("rm", "-f", "tick")


def test_a_shim_killed_while_the_engine_is_down(own_engine: Engine) -> None:
    start_ticking(own_engine, "tick")
    shim = own_engine.shim_pid("tick")
    own_engine.stop(signal.SIGKILL)
    processes.kill(shim)
    own_engine.start()
    assert own_engine.cli("wait", "tick").stdout.strip() == "137"
    assert "shim" in own_engine.cli("inspect", "-f", "{{.State.Error}}", "tick").stdout
    own_engine.cli("rm", "tick")
    assert not remains(own_engine.instance)


@pytest.mark.parametrize("victim", [*SERVICES, "spawner"])
def test_killed_in_the_middle_of_work(own_engine: Engine, victim: str) -> None:
    """Runs go on while a part is killed again and again; afterwards all is consistent."""
    stop = threading.Event()
    codes: list[int] = []

    def work() -> None:
        while not stop.is_set():
            done = own_engine.cli("run", "--rm", "busybox", "true", check=False)
            codes.append(done.returncode)

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(5):
        time.sleep(0.2 + random.random() * 0.6)
        if victim == "spawner":
            processes.kill(own_engine.spawner_pid())
        else:
            own_engine.kill_service(victim)
    stop.set()
    for worker in workers:
        worker.join()
    own_engine.wait_healthy()
    assert set(codes) <= {0, 1, 125}, "a run ended with what is not an error of the engine"
    assert own_engine.cli("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    _settle(own_engine)


def _settle(engine: Engine) -> None:
    """What the interrupted runs left can be removed, and then nothing is there."""
    listed = engine.cli("ps", "-aq").stdout.split()
    if listed:
        engine.cli("rm", "-f", *listed)
    engine.restart()  # reconciles
    assert engine.cli("ps", "-aq").stdout == ""
    processes.wait_for(lambda: not remains(engine.instance), "nothing to be left behind")
