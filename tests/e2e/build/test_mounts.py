"""What RUN mounts."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.engine import Engine


def listed(engine: Engine, image: str) -> list[str]:
    told = engine.cli("run", "--rm", "--network", "none", image, "find", "/", "-xdev")
    return sorted(str(told.stdout).split())


def test_files_of_the_context_and_of_stages(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="context")
    told = build(
        client,
        tmp_path,
        """FROM busybox AS other
RUN mkdir /made && echo stage > /made/b
FROM busybox
RUN --mount=type=bind,source=src,target=/ctx --mount=from=other,source=/made,target=/stage,rw \\
    cat /ctx/a /stage/b && echo more > /stage/c && ! touch /ctx/x
RUN --mount=target=/all ls /all
RUN --mount=from=other,source=made/b,target=/one cat /one
""",
        tags=["bound"],
    )
    assert told.output.replace(b"touch: /ctx/x: Read-only file system\n", b"") == (
        b"contextstage\nsrc\nstage\n"
    )
    found = listed(engine, "bound")
    assert not {"/ctx", "/stage", "/all", "/one"} & set(found)


def test_mounted_files_count_by_content(client: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="one")
    text = "FROM busybox\nRUN --mount=source=src,target=/s cat /s/a > /copy\n"
    build(client, tmp_path, text)
    os.utime(tmp_path / "src/a", (1, 1))
    assert len(build(client, tmp_path, text).cached) == 1
    files(tmp_path, src__a="two")
    assert build(client, tmp_path, text).cached == []


def test_caches_stay_and_are_in_no_image(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    text = """FROM busybox
RUN --mount=type=cache,target=/var/cache/x,id={name},mode=750,uid=7 \\
    stat -c '%a %u' /var/cache/x; cat /var/cache/x/* ; echo {value} >> /var/cache/x/f; true
"""
    name = tmp_path.name
    first = build(client, tmp_path, text.format(name=name, value="one"), tags=["caching"])
    assert b"750 7\n" in first.output
    second = build(client, tmp_path, text.format(name=name, value="two"), tags=["caching"])
    assert b"one\n" in second.output
    assert "/var/cache" not in listed(engine, "caching")
    assert any(record.type == "exec.cachemount" for record in client.builds.disk_usage())


def test_a_cache_begins_with_what_it_is_made_from(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    text = f"""FROM busybox AS seed
RUN mkdir /seed && echo seeded > /seed/f
FROM busybox
RUN --mount=type=cache,from=seed,source=/seed,target=/c,id={tmp_path.name} cat /c/f
"""
    assert build(client, tmp_path, text).output == b"seeded\n"


def test_tmpfs(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    text = "FROM busybox\nRUN --mount=type=tmpfs,target=/big,size=1m stat -f -c %T /big; touch /big/x\n"
    assert build(client, tmp_path, text, tags=["temporary"]).output == b"tmpfs\n"
    assert "/big" not in listed(engine, "temporary")


def test_secrets_are_nowhere_afterwards(engine: Engine, client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    value = b"hunter2-" + os.urandom(8).hex().encode()
    text = """FROM busybox
RUN --mount=type=secret,id=key stat -c '%a %u' /run/secrets/key && wc -c < /run/secrets/key
RUN --mount=type=secret,id=key,env=KEY --mount=type=secret,id=key,target=/etc/key,mode=444 \\
    test "$KEY" = "$(cat /etc/key)"
RUN --mount=type=secret,id=other ls /run/secrets/other || echo none
"""
    told = build(client, tmp_path, text, secrets={"key": value}, tags=["secretive"])
    assert told.output.startswith(b"400 0\n24\n")
    assert b"none\n" in told.output
    assert not {"/run/secrets", "/run/secrets/key", "/etc/key"} & set(listed(engine, "secretive"))
    again = build(client, tmp_path, text, secrets={"key": b"another"})
    assert len(again.cached) == 3  # its value is not part of any key
    found = subprocess.run(
        ["grep", "-r", "-l", "-a", "-F", value.decode(), engine.root, engine.run, engine.log],
        capture_output=True,
        check=False,
    )
    assert found.stdout == b""


def test_a_required_secret_that_the_client_does_not_have(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    with pytest.raises(errors.InvalidMount, match="key is required"):
        build(client, tmp_path, "FROM busybox\nRUN --mount=type=secret,id=key,required true\n")


def test_a_script_of_its_own(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    text = "FROM busybox\nRUN <<END\n#!/bin/awk -f\nBEGIN { print 6 * 7 }\nEND\n"
    assert build(client, tmp_path, text).output == b"42\n"


def test_an_ssh_agent_of_the_client(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    path = tmp_path / "agent"
    text = """FROM busybox
RUN --mount=type=ssh printf '\\0\\0\\0\\1\\13' | nc -w 3 -U $SSH_AUTH_SOCK | od -An -tx1; echo $SSH_AUTH_SOCK
RUN --mount=type=ssh,id=absent echo "none: $SSH_AUTH_SOCK"
"""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with subprocess.Popen([sys.executable, "-c", _AGENT], stdin=listener.fileno()) as agent:
            try:
                told = build(client, tmp_path, text, agents={"default": str(path)})
            finally:
                agent.kill()
    assert told.output.endswith(b"/run/buildkit/ssh_agent.0\nnone: \n")


# Has no keys: the answer 12 with the number 0 (draft-miller-ssh-agent, section 3.5).
_AGENT = """
import socket
listener = socket.socket(fileno=0)
while True:
    connection, _ = listener.accept()
    assert connection.recv(100) == bytes([0, 0, 0, 1, 11])
    connection.sendall(bytes([0, 0, 0, 5, 12, 0, 0, 0, 0]))
"""
