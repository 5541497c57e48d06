"""Secrets: in containers as files, and nowhere else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import Client
from scow.contract.errors import InvalidName, NameInUse, SecretInUse, SecretNotFound
from tests.e2e.cli.support import shown
from tests.support.engine import Engine, as_root

pytestmark = as_root()
TEXT = "s3cr3t-4711-xyz"


@pytest.fixture
def token(engine: Engine) -> Iterator[str]:
    made = engine.cli("secret", "create", "-l", "a=b", "token", "-", stdin=TEXT.encode())
    secret = made.stdout.strip()
    yield secret
    left = engine.cli("ps", "-aq").stdout.split()
    if left:
        engine.cli("rm", "-f", *left)
    engine.cli("secret", "rm", "token", check=False)


def test_what_is_told_of_a_secret(engine: Engine, token: str) -> None:
    assert re.fullmatch("[0-9a-f]{32}", token)
    (shape,) = json.loads(engine.cli("secret", "inspect", "token").stdout)
    assert shape["Spec"] == {"Name": "token", "Labels": {"a": "b"}}
    assert shape["ID"] == token
    assert engine.cli("secret", "ls", "-q", "-f", "label=a").stdout.strip() == token
    header, line = engine.cli("secret", "ls").stdout.splitlines()
    assert header.split() == ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]
    assert line.split()[:2] == [token, "token"]
    again = engine.cli("secret", "create", "token", "-", stdin=b"x", check=False)
    assert again.returncode == 1
    assert "already exists" in again.stderr


def test_a_container_has_them_on_a_tmpfs(engine: Engine, token: str) -> None:
    script = (
        "cat /run/secrets/token; echo; stat -c '%a %u:%g %n' /run/secrets/* /etc/app/key;"
        "cat /etc/app/key; echo; grep -c ' /run/secrets tmpfs ro' /proc/mounts; ls -A /run/secrets;"
        "echo x > /run/secrets/y || echo read-only"
    )
    flags = (
        "--secret",
        "token",
        "--secret",
        f"{token[:8]},target=/etc/app/key,uid=7,gid=8,mode=0400",
    )
    found = engine.cli("run", "--rm", *flags, "busybox", "sh", "-c", script).stdout.splitlines()
    assert found == [
        TEXT,
        "444 0:0 /run/secrets/token",
        "400 7:8 /etc/app/key",
        TEXT,
        "1",
        "token",
        "read-only",
    ]


def test_they_come_again_with_each_start_and_after_crashes(engine: Engine, token: str) -> None:
    engine.cli("run", "-d", "--name", "web", "--secret", "token", "busybox", "sleep", "60")
    used = engine.cli("secret", "rm", "token", check=False)
    assert used.returncode == 1
    assert "is in use by container web" in used.stderr
    engine.kill_service("container")
    engine.wait_healthy()
    assert engine.cli("exec", "web", "cat", "/run/secrets/token").stdout == TEXT
    engine.cli("restart", "-t", "0", "web")
    assert engine.cli("exec", "web", "cat", "/run/secrets/token").stdout == TEXT
    engine.cli("rm", "-f", "web")
    assert engine.cli("secret", "rm", "token").stdout == "token\n"
    assert engine.cli("secret", "inspect", "token", check=False).returncode == 1


def test_nothing_but_the_container_shows_them(engine: Engine, token: str) -> None:
    engine.cli("run", "-d", "--name", "web", "--secret", "token", "busybox", "sleep", "60")
    assert shown(engine, "web")["Config"]["Image"] == "busybox"
    assert TEXT not in engine.cli("inspect", "web").stdout
    engine.cli("commit", "web", "with-secret:1")
    saved = subprocess.run(
        [
            "sh",
            "-c",
            f"cat {engine.base}/root/image/blobs/sha256/* | (zcat -f 2>/dev/null; cat) | grep -c {TEXT}",
        ],
        capture_output=True,
        check=False,
    )
    assert saved.stdout.strip() == b"0"
    engine.cli("rmi", "with-secret:1")
    found = subprocess.run(
        ["grep", "-rlaF", TEXT, str(engine.base)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    key = Path(engine.root / "container" / "secrets.key")
    assert key.stat().st_mode & 0o777 == 0o600


def test_of_a_container_with_a_user_namespace(engine: Engine, token: str) -> None:
    script = "cat /run/secrets/token; stat -c ' %u:%g' /run/secrets/token"
    flags = ("--userns", "auto", "--secret", "token,uid=5")
    found = engine.cli("run", "--rm", *flags, "busybox", "sh", "-c", script)
    assert found.stdout == f"{TEXT} 5:0\n"


def test_by_library(engine: Engine) -> None:
    with Client(engine.host) as client:
        made = client.secrets.create("lib", b"\0data", labels={"x": "y"})
        assert [each.name for each in client.secrets.list()] == ["lib"]
        assert client.secrets.get(made.id[:6]) == made
        with pytest.raises(NameInUse):
            client.secrets.create("lib", b"x")
        with pytest.raises(InvalidName):
            client.secrets.create("a/b", b"x")
        result = client.containers.run(
            "busybox", ["cat", "/run/secrets/other"], secrets=["lib,target=other"], auto_remove=True
        )
        assert result.stdout == b"\0data"
        held = client.containers.create("busybox", ["true"], secrets=["lib"])
        with pytest.raises(SecretInUse):
            client.secrets.remove("lib")
        client.containers.remove(held.id)
        client.secrets.remove("lib")
        with pytest.raises(SecretNotFound):
            client.secrets.get("lib")
