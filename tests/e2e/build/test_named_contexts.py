"""Named contexts as bases: files of the client, an image, an image layout in a folder."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.engine import Engine


def test_a_directory_as_a_base(engine: Engine, client: Client, tmp_path: Path) -> None:
    main, base = files(tmp_path / "main", file="x"), tmp_path / "base"
    engine.cli("build", "-q", "-o", str(base), "-", stdin=b"FROM busybox\n")
    files(base, more="m", _dot_dockerignore="left-out\n", left_out="l")
    text = "FROM base AS one\nRUN cat /more\nFROM one\nCOPY file /\nENV A=1\n"
    told = build(client, main, text, contexts={"base": base}, tags=["files:1"])
    assert told.output == b"m"
    image = client.images.get("files:1")
    assert len(image.diff_ids) == 2  # RUN changes nothing
    history = json.loads(
        engine.cli("history", "--format", "json", "files:1").stdout.splitlines()[-1]
    )
    assert history["CreatedBy"] == "FROM base"
    again = build(client, main, text, contexts={"base": base})
    assert "FROM base" in again.cached
    (base / "more").write_text("changed")
    assert build(client, main, text, contexts={"base": base}).output == b"changed"
    squashed = build(client, main, text, contexts={"base": base}, squash=True, tags=["files:2"])
    assert len(client.images.get("files:2").diff_ids) == len(squashed.result.images) + 1


def layout(engine: Engine, folder: Path) -> Path:
    """Write a layout with two images of the same name."""
    for number in ("1", "2"):
        text = f"FROM busybox\nRUN echo {number} > /number\n"
        tar = folder / f"{number}.tar"
        engine.cli("build", "-q", "-o", f"type=oci,dest={tar}", "-", stdin=text.encode())
        source = f"oci-archive:{tar}"
        command = ["skopeo", "copy", "-q", source, f"oci:{folder}/layout:{number}"]
        subprocess.run(command, check=True)
    return folder / "layout"


def test_an_image_layout(engine: Engine, client: Client, tmp_path: Path) -> None:
    folder = layout(engine, tmp_path)
    context = files(tmp_path / "main", Dockerfile="FROM number\nRUN cat /number\n")
    index = json.loads((folder / "index.json").read_text())
    for which, number in ((":1", "1"), (":2", "2"), (f"@{index['manifests'][0]['digest']}", "1")):
        flag = f"--build-context=number=oci-layout://{folder}{which}"
        done = engine.cli("build", "--no-cache", "--progress=plain", flag, str(context))
        assert f" {number}\n" in done.stderr
    for which in (":3", "", ":x@sha256:1", f"@sha256:{'1' * 64}"):
        flag = f"--build-context=number=oci-layout://{folder}{which}"
        assert engine.cli("build", flag, str(context), check=False).returncode == 1
    (image,) = client.images.load_layout(folder, tag="2")
    assert list(image.references) == []
    with pytest.raises(errors.InvalidArchive, match="no image with the tag third"):
        client.images.load_layout(folder, tag="third")
