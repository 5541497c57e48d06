"""The same build on two engines that keep layers in different ways: the same bytes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import Client
from tests.support.building import files
from tests.support.engine import Engine

EPOCH = "1700000000"
TEXT = """FROM busybox AS tools
RUN mkdir -p /out/deep && echo made > /out/deep/file && ln /out/deep/file /out/linked
FROM busybox
ARG WHO
COPY --from=tools --chown=7:8 /out /out
COPY . /src
RUN echo $WHO > /made && mkfifo /pipe && chmod 2755 /src && rm /etc/group && ln -s /made /link
RUN --mount=type=bind,from=tools,target=/mnt cp /mnt/out/deep/file /mounted
WORKDIR /work/dir
RUN true
USER app
LABEL made=here
"""


@pytest.fixture(scope="module")
def second(shared_engine: Engine) -> Iterator[Engine]:
    """Another engine, with the same base."""
    archive = shared_engine.base / "base.tar"
    shared_engine.cli("save", "-o", str(archive), "busybox")
    with Engine(settings={"SCOW_IMAGE_SNAPSHOTTER": "overlay"}) as engine:
        engine.env["SOURCE_DATE_EPOCH"] = EPOCH
        engine.cli("load", "-q", "-i", str(archive))
        yield engine
    archive.unlink()


def built(engine: Engine, folder: Path, output: Path) -> bytes:
    """Build; return the archive."""
    engine.cli(
        *("build", "-q", "-t", "same:1", "--build-arg", "WHO=you", "--no-cache"),
        *("--provenance", "mode=max", "--sbom", "true"),
        *("-o", f"type=oci,dest={output},rewrite-timestamp=true", str(folder)),
    )
    return output.read_bytes()


def test_the_same_bytes(
    engine: Engine, second: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(engine.env, "SOURCE_DATE_EPOCH", EPOCH)
    here = files(tmp_path / "here", Dockerfile=TEXT, a="a", deep__er__b="b", empty="")
    (here / "deep/link").symlink_to("er/b")
    os.link(here / "a", here / "another-name")
    there = tmp_path / "somewhere/else"
    shutil.copytree(here, there, symlinks=True, copy_function=shutil.copyfile)
    for path in sorted(there.rglob("*"), reverse=True):
        os.utime(path, (1_750_000_000, 1_750_000_000), follow_symlinks=False)
    one, other = built(engine, here, tmp_path / "one"), built(second, there, tmp_path / "other")
    assert one == other
    with Client(engine.host) as first_client, Client(second.host) as second_client:
        images = [client.images.get("same:1") for client in (first_client, second_client)]
        assert images[0].id == images[1].id
        assert images[0].manifest_digest == images[1].manifest_digest
        for client in (first_client, second_client):
            client.images.remove("same:1")
