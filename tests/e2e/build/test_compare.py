"""The same Dockerfiles, built by Docker's two builders and buildah: the same configuration and the same files.

What differs has its reason beside it.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.support import dockerfiles
from tests.support.builders import BASE, BASE_PATH, Buildah, BuildKit, Built, Classic
from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine
from tests.support.flattened import File, flattened
from tests.support.peers import Docker, Net

# What the file system of a base of Docker's has by its container alone.
_RUNTIME = ("dev", "proc", "sys")
COPIES = """FROM busybox
COPY . /all/
COPY --chown=app:extra tree /owned
COPY --chown=1234 file /numbered
COPY tree/*.txt tree/deep /several/
COPY ["with space", "/with space/"]
COPY link /link-followed
COPY dirlink /dirlink-followed/
COPY --from=busybox /bin/sh /sh
ADD packed.tar.gz /unpacked/
ADD packed.tar.gz file /mixed/
WORKDIR /made/by/workdir
COPY file ./
COPY file renamed
USER app
WORKDIR /made/by/user
RUN echo x > /tmp/by-app && mkdir -m 700 /tmp/dir
USER root
RUN rm -r /all/tree/deep && rm /all/file && ln /numbered /hard && chmod 4711 /owned/a.txt
RUN rm -r /several && mkdir /several && touch /several/new
"""
NEWER = """FROM busybox AS base
RUN mkdir -p /src/x/y && echo 1 > /src/x/y/f && echo 2 > /src/g
FROM busybox
COPY --chmod=600 file /mode
COPY --chmod=751 tree /modes
COPY --from=base --chown=app /src /from
RUN --mount=type=bind,source=tree,target=/mnt cp /mnt/a.txt /mounted
RUN --mount=type=tmpfs,target=/scratch touch /scratch/gone
COPY tree /
COPY tree/deep/. /dots/
"""


class Builder(Protocol):
    """What is compared with."""

    name: str

    def build(self, folder: Path, args: dict[str, str]) -> Built:
        """Build a folder's Dockerfile."""

    def save(self, image: str) -> bytes:
        """Return an archive of an image."""


@pytest.fixture(scope="module")
def builders() -> Iterator[dict[str, Builder]]:
    net = Net()
    buildah = Buildah()
    try:
        with Docker(net) as docker:
            yield {"classic": Classic(docker), "buildkit": BuildKit(docker), "buildah": buildah}
    finally:
        buildah.close()
        net.close()


@pytest.fixture
def base(engine: Engine) -> Iterator[None]:
    """Call the base that the others have busybox, for a while."""
    engine.cli("tag", "busybox", "kept")
    engine.cli("import", "--change", f"ENV {BASE_PATH}", "-", BASE, stdin=rootfs_tar())
    yield
    engine.cli("tag", "kept", "busybox")
    engine.cli("rmi", "kept")


def context(folder: Path, dockerfile: str) -> Path:
    (folder / "tree/deep/er").mkdir(parents=True)
    for name, text in {
        "file": "f",
        "tree/a.txt": "a",
        "tree/b.txt": "b",
        "tree/deep/er/c": "c",
        "with space": "s",
    }.items():
        (folder / name).write_text(text)
    (folder / "tree/script").write_text("#!/bin/sh\n")
    (folder / "tree/script").chmod(0o750)
    (folder / "tree/deep").chmod(0o711)
    (folder / "tree").chmod(0o701)
    (folder / "link").symlink_to("file")
    (folder / "dirlink").symlink_to("tree")
    (folder / "tree/dangling").symlink_to("/nowhere")
    os.chown(folder / "file", 4321, 4321)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo("in/side")
        info.uid, info.gid, info.mode, info.size = 7, 8, 0o640, 2
        tar.addfile(info, io.BytesIO(b"in"))
    (folder / "packed.tar.gz").write_bytes(gzip.compress(stream.getvalue()))
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def ours(engine: Engine, folder: Path) -> tuple[dict[str, File], dict[str, Any]]:
    engine.cli("build", "-q", "-t", "compared", str(folder))
    path = folder.parent / "ours.tar"
    engine.cli("save", "-o", str(path), "compared")
    return flattened(path.read_bytes())


def shown(files: dict[str, File]) -> dict[str, File]:
    return {path: file for path, file in files.items() if path.split("/")[0] not in _RUNTIME}


def differences(
    mine: dict[str, File], theirs: dict[str, File]
) -> dict[str, tuple[File | None, File | None]]:
    return {
        path: (mine.get(path), theirs.get(path))
        for path in sorted(mine.keys() | theirs.keys())
        if mine.get(path) != theirs.get(path)
    }


# Paths that differ, and why.
REASONS: dict[str, dict[str, str]] = {
    "classic": {
        "made/by/user": "it gives what WORKDIR makes to root; BuildKit and buildah to the USER"
    },
    "buildkit": {
        "mnt": "it leaves the directories that it made to mount upon",
        "scratch": "the same",
    },
    "buildah": {
        **dict.fromkeys(
            ("etc/hostname", "etc/hosts", "etc/resolv.conf", "run"), "what it mounts for RUN stays"
        ),
    },
}
CASES = {
    "copies": (COPIES, ("classic", "buildkit", "buildah")),
    "newer": (NEWER, ("buildkit",)),
}


@pytest.mark.parametrize(
    ("name", "builder"),
    [(name, builder) for name, (_, which) in CASES.items() for builder in which],
)
def test_files(
    engine: Engine,
    base: None,
    builders: dict[str, Builder],
    tmp_path: Path,
    name: str,
    builder: str,
) -> None:
    folder = tmp_path / "context"
    folder.mkdir()
    context(folder, CASES[name][0])
    theirs, _ = flattened(builders[builder].save(builders[builder].build(folder, {}).image))
    mine, _ = ours(engine, folder)
    found = differences(shown(mine), shown(theirs))
    assert {path: pair for path, pair in found.items() if path not in REASONS[builder]} == {}


@pytest.mark.parametrize("builder", ["classic", "buildkit", "buildah"])
@pytest.mark.parametrize("name", ["course", "twelve_stages"])
def test_corpus(
    engine: Engine,
    base: None,
    builders: dict[str, Builder],
    tmp_path: Path,
    name: str,
    builder: str,
) -> None:
    folder = tmp_path / "context"
    subprocess.run(["cp", "-a", str(dockerfiles.folder(name)), str(folder)], check=True)
    theirs, _ = flattened(builders[builder].save(builders[builder].build(folder, {}).image))
    mine, _ = ours(engine, folder)
    found = differences(shown(mine), shown(theirs))
    assert {path: pair for path, pair in found.items() if path not in REASONS[builder]} == {}
