"""`save` and `load`: what they write and say; the library's faces of them."""

from __future__ import annotations

import gzip
import io
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scow.client import AsyncClient, errors
from tests.e2e.cli.support import field, terminal
from tests.support.archives import docker_archive, read_tar, tar
from tests.support.engine import BIN, Engine, as_root
from tests.support.processes import wait_for

pytestmark = as_root()
TINY = tar(docker_archive([tar({"file": b"content"})], "tiny:1", "team/tiny:2"))


@pytest.fixture
def tiny(engine: Engine, tmp_path: Path) -> Iterator[Path]:
    """An archive of an image, which is gone after the test."""
    path = tmp_path / "tiny.tar"
    path.write_bytes(TINY)
    yield path
    engine.cli("rmi", "-f", "tiny:1", "team/tiny:2", check=False)


def test_load_tells_names(engine: Engine, tiny: Path) -> None:
    loaded = engine.cli("load", "-i", str(tiny)).stdout
    assert loaded == "Loaded image: tiny:1\nLoaded image: team/tiny:2\n"
    assert engine.cli("load", "--quiet", stdin=TINY).stdout == loaded
    image = field(engine, "tiny:1", "{{.Id}}")
    assert subprocess.run(
        f"{BIN}/scow save {image} | {BIN}/scow load",
        shell=True,
        env=engine.env,
        capture_output=True,
        text=True,
        check=True,
    ).stdout == (f"Loaded image ID: {image}\n")


def test_save_replaces_the_file_when_it_is_complete(
    engine: Engine, tiny: Path, tmp_path: Path
) -> None:
    engine.cli("load", "-i", str(tiny))
    target = tmp_path / "out.tar"
    target.write_text("old")
    failed = engine.cli("save", "-o", str(target), "tiny:1", "nothing:1", check=False)
    assert (failed.returncode, "nothing:1" in failed.stderr) == (1, True)
    assert target.read_text() == "old"
    engine.cli("save", "--output", str(target), "tiny:1", "team/tiny:2")
    assert target.stat().st_mode & 0o777 == 0o600
    assert {"manifest.json", "index.json", "oci-layout"} <= set(read_tar(target.read_bytes()))
    engine.cli("save", "--format=oci-archive", "-o", str(target), "tiny:1")
    assert "manifest.json" not in read_tar(target.read_bytes())
    assert sorted(os.listdir(tmp_path)) == ["out.tar", "tiny.tar"]
    engine.cli("save", "-o", "/dev/null", "tiny:1")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_save_that_is_killed_leaves_nothing(engine: Engine, tmp_path: Path, number: int) -> None:
    data = tar(docker_archive([tar({"file": os.urandom(30_000_000)})], "killed:1"))
    engine.cli("load", stdin=data)
    command = [str(BIN / "scow"), "save", "-o", str(tmp_path / "out.tar"), "killed:1"]
    process = subprocess.Popen(command, env=engine.env)

    def writes() -> bool:
        links = Path(f"/proc/{process.pid}/fd").iterdir()
        return any(os.readlink(link).startswith(str(tmp_path)) for link in links)

    try:
        wait_for(lambda: process.poll() is not None or writes(), "the file")
        process.send_signal(number)
        process.wait()
    finally:
        engine.cli("rmi", "killed:1")
    assert os.listdir(tmp_path) in ([], ["out.tar"])


def test_terminals_are_refused(engine: Engine, tmp_path: Path) -> None:
    with terminal(engine, "save", "busybox") as screen:
        screen.wait_for(b"cowardly refusing")
        assert screen.ended() == 1
    with terminal(engine, "load") as screen:
        screen.wait_for(b"stdin is empty")
        assert screen.ended() == 1
    wrong = engine.cli("save", "-o", f"{tmp_path}/no/where.tar", "busybox", check=False)
    assert (wrong.returncode, "does not exist" in wrong.stderr) == (1, True)
    assert "no such file" in engine.cli("load", "-i", "/nothing", check=False).stderr
    assert engine.cli("save", "--format=zip", "busybox", check=False).returncode == 125


def test_progress_on_a_terminal(engine: Engine, tiny: Path) -> None:
    with terminal(engine, "load", "-i", str(tiny)) as screen:
        screen.wait_for(b"Pull complete")
        screen.wait_for(b"Loaded image: team/tiny:2")


def test_library(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    with engine.client() as client:
        [image] = client.images.load(tiny)
        assert image.references[0] == "docker.io/library/tiny:1"
        stream = io.BytesIO()
        client.images.save("tiny:1", stream)
        assert "manifest.json" in read_tar(stream.getvalue())
        [again] = client.images.load(io.BytesIO(stream.getvalue()))
        assert again.id == image.id
        with pytest.raises(errors.InvalidArchive):
            client.images.load(io.BytesIO(b"nothing"))
        with pytest.raises(FileNotFoundError):
            client.images.load(tmp_path / "missing")
        with pytest.raises(OSError, match="unreadable"):
            client.images.load(_Unreadable())


async def test_async_library(engine: Engine, tiny: Path, tmp_path: Path) -> None:
    async with AsyncClient(engine.host) as client:
        [image] = await client.images.load(tiny)
        await client.images.save("tiny:1", tmp_path / "out.tar", format="oci-archive")
        [again] = await client.images.load(tmp_path / "out.tar")
        assert again.id == image.id
        with pytest.raises(OSError, match="unreadable"):
            await client.images.load(_Unreadable())


class _Unreadable(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise OSError(5, "unreadable")


def test_import_from_a_url(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "rootfs.tar.gz").write_bytes(gzip.compress(tar({"file": b"content"})))
    handler = partial(_Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/rootfs.tar.gz"
        printed = engine.cli("import", "-m", "fetched", "-c", "USER app", url, "fetched:1").stdout
        assert field(engine, "fetched:1", "{{.Id}} {{.Config.User}}") == f"{printed.strip()} app"
        with engine.client() as client:
            assert client.images.import_url(url).comment == f"Imported from {url}"
            with pytest.raises(errors.SourceUnavailable):
                client.images.import_url(f"{url}.missing")
        assert engine.cli("import", f"{url}.missing", check=False).returncode == 1
        server.shutdown()
    for image in engine.cli("images", "-q", "--filter", "dangling=true").stdout.split():
        engine.cli("rmi", image)
    engine.cli("rmi", "fetched:1")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass
