"""`commit` and `export` of a running engine's containers."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from scow.client import Client
from tests.e2e.cli.support import field, terminal
from tests.support import processes
from tests.support.engine import BIN, Engine, remains
from tests.support.memory import Memory
from tests.support.peers import Docker, Net, Podman

COUNT = "i=0; while :; do echo $i >> /count; i=$((i+1)); done"
# A file with two names, a deleted one, a directory that was made anew, a file with a hole.
_FOR_PEERS = """
echo told > /told; ln /told /again; rm /bin/wget; rm -r /etc; mkdir /etc; echo new > /etc/new
dd if=/dev/zero of=/hole bs=1 count=1 seek=5000000
"""
_SHOWN = """
set -e
cat /told /again /etc/new; test ! -e /bin/wget; test ! -e /etc/passwd
test $(wc -c < /hole) = 5000001; test $(stat -c %h /told) = 2
"""
# Bytes of the root directory's entry, whose time is the snapshot's.
_ROOT = 3 * 512
_EXPORTED = 300 << 20
LARGE = "head -c 60000000 /dev/urandom > /large; echo done; exec sleep 1000"


@pytest.fixture
def client(engine: Engine) -> Iterator[Client]:
    with engine.client() as client:
        yield client


@contextmanager
def committed(engine: Engine, container: str, *flags: str) -> Iterator[str]:
    image = engine.cli("commit", *flags, container).stdout.strip()
    assert image.startswith("sha256:")
    try:
        yield image
    finally:
        engine.cli("rmi", "-f", image)


def status(engine: Engine, container: str) -> str:
    return field(engine, container, "{{.State.Status}}")


def large(engine: Engine, name: str) -> None:
    """Run a container whose commit takes its time."""
    engine.cli("run", "-d", "--name", name, "busybox", "sh", "-c", LARGE)
    processes.wait_for(lambda: engine.cli("logs", name).stdout == "done\n", "the large file")


def begin_commit(engine: Engine, name: str) -> subprocess.Popen[bytes]:
    """Start a commit and wait until its container is frozen."""
    process = subprocess.Popen(
        [BIN / "scow", "commit", name], env=engine.env, stdout=subprocess.PIPE
    )
    processes.wait_for(lambda: status(engine, name) == "paused", "the container to be frozen")
    return process


def test_a_writer_loses_nothing(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "writer", "busybox", "sh", "-c", COUNT)
    with committed(engine, "writer") as image:
        assert status(engine, "writer") == "running"
        engine.cli("kill", "writer")
        whole = count_in(engine.cli("run", "--rm", image, "cat", "/count").stdout)
        with committed(engine, "writer") as later:
            lines = count_in(engine.cli("run", "--rm", later, "cat", "/count").stdout)
            assert len(lines) > len(whole)


def count_in(text: str) -> list[str]:
    """Check that a counter's output is whole, and return its lines."""
    assert text.endswith("\n")
    lines = text.splitlines()
    assert lines == [str(number) for number in range(len(lines))]
    return lines


def test_a_commit_that_does_not_pause(engine: Engine) -> None:
    large(engine, "unpaused")
    shown = []
    process = subprocess.Popen(
        [BIN / "scow", "commit", "--pause=false", "unpaused"],
        env=engine.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None:
        shown.append(status(engine, "unpaused"))
    assert process.returncode == 0
    assert set(shown) == {"running"}
    image = process.communicate()[0].strip()
    size = engine.cli("run", "--rm", image, "sh", "-c", "wc -c < /large").stdout
    assert size == "60000000\n"
    engine.cli("rmi", image)


def test_paused_stopped_and_created_ones_stay_so(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "paused", "busybox", "sh", "-c", "echo x > /x; sleep 1000")
    engine.cli("pause", "paused")
    engine.cli("create", "--name", "created", "busybox", "true")
    engine.cli("run", "--name", "exited", "busybox", "sh", "-c", "echo x > /x; rm /bin/wget")
    for name in ("paused", "created", "exited"):
        with committed(engine, name) as image:
            assert status(engine, name) == name
            if name == "exited":
                shown = engine.cli("run", "--rm", image, "sh", "-c", "cat /x; test ! -e /bin/wget")
                assert shown.stdout == "x\n"


def test_the_configuration_is_the_containers(engine: Engine) -> None:
    flags = ["-e", "A=1", "-w", "/tmp", "-u", "nobody", "--expose", "80", "-v", "/data"]
    engine.cli("create", "--name", "configured", "-l", "x=y", *flags, "busybox", "echo", "hello")
    changes = ["-c", "ENV B=2", "-c", 'ENTRYPOINT ["echo"]', "-c", "CMD from $0", "-c", "LABEL p=q"]
    with committed(engine, "configured", "-a", "me", "-m", "why", *changes) as image:
        (shape,) = json.loads(engine.cli("image", "inspect", image).stdout)
        config = shape["Config"]
        assert {"A=1", "B=2"} <= set(config["Env"])
        assert (config["WorkingDir"], config["User"]) == ("/tmp", "nobody")
        assert config["ExposedPorts"] == {"80/tcp": {}}
        assert config["Volumes"] == {"/data": {}}
        assert config["Labels"] == {"x": "y", "p": "q"}
        assert config["Entrypoint"] == ["echo"]
        assert config["Cmd"] == ["/bin/sh", "-c", "from $0"]
        assert (shape["Author"], shape["Comment"]) == ("me", "why")
    with committed(engine, "configured") as image:
        assert engine.cli("run", "--rm", image).stdout == "hello\n"


def test_a_client_that_goes_away(engine: Engine) -> None:
    large(engine, "abandoned")
    process = begin_commit(engine, "abandoned")
    process.kill()
    process.communicate()
    processes.wait_for(lambda: status(engine, "abandoned") == "running", "the thaw")
    assert engine.cli("exec", "abandoned", "echo", "thawed").stdout == "thawed\n"


@pytest.mark.parametrize("service", ["container", "image"])
def test_a_service_that_is_killed(own_engine: Engine, service: str) -> None:
    large(own_engine, "survivor")
    process = begin_commit(own_engine, "survivor")
    own_engine.kill_service(service)
    output, _ = process.communicate(timeout=60)  # the client tries again with the same request
    own_engine.wait_healthy()
    processes.wait_for(lambda: status(own_engine, "survivor") == "running", "the thaw")
    assert own_engine.cli("exec", "survivor", "echo", "thawed").stdout == "thawed\n"
    if process.returncode == 0:
        image = output.decode().strip()
        assert own_engine.cli("images", "-q", "--no-trunc").stdout.split().count(image) == 1
    ingests = own_engine.root / "image" / "ingest"
    processes.wait_for(lambda: not list(ingests.iterdir()), "the end of what was begun")


def entries(tar: bytes) -> dict[str, tuple[Any, ...]]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {
            entry.name: (entry.type, entry.mode, entry.uid, entry.size, entry.linkname)
            for entry in archive
            if entry.name != "."
        }


def export(engine: Engine, container: str) -> bytes:
    done = subprocess.run(
        [BIN / "scow", "export", container], env=engine.env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_export_of_running_and_stopped_ones(engine: Engine) -> None:
    script = "mkdir /d; echo x > /d/x; ln /d/x /d/y; rm /bin/wget; echo done; exec sleep 1000"
    engine.cli(
        "run",
        "-d",
        "--name",
        "exported",
        "-v",
        "/volume",
        "--tmpfs",
        "/tmp",
        "busybox",
        "sh",
        "-c",
        script,
    )
    processes.wait_for(lambda: engine.cli("logs", "exported").stdout == "done\n", "its files")
    engine.cli("exec", "exported", "sh", "-c", "echo volume > /volume/x; echo tmp > /tmp/x")
    running = export(engine, "exported")
    engine.cli("kill", "exported")
    assert export(engine, "exported") == running
    found = entries(running)
    assert found["d/y"][-1] == "d/x"
    assert "bin/wget" not in found
    assert "bin/busybox" in found
    assert not {name for name in found if name.startswith(("proc/", "volume/", "tmp/", "dev/p"))}
    image = engine.cli("import", "-", stdin=running).stdout.strip()
    engine.cli("create", "--name", "again", image, "true")
    assert export(engine, "again")[_ROOT:] == running[_ROOT:]
    engine.cli("rm", "again")
    engine.cli("rmi", image)
    assert not remains(engine.instance)


def layers(engine: Engine, image: str) -> list[str]:
    (shape,) = json.loads(engine.cli("image", "inspect", image).stdout)
    return list(shape["RootFS"]["Layers"])


@pytest.mark.parametrize("flags", [(), ("--read-only",)])
def test_a_container_that_changed_nothing(engine: Engine, flags: tuple[str, ...]) -> None:
    """What the engine itself gives it, `/.dockerenv` and places to mount upon, is in it and is no change of its."""
    script = "stat -c '%a %u %g %s' /.dockerenv"
    shown = engine.cli("run", "--name", "untouched", *flags, "busybox", "sh", "-c", script)
    assert shown.stdout == "755 0 0 0\n"
    sizes = engine.cli("ps", "-as", "--format", "{{.Names}} {{.Size}}").stdout
    assert "untouched 0B (virtual " in sizes
    assert entries(export(engine, "untouched"))[".dockerenv"] == (tarfile.REGTYPE, 0o755, 0, 0, "")
    with committed(engine, "untouched") as image:
        assert layers(engine, image) == layers(engine, "busybox")
    engine.cli("rm", "untouched")


def test_the_mark_of_a_container_is_deleted_or_is_the_images(engine: Engine) -> None:
    script = "test -e /.dockerenv && rm /.dockerenv && printf hello > /said"
    engine.cli("run", "--name", "marked", "busybox", "sh", "-c", script)
    assert engine.cli("start", "-a", "marked", check=False).returncode == 1
    sizes = engine.cli("ps", "-as", "--format", "{{.Names}} {{.Size}}").stdout
    assert "marked 5B (virtual " in sizes
    with committed(engine, "marked") as image:
        shown = engine.cli("run", "--name", "own", image, "sh", "-c", "printf own > /.dockerenv")
        assert shown.stdout == ""
        with committed(engine, "own") as other:
            assert engine.cli("run", "--rm", other, "cat", "/.dockerenv").stdout == "own"
        engine.cli("rm", "own")
    engine.cli("rm", "marked")


def test_export_to_a_file_and_not_to_a_terminal(engine: Engine, tmp_path: Any) -> None:
    engine.cli("create", "--name", "filed", "busybox", "true")
    engine.cli("export", "-o", str(tmp_path / "out.tar"), "filed")
    assert (tmp_path / "out.tar").read_bytes() == export(engine, "filed")
    assert [path.name for path in tmp_path.iterdir()] == ["out.tar"]
    refused = engine.cli("export", "-o", str(tmp_path / "no" / "out.tar"), "filed", check=False)
    assert refused.returncode == 1
    with terminal(engine, "export", "filed") as shown:
        shown.wait_for(b"cowardly")


def test_memory_stays_flat_while_a_large_file_is_exported(engine: Engine, client: Client) -> None:
    script = f"head -c {_EXPORTED} /dev/zero > /large"
    engine.cli("run", "--name", "heavy", "busybox", "sh", "-c", script)
    memory = Memory(engine.service_pid("container"))
    size = sum(len(piece.chunk) for piece in client.containers.export_stream("heavy"))
    assert size > _EXPORTED
    # What a queue of messages of 1 MiB on each side of the wire may take.
    assert memory.growth() < 64 << 20


def test_an_export_that_nobody_reads_ends(engine: Engine, client: Client) -> None:
    large(engine, "unread")
    with client.containers.export_stream("unread") as tar:
        next(iter(tar))
        workers = processes.mentioning("scow.core.archive.export")
        assert workers
    processes.wait_for(lambda: not any(map(processes.alive, workers)), "the end of the export")
    assert not remains_mounts(engine)


def remains_mounts(engine: Engine) -> list[str]:
    return [line for line in remains(engine.instance) if "overlay" in line]


@pytest.mark.parametrize("kind", [Docker, Podman])
def test_peers_read_exports_and_commits(
    engine: Engine, kind: type[Docker] | type[Podman], tmp_path: Any
) -> None:
    engine.cli("run", "--name", "for-peers", "busybox", "sh", "-c", _FOR_PEERS)
    tar = export(engine, "for-peers")
    engine.cli("commit", "for-peers", "localhost/committed:1")
    engine.cli("save", "-o", str(tmp_path / "saved.tar"), "localhost/committed:1")
    engine.cli("rmi", "localhost/committed:1")
    net = Net()
    try:
        with kind(net) as peer:
            peer.cli("import", "-", "exported", stdin=tar)
            peer.cli("load", "-i", str(tmp_path / "saved.tar"))
            for image in ("exported", "localhost/committed:1"):
                assert peer.cli("run", "--rm", image, "sh", "-c", _SHOWN) == "told\ntold\nnew"
    finally:
        net.close()


def test_commit_of_what_becomes_something_else_meanwhile(engine: Engine) -> None:
    script = """
        mkdir /swap; cd /swap
        while true; do
            for n in 1 2 3 4 5 6 7 8; do rm -rf $n; mkdir $n; done
            for n in 1 2 3 4 5 6 7 8; do rmdir $n; ln -s /etc $n; done
        done
    """
    engine.cli("run", "-d", "--name", "swapping", "busybox", "sh", "-c", script)
    for _ in range(12):
        engine.cli("commit", "--pause=false", "swapping", "swapped")
    engine.cli("rm", "-f", "swapping")
    engine.cli("rmi", "swapped")
