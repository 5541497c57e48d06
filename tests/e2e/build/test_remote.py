"""What builds get from elsewhere: ADD of URLs, archives and git; contexts that are no directories."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.engine import ACCEPT_ALL, Engine


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """Serve a folder."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def accept_all(engine: Engine) -> Iterator[None]:
    yield
    engine.sources.write_text(ACCEPT_ALL)


def tar(**members: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as out:
        for name, text in members.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_dot_", "."))
            info.size, info.mode, info.uid = len(text), 0o640, 1000
            out.addfile(info, io.BytesIO(text.encode()))
    return stream.getvalue()


def run(engine: Engine, image: str, *command: str) -> str:
    return str(engine.cli("run", "--rm", "--network", "none", image, *command).stdout)


def repository(folder: Path) -> str:
    """Make a bare repository that plain HTTP can serve; return its commit."""
    work = folder / "work"
    files(work, Dockerfile="FROM busybox\nCOPY data /data\n", data="of git\n", sub__f="sub\n")
    environment = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null"}
    identity = ("-c", "user.name=a", "-c", "user.email=a@b")
    for command in (
        ("-C", str(work), "init", "-q", "-b", "main"),
        ("-C", str(work), "add", "-A"),
        ("-C", str(work), *identity, "commit", "-q", "-m", "x"),
        ("clone", "-q", "--bare", str(work), str(folder / "r.git")),
        ("-C", str(folder / "r.git"), "update-server-info"),
    ):
        subprocess.run(["git", *command], check=True, env=environment)
    done = subprocess.run(
        ["git", "-C", str(work), "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_add_of_urls(
    engine: Engine, client: Client, tmp_path: Path, site: tuple[Path, str]
) -> None:
    folder, address = site
    files(folder, file_dot_txt="of a URL\n")
    (folder / "a.tar.gz").write_bytes(gzip.compress(tar(inside="packed\n")))
    digest = hashlib.sha256(b"of a URL\n").hexdigest()
    text = f"""FROM busybox
ADD {address}/file.txt /to/
ADD --checksum=sha256:{digest} --chown=app --chmod=644 {address}/file.txt /renamed
ADD {address}/a.tar.gz /kept.tar.gz
ADD --unpack {address}/a.tar.gz /unpacked
RUN cat /to/file.txt /renamed /unpacked/inside && stat -c '%a %U' /to/file.txt /renamed && test -f /kept.tar.gz
"""
    context = files(tmp_path / "context", a="")
    told = build(client, context, text, tags=["urls"])
    assert told.output.decode() == "of a URL\nof a URL\npacked\n600 root\n644 app\n"
    again = build(client, context, text, tags=["urls"])
    assert again.done == ["FROM busybox"]
    (folder / "file.txt").write_text("changed\n")
    with pytest.raises(errors.DigestMismatch) as caught:
        build(client, context, text)
    assert caught.value.metadata["line"] == "3"


def test_add_unpacks_local_archives(engine: Engine, client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar(d__f="packed\n"))
    (tmp_path / "b.tgz").write_bytes(gzip.compress(tar(g="compressed\n")))
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/c.tar").write_bytes(tar(h="stays"))
    build(
        client,
        tmp_path,
        """FROM busybox
ADD a.tar b.tgz /to/
ADD dir /dir
ADD --unpack=false a.tar /as-it-is.tar
COPY a.tar /copied.tar
""",
        tags=["unpacked"],
    )
    listed = run(
        engine,
        "unpacked",
        "sh",
        "-c",
        "cd / && find to dir *.tar -type f | sort; stat -c %u:%a to/d/f",
    )
    assert listed.split() == [
        "as-it-is.tar",
        "copied.tar",
        "dir/c.tar",
        "to/d/f",
        "to/g",
        "1000:640",
    ]


def test_an_archive_that_leads_out(client: Client, tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as out:
        out.addfile(tarfile.TarInfo("../x"))
    (tmp_path / "a.tar").write_bytes(stream.getvalue())
    with pytest.raises(errors.InvalidContext, match="leads out"):
        build(client, tmp_path, "FROM scratch\nADD a.tar /\n")


def test_git(engine: Engine, client: Client, tmp_path: Path, site: tuple[Path, str]) -> None:
    folder, address = site
    commit = repository(folder)
    text = (
        f"FROM busybox\nADD {address}/r.git#{commit} /all\nADD {address}/r.git#{commit}:sub /sub/\n"
    )
    build(client, files(tmp_path / "context", a=""), text, tags=["git"])
    assert run(engine, "git", "sh", "-c", "cat /all/data /sub/f; ls -A /all").split("\n")[:2] == [
        "of git",
        "sub",
    ]
    built = engine.cli("build", "-t", "of-git", f"{address}/r.git#{commit}")
    assert built.returncode == 0
    assert run(engine, "of-git", "cat", "/data") == "of git\n"


def test_contexts_that_are_no_directories(
    engine: Engine, tmp_path: Path, site: tuple[Path, str]
) -> None:
    folder, address = site
    members = {
        "Dockerfile": "FROM busybox\nCOPY . /to\nCMD cat /to/data\n",
        "data": "of a tar\n",
        "secret": "no",
        "_dot_dockerignore": "secret\nDockerfile\n",
    }
    packed = gzip.compress(tar(**members))
    (folder / "context.tar.gz").write_bytes(packed)
    engine.cli("build", "-t", "of-stdin", "-", stdin=packed)
    engine.cli("build", "-t", "of-url", f"{address}/context.tar.gz")
    for name in ("of-stdin", "of-url"):
        assert run(engine, name) == "of a tar\n"
        assert "secret" not in run(engine, name, "ls", "/to")
    engine.cli("build", "-t", "alone", "-", stdin=b"FROM busybox\nCMD echo alone\n")
    assert run(engine, "alone") == "alone\n"
    (folder / "other.Dockerfile").write_text("FROM busybox\nCMD echo other\n")
    engine.cli("build", "-t", "other", "-f", f"{address}/other.Dockerfile", str(folder))
    assert run(engine, "other") == "other\n"


def test_a_policy(engine: Engine, client: Client, tmp_path: Path, site: tuple[Path, str]) -> None:
    folder, address = site
    files(folder, allowed__f="x", refused__f="x")
    engine.sources.write_text(
        f'default = "reject"\n[images]\nbusybox = "accept"\n[urls]\n"{address}/allowed/*" = "accept"\n'
    )
    context = files(tmp_path / "context", a="")
    build(client, context, f"FROM busybox\nADD {address}/allowed/f /f\n")
    for text, line in (
        (f"FROM busybox\nADD {address}/refused/f /f\n", "2"),
        (f"FROM busybox\nADD {address}/allowed/../refused/f /f\n", "2"),
        (f"FROM busybox\nADD {address}/r.git /f\n", "2"),
        ("FROM busybox\nCOPY --from=alpine /a /b\n", "2"),
    ):
        with pytest.raises(errors.SourceDenied) as caught:
            build(client, context, text)
        assert caught.value.metadata["line"] == line
    with pytest.raises(errors.SourceDenied):
        build(client, context, "FROM alpine\n")
    engine.sources.write_text("default = ")
    with pytest.raises(errors.InvalidSourcePolicy):
        build(client, context, "FROM busybox\n")
