"""An image service that serves its images as a registry."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bcrypt

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from tests.support.distribution import Api
from tests.support.net import free_port
from tests.support.service import Service


class Serving(Service):
    """A service with a registry.

    Args:
        settings: Further keys of the configuration as SCOW_* variables.
        prefix: Put before its command, to run it in a network namespace.
        serve: Keys of `image.serve`.
    """

    def __init__(
        self,
        settings: dict[str, str] | None = None,
        /,
        *,
        prefix: Sequence[str] = (),
        **serve: str,
    ) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        who = "*" if "authentication" in serve else "anonymous"
        keys = {
            "address": self.address,
            "deletion": "true",
            "access": f"{who} * delete",
            **serve,
        }
        named = {f"SCOW_IMAGE_SERVE_{key.upper()}": value for key, value in keys.items()}
        super().__init__("image", settings={**named, **(settings or {})}, prefix=prefix)
        self.api = Api(self.address)
        # Address of its figures, where there is one.
        self.metrics = ""
        # Folder with the CA as clients want it, where there is one.
        self.certificates = self.base / "certificates" / self.address
        # The stub's methods are not typed.
        self.stub: Any = ImageServiceStub(self.channel)

    def pull(self, reference: str) -> pb.Image:
        """Let the service pull."""
        image: pb.Image = [*self.stub.Pull(pb.PullRequest(reference=reference))][-1].image
        return image

    def image(self, name: str) -> pb.Image:
        """Describe an image."""
        image: pb.Image = self.stub.Get(pb.GetRequest(image=name)).image
        return image

    def blobs(self) -> set[str]:
        """Return the digests of the files of blobs."""
        return {f"sha256:{path.name}" for path in (self.data / "blobs/sha256").iterdir()}

    def reconcile(self) -> None:
        """Let the service collect."""
        self.stub.Reconcile(pb.ReconcileRequest())


def write_htpasswd(path: Path, **users: str) -> str:
    """Write a file of users, as htpasswd(1) -B does; return its path."""
    lines = [
        f"{name}:{bcrypt.hashpw(word.encode()[:72], bcrypt.gensalt(4)).decode()}"
        for name, word in users.items()
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def run(*command: str, **environment: str) -> str:
    """Run a client; return what it printed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
        timeout=120,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout
