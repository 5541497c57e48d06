"""Docker's compose command, unchanged, against the engine."""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.engine import BIN, Engine

_PROJECT = """\
services:
  db:
    image: busybox
    command: sh -c 'echo ready > /data/up; sleep 1000'
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "test", "-f", "/data/up"], interval: 1s, retries: 20}
  web:
    build: .
    depends_on: {db: {condition: service_healthy}}
    ports: ["127.0.0.1::80"]
    environment: {GREETING: hello}
    networks: [default, back]
  tool:
    image: busybox
    profiles: [tools]
    command: echo tool
volumes: {data: {}}
networks: {back: {}}
"""
_DOCKERFILE = """\
FROM busybox
RUN mkdir -p /www && echo built > /www/index.html
CMD ["httpd", "-f", "-h", "/www"]
"""
Compose = Callable[..., str]


@pytest.fixture
def compose(engine: Engine, tmp_path: Path) -> Compose:
    """Run the command on a project of three services; return what it printed."""
    (tmp_path / "compose.yaml").write_text(_PROJECT)
    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    own = {
        "DOCKER_HOST": f"unix://{engine.run}/docker.sock",
        "DOCKER_BUILDKIT": "0",
        "DOCKER_CONFIG": "/nonexistent",
        "COMPOSE_PROJECT_NAME": "project",
    }

    def run(*words: str) -> str:
        done = subprocess.run(
            [BIN / "docker-compose", *words],
            cwd=tmp_path,
            env={**os.environ, **own},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_project_of_three_services(engine: Engine, compose: Compose, tmp_path: Path) -> None:
    compose("up", "-d", "--build")
    assert sorted(compose("ps", "--format", "{{.Service}} {{.State}}").split("\n"))[1:] == [
        "db running",
        "web running",
    ]
    address = compose("port", "web", "80").strip()
    with urllib.request.urlopen(f"http://{address}/", timeout=20) as page:
        assert page.read() == b"built\n"
    assert compose("exec", "-T", "web", "sh", "-c", "echo $GREETING").strip() == "hello"
    assert "1 packets received" in compose("exec", "-T", "web", "ping", "-c1", "-W5", "db")
    assert compose("run", "--rm", "tool") == "tool\n"
    compose("up", "-d", "--scale", "db=2")
    assert len(compose("ps", "-q").split()) == 3
    compose("cp", "web:/www/index.html", str(tmp_path / "page"))
    assert (tmp_path / "page").read_text() == "built\n"
    compose("restart", "-t", "0", "web")
    compose("stop", "-t", "0")
    compose("down", "-v", "--rmi", "local")
    assert engine.cli("ps", "-aq").stdout == ""
    assert engine.cli("volume", "ls", "-q", "-f", "name=project").stdout == ""
    assert engine.cli("network", "ls", "-q", "-f", "name=project").stdout == ""
