"""What becomes of results: images, archives, files."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.api.types.v1.types_pb2 import Platform
from scow.client import Client
from scow.contract import errors
from tests.support.building import build, files
from tests.support.engine import Engine
from tests.support.registry import Registry

TEXT = """FROM scratch
COPY --chown=7:8 src /top
"""


def context(tmp_path: Path) -> Path:
    files(tmp_path, src__a="a" * 5000, src__deep__b="b", Dockerfile=TEXT)
    if not (tmp_path / "src/link").is_symlink():
        (tmp_path / "src/link").symlink_to("/etc/passwd")
    (tmp_path / "src/a").chmod(0o750)
    return tmp_path


def manifest_of(client: Client, image: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(client.images.details(image).manifest)
    return found


def test_files_in_a_folder(engine: Engine, tmp_path: Path) -> None:
    folder = context(tmp_path / "context")
    out = tmp_path / "out"
    for _ in range(2):  # also over what is there
        engine.cli("build", "-o", str(out), str(folder))
        found = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
        assert found == ["top", "top/a", "top/deep", "top/deep/b", "top/link"]
        assert (out / "top/a").read_text() == "a" * 5000
        status = (out / "top/a").stat()
        assert (status.st_mode & 0o7777, status.st_uid, status.st_gid) == (0o750, 7, 8)
        assert os.readlink(out / "top/link") == "/etc/passwd"


def test_nothing_is_written_through_links_that_are_there(engine: Engine, tmp_path: Path) -> None:
    folder = context(tmp_path / "context")
    out, other = tmp_path / "out", tmp_path / "other"
    out.mkdir()
    other.mkdir()
    (out / "top").symlink_to(other)
    engine.cli("build", "-o", f"type=local,dest={out}", str(folder))
    assert not (out / "top").is_symlink()
    assert not list(other.iterdir())


def test_a_tar_of_the_files(engine: Engine, tmp_path: Path) -> None:
    folder = context(tmp_path / "context")
    told = engine.cli("build", "-o", f"type=tar,dest={tmp_path}/out.tar", str(folder))
    assert told.returncode == 0
    with tarfile.open(tmp_path / "out.tar") as archive:
        entry = archive.getmember("top/a")
        assert (entry.mode, entry.uid, entry.gid, entry.size) == (0o750, 7, 8, 5000)
        assert archive.getmember("top/link").linkname == "/etc/passwd"


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_archives_of_the_image(engine: Engine, tmp_path: Path, kind: str) -> None:
    folder = context(tmp_path / "context")
    path = tmp_path / "image.tar"
    engine.cli("build", "-t", f"archived-{kind}", "-o", f"type={kind},dest={path}", str(folder))
    with tarfile.open(path) as archive:
        assert "index.json" in archive.getnames()
        assert ("manifest.json" in archive.getnames()) == (kind == "docker")
    engine.cli("rmi", f"archived-{kind}")
    assert f"archived-{kind}" in engine.cli("load", "-i", str(path)).stdout


@pytest.mark.parametrize(
    ("compression", "ending"), [("", "+gzip"), ("zstd", "+zstd"), ("uncompressed", "")]
)
def test_compression_of_layers(
    client: Client, tmp_path: Path, compression: str, ending: str
) -> None:
    name = f"compressed{compression}"
    output = pb.BuildOutput(type="image", attributes={"compression": compression, "name": name})
    build(client, context(tmp_path), TEXT, outputs=[output])
    manifest = manifest_of(client, name)
    kinds = {layer["mediaType"] for layer in manifest["layers"]}  # type: ignore[attr-defined]
    assert kinds == {f"application/vnd.oci.image.layer.v1.tar{ending}"}


def test_what_is_no_output(client: Client, tmp_path: Path) -> None:
    for output, error in (
        (pb.BuildOutput(type="floppy"), errors.InvalidArgument),
        (pb.BuildOutput(type="image", attributes={"compression": "lz4"}), errors.InvalidArgument),
        (pb.BuildOutput(type="image", attributes={"compression": "estargz"}), errors.Unimplemented),
        (pb.BuildOutput(type="registry"), errors.InvalidArgument),
    ):
        with pytest.raises(error):
            build(client, context(tmp_path), TEXT, outputs=[output])


def test_annotations_iidfile_and_metadata(engine: Engine, client: Client, tmp_path: Path) -> None:
    folder = context(tmp_path / "context")
    told = engine.cli(
        *("build", "-q", "-t", "noted", "--annotation", "org.example=1"),
        *("--iidfile", str(tmp_path / "id"), "--metadata-file", str(tmp_path / "meta")),
        str(folder),
    )
    image = client.images.get("noted")
    assert told.stdout.strip() == image.id == (tmp_path / "id").read_text()
    assert manifest_of(client, "noted")["annotations"] == {"org.example": "1"}
    metadata = json.loads((tmp_path / "meta").read_text())
    assert metadata["containerimage.digest"] == image.manifest_digest


def test_push(engine: Engine, client: Client, tmp_path: Path) -> None:
    with Registry() as registry:
        name = f"{registry.address}/built:1"
        engine.cli("build", "--push", "-t", name, str(context(tmp_path / "context")))
        assert client.images.tags(f"{registry.address}/built") == ["1"]


def test_the_same_image_on_another_engine(client: Client, tmp_path: Path) -> None:
    """With SOURCE_DATE_EPOCH; the files' own times are what they are."""
    text = """FROM scratch
COPY src /made/by/build
WORKDIR /work/dir
LABEL a=b
"""
    folder = context(tmp_path)
    told = build(client, folder, text, source_date_epoch=1_700_000_000, no_cache=True)
    again = build(client, folder, text, source_date_epoch=1_700_000_000, no_cache=True)
    assert told.result.digest == again.result.digest
    details = client.images.details(told.result.images[0].image_id)
    assert json.loads(details.configuration)["created"] == "2023-11-14T22:13:20.000000000Z"
    assert hashlib.sha256(details.manifest).hexdigest() == told.result.digest.partition(":")[2]


def test_several_platforms(client: Client, tmp_path: Path) -> None:
    text = "FROM scratch\nARG TARGETARCH\nCOPY src /$TARGETARCH\n"
    platforms = [
        Platform(os="linux", architecture="amd64"),
        Platform(os="linux", architecture="arm64"),
    ]
    told = build(client, context(tmp_path), text, platforms=platforms, tags=["many"])
    assert [image.platform.architecture for image in told.result.images] == ["amd64", "arm64"]
    details = client.images.details("many")
    index = json.loads(details.index)
    assert [m["platform"]["architecture"] for m in index["manifests"]] == ["amd64", "arm64"]
    foreign = client.images.get("many", platform="linux/arm64")
    assert foreign.id == told.result.images[1].image_id


def test_programs_of_another_platform_do_not_run(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    arm = [Platform(os="linux", architecture="arm64")]
    with pytest.raises(errors.PlatformMismatch):
        build(client, tmp_path, 'FROM scratch\nRUN ["/x"]\n', platforms=arm)


def test_times_of_files_are_rewritten(engine: Engine, client: Client, tmp_path: Path) -> None:
    text = """FROM busybox
COPY src /src
RUN echo made > /made && mkdir -p /d/e && truncate -s 5000000 /d/sparse
WORKDIR /w
"""
    folder = context(tmp_path)
    asked: dict[str, Any] = {
        "source_date_epoch": 1_700_000_000,
        "rewrite_timestamp": True,
        "no_cache": True,
    }
    first = build(client, folder, text, tags=["dated"], **asked)
    os.utime(folder / "src/a", (1_800_000_000, 1_800_000_000))
    again = build(client, folder, text, **asked)
    assert first.result.digest == again.result.digest
    shown = engine.cli(
        *("run", "--rm", "--network", "none", "dated"),
        *("stat", "-c", "%Y", "/made", "/d", "/d/e", "/d/sparse", "/w", "/src/deep"),
    )
    assert set(shown.stdout.split()) == {"1700000000"}
