"""`events`, and the stream of all services' events of the library."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import pytest

from scow.client import AsyncClient
from tests.support.engine import BIN, Engine


def since(engine: Engine, start: float, *more: str) -> list[str]:
    """Return the lines of what happened since a time."""
    until = f"{time.time():.9f}"
    words = ("events", "--since", f"{start:.9f}", "--until", until, *more)
    return engine.cli(*words).stdout.splitlines()


def test_a_life_in_events(engine: Engine) -> None:
    start = time.time()
    engine.cli("network", "create", "front")
    engine.cli("volume", "create", "data")
    engine.cli("run", "-d", "--name", "one", "--network", "front", "busybox", "sleep", "100")
    engine.cli("exec", "one", "echo", "hi")
    engine.cli("stop", "-t", "0", "one")
    engine.cli("rm", "one")
    engine.cli("network", "rm", "front")
    engine.cli("volume", "rm", "data")
    lines = since(engine, start, "--format", "{{.Type}} {{.Action}}")
    assert lines == [
        "network create",
        "volume create",
        "container create",
        "network connect",
        "container start",
        "container exec_create: echo hi",
        "container exec_start: echo hi",
        "container exec_die",
        "container kill",
        "container kill",
        "container die",
        *sorted(lines[11:13]),
        "container destroy",
        "network destroy",
        "volume destroy",
    ]
    assert {*lines[11:13]} == {"container stop", "network disconnect"}


def test_forms(engine: Engine) -> None:
    start = time.time()
    made = engine.cli("create", "--name", "one", "--label", "a=b", "busybox").stdout.strip()
    (line,) = since(engine, start, "--filter", "container=one")
    assert line.endswith(f"container create {made} (a=b, image=busybox, name=one)")
    (text,) = since(engine, start, "--filter", "label=a=b", "--format", "json")
    shape = json.loads(text)
    assert (shape["status"], shape["id"], shape["from"]) == ("create", made, "busybox")
    assert shape["Actor"]["Attributes"]["name"] == "one"
    assert shape["timeNano"] // 1_000_000_000 == shape["time"]


@pytest.mark.parametrize(
    ("key", "value", "count"),
    [("type", "container", 2), ("event", "create", 1), ("image", "busybox", 2), ("volume", "x", 0)],
)
def test_filters(engine: Engine, key: str, value: str, count: int) -> None:
    start = time.time()
    engine.cli("create", "--name", "one", "busybox")
    engine.cli("rm", "one")
    assert len(since(engine, start, "--filter", f"{key}={value}")) == count


def test_what_is_wrong(engine: Engine) -> None:
    assert engine.cli("events", "--filter", "nonsense=1", check=False).returncode == 1
    assert engine.cli("events", "--since", "yesterday", check=False).returncode == 1
    assert engine.cli("events", "--since", "container:x", check=False).returncode == 1


def test_it_follows_through_restarts_without_gap_or_double(own_engine: Engine) -> None:
    wanted = ["--since", f"{time.time():.9f}", "--filter", "type=container"]
    command = [str(BIN / "scow"), "events", *wanted, "--format", "{{.Action}}"]
    watching = subprocess.Popen(command, env=own_engine.env, stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    own_engine.cli("create", "--name", "first", "busybox")
    assert watching.stdout.readline() == "create\n"
    for number in range(3):
        own_engine.kill_service("container")
        own_engine.cli("create", "--name", f"c{number}", "busybox")
        own_engine.cli("rm", f"c{number}")
    found = [watching.stdout.readline().strip() for _ in range(6)]
    assert found == ["create", "destroy"] * 3
    watching.terminate()
    watching.wait()


async def test_a_cursor_goes_on_where_another_stream_was(engine: Engine) -> None:
    filters = {"type": ["container", "volume"]}
    async with AsyncClient(engine.host) as client:
        async with client.events(filters=filters) as events:
            await client.volumes.create("first")
            found = await anext(events)
            assert found.event is not None
            assert (found.service, found.event.object_id) == ("volume", "first")
            cursor = events.cursor
        made = await client.containers.create("busybox", name="between")
        await client.volumes.create("second")
        async with client.events(cursor=cursor, filters=filters) as events:
            missed = [await anext(events) for _ in range(2)]
        assert {each.event.object_id for each in missed if each.event} == {made.id, "second"}
        await client.volumes.remove("first")
        await client.volumes.remove("second")


def test_secrets_and_copies_into_a_container_are_told(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    began = time.time()
    engine.cli("secret", "create", "told", "-", stdin=b"told-to-nobody")
    engine.cli("create", "--name", "copied", "--secret", "told", "busybox", "true")
    engine.cli("cp", str(tmp_path / "file"), "copied:/tmp")
    engine.cli("rm", "copied")
    engine.cli("secret", "rm", "told")
    told = since(engine, began, "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
    assert [line for line in told if "network" not in line] == [
        "secret create told",
        "container create copied",
        "container extract-to-dir copied",
        "container destroy copied",
        "secret remove told",
    ]
    assert "told-to-nobody" not in "".join(since(engine, began))
