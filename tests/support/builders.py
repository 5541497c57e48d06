"""Other builders of Dockerfiles, to compare with: Docker's classic one, the BuildKit within dockerd, buildah."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.busybox import rootfs_tar
from tests.support.peers import Docker

BASE = "busybox:latest"
BASE_PATH = "PATH=/bin:/usr/bin"


@dataclass(frozen=True)
class Built:
    """An image as a builder made it: its configuration, and its history, the oldest first."""

    config: dict[str, Any]
    author: str
    history: list[str]
    image: str = ""


class Classic:
    """`docker build` without BuildKit."""

    name = "classic"

    def __init__(self, docker: Docker) -> None:
        self._docker = docker
        docker.cli("import", "--change", f"ENV {BASE_PATH}", "-", BASE, stdin=rootfs_tar())

    def save(self, image: str) -> bytes:
        """Return an archive of an image, as `docker save` writes it."""
        return _saved(self._docker, image)

    def build(self, folder: Path, args: Mapping[str, str]) -> Built:
        """Build a folder's Dockerfile."""
        given = [f"--build-arg={key}={value}" for key, value in args.items()]
        command = self._docker.command("build", "--quiet", *given, str(folder))
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "DOCKER_BUILDKIT": "0"}
        )
        assert done.returncode == 0, done.stderr
        return _docker_image(self._docker, done.stdout.strip())


class BuildKit:
    """The BuildKit that is part of dockerd, by its API: Debian has no client for it."""

    name = "buildkit"

    def __init__(self, docker: Docker) -> None:
        self._docker = docker

    def save(self, image: str) -> bytes:
        """Return an archive of an image, as `docker save` writes it."""
        return _saved(self._docker, image)

    def build(self, folder: Path, args: Mapping[str, str]) -> Built:
        """Build a folder's Dockerfile."""
        stream = io.BytesIO()
        # It takes a context for a Dockerfile if it begins with a header of pax.
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
            tar.add(folder, ".", filter=_rooted)
        address = f"http://docker/v1.41/build?version=2&buildargs={_quoted(dict(args))}"
        command = [
            *("curl", "--silent", "--show-error", "--unix-socket", str(self._docker.socket)),
            *("-H", "Content-Type: application/x-tar", "--data-binary", "@-", address),
        ]
        done = subprocess.run(command, input=stream.getvalue(), capture_output=True)
        for line in done.stdout.splitlines():
            event = json.loads(line)
            assert "error" not in event, event
            if event.get("id") == "moby.image.id":
                return _docker_image(self._docker, event["aux"]["ID"])
        raise AssertionError(done.stdout[-1000:] + done.stderr)


def _rooted(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a file to root, as Docker's client does."""
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member


def _quoted(value: object) -> str:
    from urllib.parse import quote

    return quote(json.dumps(value))


def _docker_image(docker: Docker, image: str) -> Built:
    (found,) = json.loads(docker.cli("image", "inspect", image))
    history = docker.cli("history", "--no-trunc", "--format", "{{json .CreatedBy}}", image)
    lines = [json.loads(line) for line in history.splitlines()]
    return Built(found["Config"], found["Author"], lines[::-1], image)


def _saved(docker: Docker, image: str) -> bytes:
    done = subprocess.run(docker.command("save", image), capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Buildah:
    """`buildah build`, with storage of its own."""

    name = "buildah"

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="scow-buildah-", dir="/var/tmp"))
        (self._folder / "base.tar").write_bytes(rootfs_tar())
        container = self._run("from", "scratch")
        self._run("add", "-q", container, f"{self._folder}/base.tar", "/")
        self._run("config", "--env", BASE_PATH, container)
        self._run("commit", "-q", "--rm", container, f"localhost/{BASE}")

    def _run(self, *arguments: str) -> str:
        storage = [f"--root={self._folder}/storage", f"--runroot={self._folder}/run"]
        done = subprocess.run(
            ["buildah", *storage, "--storage-driver=vfs", *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, "BUILDAH_ISOLATION": "chroot"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def build(self, folder: Path, args: Mapping[str, str]) -> Built:
        """Build a folder's Dockerfile."""
        given = [f"--build-arg={key}={value}" for key, value in args.items()]
        image = self._run("build", "-q", "--format=docker", "--pull=never", *given, str(folder))
        found = json.loads(self._run("inspect", "--type=image", image))["Docker"]
        history = [entry.get("created_by", "") for entry in found["history"]]
        return Built(found["config"], found.get("author", ""), history, image)

    def save(self, image: str) -> bytes:
        """Return an archive of an image, as `docker save` writes it."""
        path = self._folder / "saved.tar"
        path.unlink(missing_ok=True)
        self._run("push", "-q", image, f"docker-archive:{path}")
        return path.read_bytes()

    def close(self) -> None:
        """Delete its storage."""
        shutil.rmtree(self._folder, ignore_errors=True)
