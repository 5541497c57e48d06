"""Exec sessions as objects, conditions to wait for, and filters of lists."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.contract import errors
from tests.e2e.cli.support import field
from tests.support.engine import Engine
from tests.support.processes import wait_for


def test_exec_sessions_are_listed_inspected_killed_and_removed(engine: Engine) -> None:
    engine.cli("run", "-d", "--network=none", "--name=host", "busybox", "sleep", "1000")
    engine.cli("exec", "-d", "-u", "1000", "-w", "/tmp", "-e", "KEY=hidden", "host", "sleep", "777")
    engine.cli("exec", "host", "true")
    lines = engine.cli("execs", "ls").stdout.splitlines()
    assert len(lines) == 2
    assert "EXEC ID" in lines[0]
    assert '"sleep 777"' in lines[1]
    assert len(engine.cli("execs", "ls", "-a", "host").stdout.splitlines()) == 3
    (name,) = engine.cli("execs", "ls", "-q", "--no-trunc", "host").stdout.split()
    text = engine.cli("execs", "inspect", name[:8]).stdout
    (shown,) = json.loads(text)
    assert (shown["args"], shown["user"], shown["workingDir"]) == (["sleep", "777"], "1000", "/tmp")
    assert shown["running"]
    assert "hidden" not in text
    refused = engine.cli("execs", "rm", name, check=False)
    assert refused.returncode == 1
    assert "is running" in refused.stderr
    engine.cli("execs", "kill", "-s", "TERM", name)
    with engine.client() as client:
        wait_for(lambda: not client.containers.inspect_exec(name).running, "the session's end")
        assert client.containers.inspect_exec(name).exit_code == 143
        with pytest.raises(errors.ContainerNotRunning):
            client.containers.kill_exec(name)
        client.containers.remove_exec(name)
        with pytest.raises(errors.ExecNotFound):
            client.containers.inspect_exec(name)
        engine.cli("exec", "-d", "host", "sleep", "778")
        (session,) = client.containers.execs("host")
        client.containers.remove_exec(session.exec_id, force=True)
        assert not client.containers.execs("host")
        with pytest.raises(errors.ContainerNotFound):
            client.containers.execs("nobody")


def test_a_session_that_does_not_end_is_not_forgotten(engine: Engine) -> None:
    """The freezer of cgroup v1 holds a kill back; that of v2 lets it through."""
    engine.cli("run", "-d", "--network=none", "--name=frozen", "busybox", "sleep", "1000")
    engine.cli("exec", "-d", "frozen", "sleep", "779")
    with engine.client() as client:
        (session,) = client.containers.execs("frozen")
        engine.cli("pause", "frozen")
        gone = True
        try:
            client.containers.remove_exec(session.exec_id, force=True)
        except errors.ExecRunning:
            gone = False
        assert Path(f"/proc/{session.pid}").exists() is not gone
        assert [each.exec_id for each in client.containers.execs("frozen")] == (
            [] if gone else [session.exec_id]
        )
    engine.cli("rm", "-f", "frozen")


def test_what_is_waited_for_is_told_when_it_is_so(engine: Engine) -> None:
    engine.cli("create", "--name=waits", "--network=none", "busybox", "sleep", "1000")
    assert engine.cli("wait", "--condition", "created", "waits").stdout == "0\n"
    assert engine.cli("wait", "waits").stdout == "0\n"
    told: list[int] = []

    def wait(condition: pb.WaitCondition.ValueType) -> threading.Thread:
        def run() -> None:
            with engine.client() as client:
                told.append(client.containers.wait("waits", condition).exit_code)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    running, ended = wait(pb.WAIT_CONDITION_RUNNING), wait(pb.WAIT_CONDITION_NEXT_EXIT)
    engine.cli("start", "waits")
    running.join(60)
    assert told == [0]
    engine.cli("kill", "waits")
    ended.join(60)
    assert told == [0, 137]
    refused = engine.cli("wait", "--condition", "healthy", "waits", check=False)
    assert "has no health checks" in refused.stderr
    assert engine.cli("wait", "--condition", "sometimes", "waits", check=False).returncode == 125
    gone = wait(pb.WAIT_CONDITION_REMOVED)
    engine.cli("rm", "waits")
    gone.join(60)
    assert told == [0, 137, 137]


def test_healthy_is_waited_for(engine: Engine) -> None:
    check = ("--health-cmd=test -e /well", "--health-interval=200ms")
    engine.cli("run", "-d", "--name=unwell", "--network=none", *check, "busybox", "sleep", "1000")
    done: list[int] = []

    def run() -> None:
        with engine.client() as client:
            done.append(client.containers.wait("unwell", pb.WAIT_CONDITION_HEALTHY).exit_code)

    thread = threading.Thread(target=run)
    thread.start()
    engine.cli("exec", "unwell", "touch", "/well")
    thread.join(60)
    assert done == [0]
    assert field(engine, "unwell", "{{.State.Health.Status}}") == "healthy"


FILTERS = {
    "id=ID": ["first"],
    "name=fir": ["first"],
    "label=kind": ["first", "second"],
    "label=kind=a": ["first"],
    "status=created": ["first", "second"],
    "ancestor=busybox": ["first", "second"],
    "before=first": [],
    "since=first": ["second"],
    "volume=/data": ["first"],
    "network=none": ["second"],
    "publish=8080": ["first"],
    "expose=90/udp": ["second"],
    "health=none": ["first", "second"],
    "isolation=default": ["first", "second"],
    "is-task=true": [],
    "is-task=false": ["first", "second"],
    "exited=0": [],
}


def test_each_of_dockers_filters(engine: Engine) -> None:
    first = ("--name=first", "-l=kind=a", "-v=/data", "-p=8080")
    second = ("--name=second", "-l=kind=b", "--network=none", "--expose=90/udp")
    engine.cli("create", *first, "busybox")
    engine.cli("create", *second, "busybox")
    start = field(engine, "first", "{{.Id}}")[:10]
    found = {}
    for text in FILTERS:
        wanted = text.replace("ID", start)
        listed = engine.cli("ps", "-a", "--filter", wanted, "--format", "{{.Names}}").stdout
        found[text] = sorted(listed.split())
    assert found == FILTERS


@pytest.mark.parametrize("text", ["isolation=hyperv", "is-task=maybe", "health=bad", "color=red"])
def test_values_that_no_filter_takes(engine: Engine, text: str) -> None:
    assert engine.cli("ps", "--filter", text, check=False).returncode == 1
