"""Images of several platforms by command line; indexes, against Docker's own command where it needs no daemon."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.busybox import rootfs_tar
from tests.support.content import Content
from tests.support.engine import Engine, as_root
from tests.support.registry import Registry

pytestmark = as_root()


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    with Registry() as running:
        yield running


@pytest.fixture(scope="module")
def content(registry: Registry) -> Content:
    """A repository with `1`, an index of a busybox for amd64 and something for arm64; these are `amd` and `arm`."""
    content = Content(registry, "app")
    amd = content.image("amd64", rootfs_tar(), tag="amd", cmd="/bin/true")
    arm = content.image("arm64", {"file": b"arm"}, tag="arm", variant="v8")
    content.index([amd, arm], "1")
    return content


@pytest.fixture
def reference(engine: Engine, content: Content) -> Iterator[str]:
    name = f"{content.repository}:1"
    yield name
    engine.cli("rmi", "-f", name, check=False)
    for image in engine.cli("images", "-aq", "--filter", "dangling=true").stdout.split():
        engine.cli("rmi", "-f", image, check=False)


def platform(engine: Engine, *arguments: str) -> str:
    layout = "{{.Os}}/{{.Architecture}}"
    return engine.cli("image", "inspect", "-f", layout, *arguments).stdout.strip()


def test_a_foreign_image_does_not_run(engine: Engine, reference: str) -> None:
    engine.cli("pull", "-q", "--platform", "linux/arm64", reference)
    assert platform(engine, reference) == "linux/arm64"
    done = engine.cli("run", "--rm", reference, check=False)
    assert done.returncode == 125
    assert f"image {reference} is for linux/arm64, and this machine runs linux/amd64" in done.stderr
    assert "--platform linux/amd64" in done.stderr
    assert engine.cli("create", reference, check=False).returncode == 1
    assert engine.cli("ps", "-aq").stdout == ""
    # Docker's way out: what is asked for is pulled, and the name means that from then on.
    done = engine.cli("run", "--rm", "--platform", "linux/amd64", reference)
    assert "Unable to find image" in done.stderr
    assert platform(engine, reference) == "linux/amd64"
    assert engine.cli("run", "--rm", reference).stderr == ""


def test_a_platform_that_cannot_be_run_is_said_so(engine: Engine, reference: str) -> None:
    """A missing image is pulled for it first; one that is here for this machine stays what it is."""
    done = engine.cli("run", "--rm", "--platform", "linux/arm64", reference, check=False)
    assert done.returncode == 125
    assert "Unable to find image" in done.stderr
    assert "this machine runs linux/amd64" in done.stderr
    engine.cli("pull", "-q", reference)
    done = engine.cli("create", "--platform", "linux/arm64", reference, check=False)
    assert done.returncode == 1
    assert "linux/arm64, and this machine runs linux/amd64" in done.stderr
    assert platform(engine, reference) == "linux/amd64"


def test_all_platforms(engine: Engine, reference: str) -> None:
    shown = engine.cli("pull", "--all-platforms", reference).stdout
    assert shown.count("Pull complete") + shown.count("Already exists") == 2
    assert platform(engine, reference) == "linux/amd64"
    assert platform(engine, "--platform", "linux/arm64", reference) == "linux/arm64"
    listed = engine.cli("images", "-a", "--format", "{{.Platform}}").stdout.split()
    assert set(listed) == {"linux/amd64", "linux/arm64"}
    missing = engine.cli("image", "inspect", "--platform", "linux/s390x", reference, check=False)
    assert missing.returncode == 1
    assert "linux/arm64" in missing.stderr
    engine.cli("run", "--rm", reference)
    both = engine.cli(
        "pull", "--all-platforms", "--platform", "linux/arm64", reference, check=False
    )
    assert both.returncode == 1


def test_all_tags(engine: Engine, content: Content, reference: str) -> None:
    said = engine.cli("pull", "-q", "-a", content.repository).stdout
    assert said == f"{content.repository}\n"
    layout = "{{.Repository}}:{{.Tag}}"
    shown = engine.cli("images", "-a", "--format", layout, content.repository).stdout.split()
    assert sorted(shown) == [f"{content.repository}:{tag}" for tag in ("1", "amd", "arm")]
    assert engine.cli("pull", "-a", reference, check=False).returncode == 1
    engine.cli("rmi", *shown)


class Docker:
    """`docker manifest`, which speaks to registries by itself."""

    def __init__(self, home: Path) -> None:
        self._env = {**os.environ, "HOME": str(home)}

    def __call__(self, verb: str, *arguments: str) -> str:
        return subprocess.run(
            ["docker", "manifest", verb, *arguments],
            env=self._env,
            capture_output=True,
            text=True,
            check=True,
        ).stdout


@pytest.mark.parametrize("tag", ["1", "amd", "arm"])
def test_manifests_are_shown_as_docker_does(
    engine: Engine, content: Content, tmp_path: Path, tag: str
) -> None:
    docker = Docker(tmp_path)
    name = f"{content.repository}:{tag}"
    for flags in ((), ("-v",)):
        theirs: Any = json.loads(docker("inspect", "--insecure", *flags, name))
        ours: Any = json.loads(engine.cli("manifest", "inspect", *flags, name).stdout)
        assert ours == theirs


def test_an_index_is_made_and_pushed(engine: Engine, content: Content, tmp_path: Path) -> None:
    docker = Docker(tmp_path)
    amd, arm = f"{content.repository}:amd", f"{content.repository}:arm"
    ours, theirs = f"{content.repository}:ours", f"{content.repository}:theirs"
    done = engine.cli("manifest", "create", ours, amd, arm)
    assert done.stdout == f"Created manifest list {ours}\n"
    docker("create", "--insecure", theirs, amd, arm)
    wanted = json.loads(docker("inspect", theirs))
    assert json.loads(engine.cli("manifest", "inspect", ours).stdout) == wanted
    listed = engine.cli("manifest", "inspect", ours, amd).stdout
    assert json.loads(listed) == json.loads(docker("inspect", theirs, amd))
    again = engine.cli("manifest", "create", ours, amd, check=False)
    assert (again.returncode, "amend" in again.stderr) == (1, True)
    engine.cli("manifest", "create", "--amend", ours, amd)
    docker("annotate", theirs, amd, "--variant", "v2")
    engine.cli("manifest", "annotate", ours, amd, "--variant", "v2")
    windows = ("--os-version", "10.0", "--os-features", "a,b", "--os-features", "c")
    docker("annotate", theirs, amd, *windows)
    engine.cli("manifest", "annotate", ours, amd, *windows)
    docker("annotate", theirs, arm, "--arch", "arm", "--variant", "v7")
    engine.cli("manifest", "annotate", ours, arm, "--arch", "arm", "--variant", "v7")
    wanted = json.loads(docker("inspect", theirs))
    assert [entry["platform"]["variant"] for entry in wanted["manifests"]] == ["v2", "v7"]
    assert wanted["manifests"][0]["platform"]["os.features"] == ["a", "b", "c"]
    assert json.loads(engine.cli("manifest", "inspect", ours).stdout) == wanted
    docker("push", "--insecure", theirs)
    digest = engine.cli("manifest", "push", "-p", ours).stdout.strip()
    assert json.loads(docker("inspect", "--insecure", ours)) == wanted
    assert digest.startswith("sha256:")
    gone = engine.cli("manifest", "rm", ours, check=False)
    assert gone.returncode == 1
    assert f"there is no index {ours}" in gone.stderr
    assert engine.cli("manifest", "rm", "busybox", check=False).returncode == 1
    assert engine.cli("images", "-q", "busybox").stdout
