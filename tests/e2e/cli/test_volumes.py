"""`scow volume`: what it shows, chooses, changes and removes, with the words and rules of Docker."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from scow.client import AsyncClient
from tests.support.engine import Engine, as_root

pytestmark = as_root()


@pytest.fixture(autouse=True)
def no_volumes(engine: Engine) -> Iterator[None]:
    yield
    engine.remove_containers()
    engine.cli("volume", "rm", "-f", *engine.cli("volume", "ls", "-q").stdout.split(), check=False)


def names(engine: Engine, *filters: str) -> list[str]:
    flags = [word for text in filters for word in ("--filter", text)]
    return engine.cli("volume", "ls", "-q", *flags).stdout.split()


def test_filters(engine: Engine) -> None:
    engine.cli("volume", "create", "--label", "a=b", "--label", "c", "one")
    engine.cli("volume", "create", "--label", "a=x", "two")
    engine.cli("create", "-v", "three:/x", "busybox")
    assert names(engine, "label=a") == ["one", "two"]
    assert names(engine, "label=a=b", "label=c") == ["one"]
    assert names(engine, "name=^t", "name=ne$") == ["one", "three", "two"]
    assert names(engine, "name=^t", "driver=local") == ["three", "two"]
    assert names(engine, "driver=loc") == []
    assert names(engine, "dangling=true") == ["one", "two"]
    assert names(engine, "dangling=0") == ["three"]
    for wrong in ("dangling=foo", "foo=bar", "name=("):
        done = engine.cli("volume", "ls", "--filter", wrong, check=False)
        assert done.returncode == 1
        assert wrong.partition("=")[0] in done.stderr
    head, line = engine.cli("volume", "ls", "--filter", "name=one").stdout.splitlines()
    assert head.split() == ["DRIVER", "VOLUME", "NAME"]
    assert line.split() == ["local", "one"]
    layout = "{{.Name}} {{.Labels}} {{.Label `a`}} {{.Scope}}"
    shown = engine.cli("volume", "ls", "--filter", "name=one", "--format", layout).stdout
    assert shown == "one a=b,c= b local\n"


def test_who_uses_a_volume(engine: Engine) -> None:
    engine.cli("volume", "create", "data")
    run = ["run", "-d", "--name", "web", "-v", "data:/x:ro", "-v", "data:/y", "busybox"]
    engine.cli(*run, "sh", "-c", "echo 12345 >/y/file; exec sleep 100")
    engine.cli("create", "--name", "spare", "--mount", "src=data,dst=/z,exclusive", "busybox")
    (shape,) = json.loads(engine.cli("volume", "inspect", "--size", "data").stdout)
    uses = {(use.pop("Name"), use.pop("Target")): use for use in shape["Uses"]}
    assert {use.pop("Container")[:0] for use in uses.values()} == {""}
    assert uses == {
        ("web", "/x"): {"RW": False, "Exclusive": False, "Mounted": True},
        ("web", "/y"): {"RW": True, "Exclusive": False, "Mounted": True},
        ("spare", "/z"): {"RW": True, "Exclusive": True, "Mounted": False},
    }
    assert shape["UsageData"]["RefCount"] == 3
    assert shape["UsageData"]["Size"] > 0
    in_use = engine.cli("volume", "rm", "-f", "data", check=False)
    assert in_use.returncode == 1
    assert "is held by" in in_use.stderr
    engine.cli("kill", "web")
    engine.cli("wait", "web")
    engine.cli("rm", "spare")
    engine.cli("rm", "web")
    assert engine.cli("volume", "inspect", "-f", "{{len .Uses}}", "data").stdout == "0\n"
    assert engine.cli("volume", "rm", "data").stdout == "data\n"


def test_labels_change(engine: Engine) -> None:
    engine.cli("volume", "create", "--label", "a=1", "--label", "b=2", "data")
    change = ["--label-rm", "a", "--label-rm", "none", "--label-add", "b=3", "--label-add", "c"]
    assert engine.cli("volume", "update", *change, "data").stdout == "data\n"
    shown = engine.cli("volume", "inspect", "-f", "{{json .Labels}}", "data").stdout
    assert json.loads(shown) == {"b": "3", "c": ""}
    assert "nothing to update" in engine.cli("volume", "update", "data", check=False).stderr
    missing = engine.cli("volume", "update", "--label-add", "a", "none", check=False)
    assert (missing.returncode, missing.stdout) == (1, "")


def test_prune(engine: Engine) -> None:
    engine.cli("volume", "create", "--label", "keep", "kept")
    engine.cli("volume", "create", "named")
    engine.cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "elsewhere")
    unnamed = engine.cli("volume", "create").stdout.strip()
    engine.cli("create", "-v", "/x", "busybox")
    assert len(names(engine)) == 5
    said = engine.cli("volume", "prune", "-f").stdout
    assert said.splitlines()[:2] == ["Deleted Volumes:", unnamed]
    assert said.endswith("Total reclaimed space: 0B\n")
    assert engine.cli("volume", "prune", "-f", "--filter", "all=1", "--filter", "label!=keep")
    assert len(names(engine)) == 3
    assert "named" not in names(engine)
    engine.cli("volume", "prune", "-f", "-a", "--filter", "label=keep")
    assert len(names(engine)) == 2
    assert "elsewhere" in names(engine)
    wrong = engine.cli("volume", "prune", "-f", "--filter", "foo=1", check=False)
    assert wrong.returncode == 1
    assert "unknown filter 'foo'" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["-o", "type=tmpfs"], 'missing required option: "device"'),
        (["-o", "device=/tmp"], 'missing required option: "type"'),
        (["-o", "foo=bar"], 'invalid option: "foo"'),
        (["-d", "none"], "there is no volume driver 'none'"),
    ],
)
def test_options_that_are_refused(engine: Engine, arguments: list[str], fault: str) -> None:
    done = engine.cli("volume", "create", *arguments, "vol", check=False)
    assert done.returncode == 1
    assert fault in done.stderr
    assert names(engine) == []


async def test_the_library(engine: Engine) -> None:
    with engine.client() as client:
        client.volumes.create("one", labels={"a": "1"})
        client.volumes.create()
        changed = client.volumes.update("one", labels={"b": "2"}, remove_labels=["a"])
        assert dict(changed.labels) == {"b": "2"}
        assert len(client.volumes.prune().removed) == 1
        assert client.volumes.prune(named=True, filters={"label!": "b"}).removed == []
    async with AsyncClient(engine.host) as client:
        await client.volumes.update("one", labels={"c": "3"})
        assert [v.name for v in await client.volumes.list(filters={"label": ["b", "c"]})] == ["one"]
        assert list((await client.volumes.prune(named=True)).removed) == ["one"]
