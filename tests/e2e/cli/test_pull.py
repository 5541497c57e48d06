"""Pulls from a registry: what is shown in a log, on a terminal, and by `run`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.cli.support import shown, terminal
from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine, as_root
from tests.support.registry import Registry

pytestmark = as_root()
_LAYERS = 3


def _layer(number: int) -> bytes:
    """Return a tar of one large file that does not compress."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(f"file{number}")
        entry.size = 4 << 20
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    return stream.getvalue()


class _Layout:
    """An OCI image layout in a folder."""

    def __init__(self, folder: Path) -> None:
        self._blobs = folder / "blobs/sha256"
        self._blobs.mkdir(parents=True)
        tars = [rootfs_tar(), *(_layer(number) for number in range(_LAYERS - 1))]
        config = {
            "os": "linux",
            "architecture": "amd64",
            "config": {"Cmd": ["echo", "pulled"], "Entrypoint": []},
            "rootfs": {"type": "layers", "diff_ids": [self._digest(tar) for tar in tars]},
        }
        kind = "application/vnd.oci.image"
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{kind}.manifest.v1+json",
            "config": self._write(f"{kind}.config.v1+json", json.dumps(config).encode()),
            "layers": [
                self._write(f"{kind}.layer.v1.tar+gzip", gzip.compress(tar, 0)) for tar in tars
            ],
        }
        entry = self._write(f"{kind}.manifest.v1+json", json.dumps(manifest).encode())
        (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    @staticmethod
    def _digest(data: bytes) -> str:
        return f"sha256:{hashlib.sha256(data).hexdigest()}"

    def _write(self, kind: str, data: bytes) -> dict[str, object]:
        digest = self._digest(data)
        (self._blobs / digest.removeprefix("sha256:")).write_bytes(data)
        return {"mediaType": kind, "digest": digest, "size": len(data)}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of a registry."""
    with Registry() as registry:
        yield registry.address


@pytest.fixture
def reference(engine: Engine, address: str, tmp_path: Path) -> Iterator[str]:
    """Reference of an image that nobody has yet, put there by skopeo."""
    _Layout(tmp_path)
    found = f"{address}/pulled:1"
    subprocess.run(
        ["skopeo", "copy", "--dest-tls-verify=false", f"oci:{tmp_path}", f"docker://{found}"],
        check=True,
        capture_output=True,
    )
    yield found
    engine.cli("rmi", "-f", found)


def test_in_a_log_a_pull_is_lines(engine: Engine, reference: str) -> None:
    lines = engine.cli("pull", reference).stdout.splitlines()
    assert lines[0] == "1: Pulling from pulled"
    # The lowest layer is that of the image busybox.
    assert sum(line.endswith(": Already exists") for line in lines) == 1
    assert sum(line.endswith(": Pull complete") for line in lines) == _LAYERS - 1
    assert lines[-3].startswith("Digest: sha256:")
    assert lines[-2] == f"Status: Downloaded newer image for {reference}"
    assert lines[-1] == reference
    assert not any("\x1b" in line or "\r" in line for line in lines)
    again = engine.cli("pull", reference).stdout.splitlines()
    assert again[-2] == f"Status: Image is up to date for {reference}"
    assert engine.cli("pull", "-q", reference).stdout == f"{reference}\n"
    engine.cli("tag", "busybox", reference)
    moved = engine.cli("pull", reference).stdout.splitlines()
    assert moved[-2] == f"Status: Downloaded newer image for {reference}", "the name meant another"
    digest = shown(engine, reference)["RepoDigests"][0]
    assert digest.endswith(lines[-3].removeprefix("Digest: "))
    assert engine.cli("pull", "-q", digest).stdout == f"{digest}\n"


def test_on_a_terminal_lines_are_redrawn(engine: Engine, reference: str) -> None:
    with terminal(engine, "pull", reference) as screen:
        screen.wait_for(b": Pulling from ")
        screen.wait_for(b": Already exists\r\n")
        screen.wait_for(b"A\x1b[2K")  # the cursor goes up and the line is written anew
        screen.wait_for(b"Pull complete")
        screen.wait_for(b"Status: Downloaded newer image")
        assert screen.ended() == 0


def test_run_pulls_what_is_missing(engine: Engine, reference: str) -> None:
    done = engine.cli("run", "--rm", reference)
    assert done.stdout == "pulled\n"
    assert done.stderr.startswith(f"Unable to find image '{reference}' locally\n")
    assert "Pull complete" in done.stderr
    again = engine.cli("run", "--rm", reference)
    assert (again.stdout, again.stderr) == ("pulled\n", "")
    always = engine.cli("run", "--rm", "--pull", "always", "-q", reference)
    assert (always.stdout, always.stderr) == ("pulled\n", "")


def test_an_image_that_is_pruned_before_it_is_in_use_is_pulled_again(
    engine: Engine, reference: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pulls = []
    engine.cli("rmi", reference, check=False)
    with engine.client() as client:
        genuine = client.images.pull

        def pull(name: str, **options: Any) -> Any:
            pulls.append(name)
            image = genuine(name, **options)
            if len(pulls) == 1:
                client.images.remove(name)
            return image

        monkeypatch.setattr(client.images, "pull", pull)
        result = client.containers.run(reference, auto_remove=True)
    assert result.stdout == b"pulled\n"
    assert pulls == [reference, reference]


def test_what_the_registry_does_not_have(engine: Engine, address: str) -> None:
    done = engine.cli("pull", f"{address}/pulled:2", check=False)
    assert done.returncode == 1
    assert f"{address}/pulled:2" in done.stderr
    done = engine.cli("run", "--rm", f"{address}/pulled:2", check=False)
    assert done.returncode == 125
