"""`--squash`: what several layers do, done by one."""

from __future__ import annotations

from pathlib import Path

from scow.client import Client
from tests.support.building import build, files
from tests.support.engine import Engine
from tests.support.flattened import flattened

BASE = """FROM busybox
RUN mkdir -m 700 -p /kept/inner /gone/inner /opaque && chown 7:8 /kept \\
 && touch /kept/inner/a /kept/b /gone/inner/c /opaque/old /file-then-directory \\
 && mkdir /directory-then-file && touch /directory-then-file/x
"""
CHANGES = """
COPY file /kept/inner/copied
RUN rm -r /gone /kept/b && rm -r /opaque && mkdir /opaque && touch /opaque/new
RUN echo 1 > /twice && ln /twice /linked && chmod 4755 /kept/inner/a
RUN echo 22 > /twice && rm /file-then-directory && mkdir /file-then-directory
RUN rm -r /directory-then-file && ln -s / /directory-then-file && touch /gone-again && mkdir /d && touch /d/x
RUN rm /gone-again && rm -r /d
"""


def saved(engine: Engine, folder: Path, image: str) -> tuple[object, dict[str, object]]:
    path = folder / f"{image.replace(':', '-')}.tar"
    engine.cli("save", "-o", str(path), image)
    return flattened(path.read_bytes())


def test_the_files_are_the_same(engine: Engine, client: Client, tmp_path: Path) -> None:
    context = files(tmp_path / "context", file="x")
    build(client, context, BASE, tags=["squash:base"])
    text = f"FROM squash:base{CHANGES}"
    plain = build(client, context, text, tags=["squash:plain"])
    told = build(client, context, text, tags=["squash:one"], squash=True)
    base, one = client.images.get("squash:base"), client.images.get("squash:one")
    assert list(one.diff_ids[:-1]) == list(base.diff_ids)
    assert saved(engine, tmp_path, "squash:one")[0] == saved(engine, tmp_path, "squash:plain")[0]
    # The same again is the same image, of the cache.
    again = build(client, context, text, squash=True)
    assert again.result.images == told.result.images
    assert plain.result.images != told.result.images
    shown = ("history", "--no-trunc", "--format", "{{.Size}} {{.Comment}}", "squash:one")
    history = engine.cli(*shown).stdout.splitlines()
    assert "merge sha256:" in history[0]
    assert all(line.startswith("0B") for line in history[1:7])


def test_nothing_below(engine: Engine, client: Client, tmp_path: Path) -> None:
    context = files(tmp_path / "context", file="x", other="y")
    text = "FROM scratch\nCOPY file /\nCOPY other /file\nCOPY other /b/\n"
    build(client, context, text, tags=["squash:scratch"], squash=True)
    assert len(client.images.get("squash:scratch").diff_ids) == 1
    (context / "Dockerfile").write_text(text)
    engine.cli("build", "-q", "--squash", "-t", "squash:flag", str(context))
    assert client.images.get("squash:flag").id == client.images.get("squash:scratch").id


def test_nothing_made(client: Client, tmp_path: Path) -> None:
    context = files(tmp_path, file="x")
    build(client, context, "FROM busybox\nENV A=1\n", tags=["squash:none"], squash=True)
    assert client.images.get("squash:none").diff_ids == client.images.get("busybox").diff_ids
