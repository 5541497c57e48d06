"""The `docker` command of Debian, unchanged, against the engine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import processes, terminal
from tests.support.engine import Engine

Docker = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def docker(engine: Engine) -> Docker:
    """Run the command; an error fails the test unless `check` is False."""

    def run(*words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", "-H", address(engine), *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "DOCKER_BUILDKIT": "0", "DOCKER_CONFIG": "/nonexistent"},
        )
        assert not check or done.returncode == 0, done.stderr
        return done

    return run


def address(engine: Engine) -> str:
    return f"unix://{engine.run}/docker.sock"


def test_run_and_its_exit_code(docker: Docker) -> None:
    assert docker("run", "--rm", "busybox", "echo", "hello").stdout == "hello\n"
    assert docker("run", "-i", "--rm", "busybox", "cat", stdin="abc").stdout == "abc"
    assert docker("run", "--rm", "busybox", "sh", "-c", "exit 3", check=False).returncode == 3
    assert docker("run", "--rm", "busybox", "nosuch", check=False).returncode == 127
    assert docker("run", "--rm", "busybox", "/etc", check=False).returncode == 126
    assert docker("ps", "-aq").stdout == ""


def test_both_streams_come_apart(docker: Docker) -> None:
    done = docker("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_a_life(docker: Docker) -> None:
    docker("run", "-d", "--name", "web", "--label", "tier=front", "busybox", "sleep", "1000")
    assert "web" in docker("ps", "--filter", "label=tier=front").stdout
    assert docker("exec", "-e", "A=1", "web", "sh", "-c", "echo $A").stdout == "1\n"
    assert docker("exec", "-i", "web", "cat", stdin="abc").stdout == "abc"
    assert docker("exec", "web", "sh", "-c", "exit 7", check=False).returncode == 7
    assert docker("exec", "web", "nosuch", check=False).returncode in (126, 127)
    docker("pause", "web")
    assert "Paused" in docker("ps").stdout
    docker("unpause", "web")
    docker("rename", "web", "site")
    assert "sleep 1000" in docker("top", "site").stdout
    docker("restart", "-t", "0", "site")
    docker("kill", "site")
    assert docker("wait", "site").stdout == "137\n"
    docker("start", "site")
    docker("stop", "-t", "0", "site")
    assert docker("inspect", "-f", "{{.State.Status}}", "site").stdout == "exited\n"
    docker("rm", "site")
    assert "No such container" in docker("rm", "site", check=False).stderr


def test_logs(docker: Docker) -> None:
    script = "for i in 1 2 3; do echo out$i; done; echo err >&2"
    docker("run", "--name", "told", "busybox", "sh", "-c", script)
    done = docker("logs", "told")
    assert (done.stdout, done.stderr) == ("out1\nout2\nout3\n", "err\n")
    assert docker("logs", "-f", "told").stdout == done.stdout
    assert len(docker("logs", "-t", "-n", "2", "told").stdout.split()) in (2, 4)


def test_attached_before_the_start(docker: Docker, engine: Engine) -> None:
    docker("create", "-i", "--name", "later", "busybox", "cat")
    assert docker("start", "-ai", "later", stdin="abc").stdout == "abc"
    docker("create", "--name", "left", "busybox", "true")
    client = subprocess.Popen(
        ["docker", "-H", address(engine), "start", "-a", "left"], stdout=subprocess.PIPE
    )
    client.communicate(timeout=20)
    assert client.returncode == 0


def test_a_terminal(docker: Docker, engine: Engine) -> None:
    command = ["docker", "-H", address(engine), "run", "-it", "--rm", "busybox", "sh"]
    with terminal.Terminal(command) as shell:
        shell.wait_for(b"/ #")
        shell.type(b"echo $((6*7)); exit 4\n")
        shell.wait_for(b"42")
        assert shell.ended() == 4


def test_ports_volumes_and_networks(docker: Docker) -> None:
    docker("network", "create", "--subnet", "10.97.5.0/24", "front")
    docker("volume", "create", "--label", "a=b", "data")
    docker(
        *("run", "-d", "--name", "one", "--network", "front", "--network-alias", "web"),
        *("-v", "data:/data", "-p", "127.0.0.1::80", "busybox", "sleep", "1000"),
    )
    assert docker("port", "one").stdout.startswith("80/tcp -> 127.0.0.1:")
    again = docker("run", "--rm", "--network", "front", "busybox", "ping", "-c1", "-W2", "web")
    assert "10.97.5." in again.stdout
    shape = json.loads(docker("inspect", "one").stdout)[0]
    assert shape["Mounts"][0]["Name"] == "data"
    assert "front" in shape["NetworkSettings"]["Networks"]
    docker("network", "connect", "bridge", "one")
    docker("network", "disconnect", "front", "one")
    docker("rm", "-f", "one")
    docker("network", "rm", "front")
    assert docker("volume", "ls", "-q", "--filter", "label=a=b").stdout == "data\n"
    docker("volume", "rm", "data")


def test_images(docker: Docker, tmp_path: Path) -> None:
    docker("run", "--name", "changed", "busybox", "touch", "/made")
    docker("commit", "-m", "told", "changed", "made:1")
    docker("tag", "made:1", "made:2")
    assert docker("images", "-q", "made").stdout.count("\n") == 2
    assert "told" in docker("history", "made:1").stdout.splitlines()[1]
    docker("save", "-o", str(tmp_path / "made.tar"), "made:1")
    docker("rmi", "made:1", "made:2")
    assert "No such image" in docker("rmi", "made:1", check=False).stderr
    assert "made:1" in docker("load", "-i", str(tmp_path / "made.tar")).stdout
    assert docker("run", "--rm", "made:1", "ls", "/made").stdout == "/made\n"
    docker("rmi", "made:1")


def test_a_build(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("copied\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nARG WHO\nCOPY file /file\nRUN echo $WHO >> /file\nCMD cat /file\n"
    )
    done = docker("build", "-t", "built:1", "--build-arg", "WHO=me", str(tmp_path))
    assert "Successfully tagged built:1" in done.stdout
    assert docker("run", "--rm", "built:1").stdout == "copied\nme\n"
    docker("rmi", "built:1")
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN exit 9\n")
    failed = docker("build", str(tmp_path), check=False)
    assert (failed.returncode, "exit code: 9" in failed.stderr) == (9, True)


def test_what_the_engine_is(docker: Docker) -> None:
    assert docker("info", "--format", "{{.OSType}}").stdout == "linux\n"
    assert "Engine" in docker("version").stdout
    assert "Images" in docker("system", "df").stdout
    assert "swarm" in docker("service", "ls", check=False).stderr


def test_a_server_that_is_killed_is_started_again(engine: Engine, docker: Docker) -> None:
    docker("ps")
    engine.kill_service("docker")
    processes.wait_for(lambda: docker("ps", check=False).returncode == 0, "another server")


def test_files(docker: Docker, tmp_path: Path) -> None:
    (tmp_path / "greeting").write_text("hello\n")
    docker("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    docker("cp", str(tmp_path / "greeting"), "box:/tmp/")
    assert docker("exec", "box", "cat", "/tmp/greeting").stdout == "hello\n"
    docker("cp", "box:/tmp/greeting", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "hello\n"
    docker("cp", "box:/etc/.", str(tmp_path / "etc"))
    assert (tmp_path / "etc/passwd").is_file()
    assert docker("cp", "box:/nosuch", str(tmp_path), check=False).returncode == 1
    assert docker("diff", "box").stdout.splitlines() == ["C /tmp", "A /tmp/greeting"]


def test_events(docker: Docker) -> None:
    start = time.time()
    docker("create", "--name", "told", "busybox")
    docker("rm", "told")
    until = f"{time.time():.9f}"
    words = ("events", "--since", f"{start:.9f}", "--until", until, "--filter", "container=told")
    found = docker(*words, "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}")
    assert found.stdout == "container create told\ncontainer destroy told\n"


def test_stats_and_update(docker: Docker) -> None:
    docker("run", "-d", "--name", "box", "-m", "64m", "busybox", "sleep", "1000")
    shown = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}} {{.PIDs}}", "box")
    assert shown.stdout.split()[0] == "box"
    assert shown.stdout.split()[3:] == ["64MiB", "1"]
    docker("update", "--memory", "32m", "--memory-swap", "64m", "--restart", "always", "box")
    found = docker(
        "inspect", "-f", "{{.HostConfig.Memory}} {{.HostConfig.RestartPolicy.Name}}", "box"
    )
    assert found.stdout == f"{32 << 20} always\n"


def test_pruned_containers(docker: Docker) -> None:
    docker("create", "--name", "kept", "--label", "keep", "busybox")
    gone = docker("create", "--name", "gone", "busybox").stdout.strip()
    assert gone in docker("container", "prune", "-f", "--filter", "label!=keep").stdout
    assert docker("ps", "-a", "--format", "{{.Names}}").stdout == "kept\n"
