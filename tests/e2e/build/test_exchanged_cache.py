"""Caches that engines exchange: in a registry, in a folder of the client, in the image itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.api.build.v1 import build_pb2 as pb
from scow.client import Client
from scow.contract import errors
from tests.support.building import Told, build, files
from tests.support.busybox import import_busybox
from tests.support.engine import Engine
from tests.support.registry import Registry

UUID = "cat /proc/sys/kernel/random/uuid"
LAST = f"RUN {UUID} > /random"
TOOL = "COPY --from=tools /tool /tool"


def text(name: str) -> str:
    """Return a Dockerfile with a stage that the image is not made of, and steps with and without changes."""
    return f"""FROM busybox AS tools
RUN {UUID} > /tool && : {name}
FROM busybox
RUN echo {name} > /name
RUN true
COPY src /src
{TOOL}
{LAST}
"""


def steps(name: str, *more: str) -> set[str]:
    """Return the first steps of the image, and further ones."""
    return {f"RUN echo {name} > /name", "RUN true", "COPY src /src", *more}


def everything(name: str) -> set[str]:
    return steps(name, TOOL, LAST, f"RUN {UUID} > /tool && : {name}")


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def second() -> Iterator[Engine]:
    with Engine() as engine:
        import_busybox(engine)
        yield engine


@pytest.fixture(scope="module")
def other(second: Engine) -> Iterator[Client]:
    with Client(second.host) as found:
        yield found


def layers(client: Client, told: Told) -> list[str]:
    return [*client.images.get(told.result.images[0].image_id).diff_ids]


@pytest.mark.parametrize("compression", ["gzip", "zstd", "uncompressed"])
def test_a_registry(
    client: Client, other: Client, registry: Registry, tmp_path: Path, compression: str
) -> None:
    files(tmp_path, src__a="a")
    ref = f"{registry.address}/cache/max:{compression}"
    to = f"type=registry,ref={ref},mode=max,compression={compression}"
    made = build(client, tmp_path, text(compression), cache_to=[to])
    assert made.cached == []
    told = build(other, tmp_path, text(compression), cache_from=[f"type=registry,ref={ref}"])
    assert set(told.cached) == everything(compression)
    assert layers(other, told) == layers(client, made)
    assert client.images.list(filters={"reference": [ref]}) == []
    # What came from elsewhere is found where the cache is named, and nowhere else.
    assert build(other, tmp_path, text(compression)).cached == []


def test_min_has_what_the_image_is_made_of(
    client: Client, other: Client, registry: Registry, tmp_path: Path
) -> None:
    files(tmp_path, src__a="a")
    ref = f"{registry.address}/cache/min:1"
    made = build(client, tmp_path, text("min"), cache_to=[f"type=registry,ref={ref},mode=min"])
    told = build(other, tmp_path, text("min"), cache_from=[ref])
    # The tool is made anew, and differs; so is what follows it.
    assert set(told.cached) == steps("min")
    assert layers(other, told)[:3] == layers(client, made)[:3]


def test_a_folder_of_the_client(client: Client, other: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="a")
    folder = tmp_path.with_name("folder")
    made = build(client, tmp_path, text("folder"), cache_to=[f"type=local,dest={folder},mode=max"])
    again = f"type=local,dest={folder},mode=min,tag=second"
    build(client, tmp_path, "FROM busybox\nRUN true\n", cache_to=[again])
    index = json.loads((folder / "index.json").read_text())["manifests"]
    names = [each["annotations"]["org.opencontainers.image.ref.name"] for each in index]
    assert names == ["latest", "second"]
    for source in ("", f",digest={index[0]['digest']}"):
        cache = f"type=local,src={folder}{source}"
        told = build(other, tmp_path, text("folder"), cache_from=[cache])
        assert set(told.cached) == everything("folder")
        assert layers(other, told) == layers(client, made)
    cache = f"type=local,src={folder},tag=third"
    told = build(other, tmp_path, text("folder"), cache_from=[cache])
    assert told.cached == []
    assert any("third" in warning for warning in told.warnings)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("flag", {"cache_to": ["type=inline"]}),
        ("argument", {"build_args": {"BUILDKIT_INLINE_CACHE": "1"}}),
    ],
)
def test_the_image_itself(
    client: Client,
    other: Client,
    registry: Registry,
    tmp_path: Path,
    name: str,
    how: dict[str, Any],
) -> None:
    files(tmp_path, src__a="a")
    tag = f"{registry.address}/cache/inline:{name}"
    outputs = [pb.BuildOutput(type="registry")]
    made = build(client, tmp_path, text(name), tags=[tag], outputs=outputs, **how)
    told = build(other, tmp_path, text(name), cache_from=[tag])
    assert set(told.cached) == steps(name)
    assert layers(other, told)[:3] == layers(client, made)[:3]
    # The layers of an image that is here count, also when the cache of the engine is gone.
    client.builds.prune(all=True)
    assert set(build(client, tmp_path, text(name), cache_from=[tag]).cached) == steps(name)


def test_damaged_folders_are_warnings(client: Client, other: Client, tmp_path: Path) -> None:
    files(tmp_path, src__a="a")
    folder = tmp_path.with_name("damaged")
    cache = f"type=local,src={folder}"
    build(client, tmp_path, text("damaged"), cache_to=[f"type=local,dest={folder},mode=max"])
    index = json.loads((folder / "index.json").read_text())
    manifest = folder / "blobs" / index["manifests"][0]["digest"].replace(":", "/")
    for layer in json.loads(manifest.read_text())["layers"]:
        path = folder / "blobs" / layer["digest"].replace(":", "/")
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    told = build(other, tmp_path, text("damaged"), cache_from=[cache])
    assert told.cached == []
    assert any("other bytes" in warning for warning in told.warnings)
    manifest.write_text("{}")
    told = build(other, tmp_path, text("damaged"), cache_from=[cache, "type=local,src=/nowhere"])
    assert sum("no cache is taken" in warning for warning in told.warnings) == 2


def test_more_results_than_an_image_has_layers(
    client: Client, other: Client, tmp_path: Path
) -> None:
    files(tmp_path, src__a="a")
    folder = tmp_path.with_name("many")
    copies = "".join(f"COPY src/a /{number}\n" for number in range(130))
    first, second = copies.split("COPY src/a /70\n")
    dockerfile = f"FROM scratch AS one\n{first}FROM scratch\n{second}COPY --from=one /1 /one\n"
    told = build(client, tmp_path, dockerfile, cache_to=[f"type=local,dest={folder},mode=max"])
    assert any("3 results are not in the cache" in warning for warning in told.warnings)
    told = build(other, tmp_path, dockerfile, cache_from=[f"type=local,src={folder}"])
    assert len(told.cached) == 127
    # They have been used now, whenever they were made.
    made = {each.description: each for each in other.builds.disk_usage()}
    taken = made["COPY src/a /100"]
    assert taken.used_at.ToNanoseconds() > taken.created_at.ToNanoseconds()


def test_one_that_cannot_be_written(client: Client, tmp_path: Path) -> None:
    files(tmp_path)
    to = "type=registry,ref=127.0.0.1:1/cache"
    with pytest.raises(errors.ScowError):
        build(client, tmp_path, "FROM busybox\nRUN true\n", cache_to=[to])
    told = build(client, tmp_path, "FROM busybox\nRUN true\n", cache_to=[f"{to},ignore-error=true"])
    assert any("not exported" in warning for warning in told.warnings)


def test_the_command_line(engine: Engine, second: Engine, tmp_path: Path) -> None:
    files(tmp_path, Dockerfile=text("flags"), src__a="a")
    folder = tmp_path.with_name("flags")
    engine.cli("build", "-q", "--cache-to", f"type=local,dest={folder},mode=max", str(tmp_path))
    told = second.cli(
        "build", "--progress=plain", "--cache-from", f"type=local,src={folder}", str(tmp_path)
    )
    assert told.stderr.count("CACHED") == 6
    for flag in ("--cache-to=type=gha", "--cache-from=type=local", "--cache-to=type=local,mode=x"):
        assert engine.cli("build", flag, str(tmp_path), check=False).returncode == 125
