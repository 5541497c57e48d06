"""Processes killed at any moment, nonsense on sockets, and what is left then: nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.shim.v1 import spawner_pb2 as spawner_pb
from scow.contract.errors import ContainerRunning, InvalidConfig, ScowError
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import SECONDS, Spawner
from tests.support.processes import alive, children, wait_for


def test_a_killed_shim_takes_its_container_along(box: MakeBox, spawner: Spawner) -> None:
    container = box(config(args=["sh", "-c", "sleep 1000 & sleep 1000"])).start()
    inner = container.execute("sleep", "1000").first.started.pid
    container.kill_shim()
    wait_for(lambda: not alive(container.ids.pid), "the end of the init")
    wait_for(lambda: not alive(inner), "the end of the exec session")
    record = spawner.reap(container.state)
    assert record.code == 137
    assert "shim died" in record.error
    assert container.recorded() == record
    assert not container.cgroups()
    again = spawner.reap(container.state)
    assert again == record


def test_a_shim_killed_before_the_start(box: MakeBox, spawner: Spawner) -> None:
    container = box().spawn()
    container.kill_shim()
    wait_for(lambda: not alive(container.ids.pid), "the end of the init")
    assert spawner.reap(container.state).code == 137


def test_a_killed_shim_of_a_container_with_the_hosts_pids(box: MakeBox, spawner: Spawner) -> None:
    made = config(args=["sh", "-c", "sleep 1000 & echo $!; wait"])
    made["linux"]["namespaces"] = [e for e in made["linux"]["namespaces"] if e["type"] != "pid"]
    container = box(made).start()
    wait_for(container.logged, "the child's pid")
    child = int(container.logged())
    container.kill_shim()
    spawner.reap(container.state)
    wait_for(lambda: not alive(child), "the end of the child")
    assert not container.cgroups()


def test_reap_keeps_the_record_of_a_container_that_had_ended(
    box: MakeBox, spawner: Spawner
) -> None:
    container = box(config(args=["sh", "-c", "exit 6"])).start()
    container.wait()
    container.kill_shim()
    record = spawner.reap(container.state)
    assert (record.code, record.error) == (6, "")


def test_reap_of_a_living_shim_needs_force(box: MakeBox, spawner: Spawner) -> None:
    container = box(config(args=["sleep", "1000"])).start()
    with pytest.raises(ScowError) as raised:
        spawner.reap(container.state)
    assert raised.value.reason == "SHIM_RUNNING"
    assert alive(container.ids.shim_pid)
    record = spawner.reap(container.state, force=True)
    assert record.code == 137
    assert not alive(container.ids.shim_pid)


def test_the_reap_command(box: MakeBox) -> None:
    container = box(config(args=["sleep", "1000"])).start()
    command = [sys.executable, "-m", "scow.shim.spawner.reap", "--state-dir", str(container.state)]
    refused = subprocess.run(command, capture_output=True, text=True)
    assert (refused.returncode, "lives" in refused.stderr) == (1, True)
    done = subprocess.run([*command, "--force"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["code"] == 137
    assert not container.cgroups()


def test_reap_where_nothing_was_made(spawner: Spawner, tmp_path: Path) -> None:
    record = spawner.reap(tmp_path)
    assert record.code == 137


def test_a_process_with_a_reused_pid_is_spared(spawner: Spawner, tmp_path: Path) -> None:
    victim = subprocess.Popen(["sleep", "100"])
    try:
        state = {
            "id": "x", "version": "0", "shim_pid": victim.pid, "shim_start_ticks": 1,
            "pid": victim.pid, "pid_start_ticks": 1, "cgroups": [], "warnings": [],
        }  # fmt: skip
        (tmp_path / "state.json").write_text(json.dumps(state))
        spawner.reap(tmp_path, force=True)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_shims_outlive_their_spawner(own_spawner: Spawner) -> None:
    container = own_spawner.box(config(args=["sh", "-c", "read x; exit 3"])).start(stdin=True)
    try:
        own_spawner.process.kill()
        own_spawner.process.wait()
        assert container.output("echo", "alive") == "alive"
        own_spawner.start()
        attached = container.attach(stdin=True)
        attached.send(b"\n")
        assert attached.finish().code == 3
        second = own_spawner.box(config(args=["sh", "-c", "exit 4"]))
        assert second.run().code == 4
        second.end()
    finally:
        container.end()


def test_a_shim_killed_after_its_spawner(own_spawner: Spawner) -> None:
    container = own_spawner.box(config(args=["sleep", "1000"])).start()
    own_spawner.process.kill()
    own_spawner.process.wait()
    container.kill_shim()
    wait_for(lambda: not alive(container.ids.pid), "the end of the init")
    own_spawner.start()
    record = own_spawner.reap(container.state)
    assert record.code == 137
    assert not container.cgroups()
    container.end()


def test_a_second_spawner_leaves_the_first_alone(own_spawner: Spawner) -> None:
    command = [
        sys.executable,
        "-m",
        "scow.shim.spawner",
        "--socket",
        str(own_spawner.socket),
    ]
    assert subprocess.run(command, timeout=SECONDS).returncode == 0
    assert own_spawner.pid() == own_spawner.process.pid


def test_the_spawner_keeps_no_zombies(own_spawner: Spawner) -> None:
    for _ in range(5):
        container = own_spawner.box()
        assert container.run().code == 0
        container.end()
    assert own_spawner.ask(sweep=spawner_pb.Sweep(cgroup_parent=own_spawner.parent)).swept.removed
    wait_for(lambda: not children(own_spawner.process.pid), "the end of its children")


def test_sweep_keeps_a_parent_with_a_container(own_spawner: Spawner) -> None:
    container = own_spawner.box(config(args=["sleep", "1000"])).start()
    sweep = spawner_pb.Sweep(cgroup_parent=own_spawner.parent)
    assert not own_spawner.ask(sweep=sweep).swept.removed
    container.end()
    assert own_spawner.ask(sweep=sweep).swept.removed
    assert own_spawner.ask(sweep=sweep).swept.removed


@pytest.mark.parametrize(
    "packet",
    [
        b"nonsense",
        b"\xff" * 70_000,
        b"\x0a" + b"x" * 140_000,
        *(
            spawner_pb.SpawnerRequest(**fields).SerializeToString() or b"\x78\x01"
            for fields in (
                {},
                {"start": spawner_pb.Start()},
                {"spawn": spawner_pb.Spawn()},
                {"reap": spawner_pb.Reap()},
                {"sweep": spawner_pb.Sweep()},
                {"view": spawner_pb.View()},
                {"copy": spawner_pb.Copy()},
            )
        ),
    ],
)
def test_nonsense_is_answered_and_survived(own_spawner: Spawner, packet: bytes) -> None:
    answer = own_spawner.send_raw(packet)
    assert answer is not None
    assert answer.HasField("error")
    assert own_spawner.pid() == own_spawner.process.pid


def test_a_client_that_says_nothing_keeps_nobody_waiting(own_spawner: Spawner) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as mute:
        mute.connect(str(own_spawner.socket))
        assert own_spawner.pid() == own_spawner.process.pid
        assert spawner_pb.SpawnerAnswer.FromString(mute.recv(1 << 16)).HasField("error")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "../up"),
        ("id", ""),
        ("id", "a/b"),
        ("bundle", "relative"),
        ("socket", "/" + "x" * 120),
        ("state_dir", None),
    ],
)
def test_a_bad_request_names_its_key(spawner: Spawner, key: str, value: Any) -> None:
    container = spawner.box()
    with pytest.raises(InvalidConfig) as raised:
        spawner.ask(spawn=container.request(**{key: value}))
    assert raised.value.metadata["which"] == key


def test_an_id_that_runs_is_refused_and_goes_on(box: MakeBox, spawner: Spawner) -> None:
    container = box(config(args=["sleep", "1000"])).start()
    other = spawner.home / "other-state"
    other.mkdir()
    with pytest.raises(ContainerRunning):
        spawner.ask(spawn=container.request(state_dir=str(other), socket=str(other / "sock")))
    assert container.output("echo", "here") == "here"


def test_a_client_that_goes_away_while_it_starts(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "echo ran; exit 2"])).spawn()
    connection = container.connection()
    connection.send(spawner_pb.SpawnerRequest(start=spawner_pb.Start()).SerializeToString())
    connection.close()
    container.forget()
    wait_for((container.state / "exit.json").exists, "the end")
    assert container.recorded().code == 2
    assert container.logged() == "ran\n"


def test_an_end_that_cannot_be_recorded_is_told_to_who_asks_later(box: MakeBox) -> None:
    """As on a full disk. Whoever asks then is served by a talker that was forked after the end."""
    container = box(config(args=["sh", "-c", "read x; exit 7"])).start(stdin=True)
    shim = container.ids.shim_pid
    in_the_way = container.state / "exit.json.tmp"
    in_the_way.mkdir()
    attached = container.attach(stdin=True)
    attached.send(b"\n")
    assert attached.finish().code == 7
    for _ in range(2):
        wait_for(lambda: not children(shim), "the end of the talker")
        assert container.stub.Wait(pb.WaitRequest()).exit.code == 7
        assert container.stub.State(pb.StateRequest()).status == pb.STATUS_STOPPED
    in_the_way.rmdir()
    wait_for(lambda: not alive(shim), "the end of the shim")
    assert container.recorded().code == 7


def test_many_at_once(own_spawner: Spawner) -> None:
    containers = [own_spawner.box(config(args=["sh", "-c", f"exit {n}"])) for n in range(12)]
    codes: dict[int, int] = {}

    def live(number: int) -> None:
        codes[number] = containers[number].run().code
        containers[number].end()

    threads = [threading.Thread(target=live, args=(n,)) for n in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {n: n for n in range(12)}


def test_a_shim_ignores_signals_meant_for_its_starters(box: MakeBox) -> None:
    container = box(config(args=["sleep", "1000"])).start()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(container.ids.shim_pid, number)
    assert container.output("echo", "here") == "here"


def test_the_sockets_are_roots_alone(box: MakeBox, spawner: Spawner) -> None:
    container = box().spawn()
    for path in (spawner.socket, container.socket):
        assert path.stat().st_mode & 0o777 == 0o600
