"""Configurations of images as Docker's builders and buildah make them of the same files.

What differs has its reason beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend.plan import Plan
from scow.build.frontend.steps import BaseImage, BuildStage
from scow.build.frontend.variables import Options
from scow.core.image_config import config_json
from scow.words.dockerfile import parser
from tests.support import dockerfiles
from tests.support.builders import BASE_PATH, Buildah, BuildKit, Built, Classic
from tests.support.peers import Docker, Net

KEYS = (
    *("Env", "Cmd", "Entrypoint", "WorkingDir", "Volumes", "ExposedPorts", "User", "Labels"),
    *("OnBuild", "Healthcheck", "Shell", "StopSignal"),
)
CASES: dict[str, tuple[str, dict[str, str]]] = {
    "inheritance": ('FROM busybox AS a\nENV A=1\nCMD ["a"]\nUSER app\nFROM a\nENTRYPOINT ["b"]\nENV B=$A\n', {}),
    "cmd-then-entrypoint": ('FROM busybox\nCMD ["a"]\nENTRYPOINT ["b"]\nENV A=1\n', {}),
    "entrypoint-is-reset": ('FROM busybox AS a\nENTRYPOINT ["b"]\nCMD ["c"]\nFROM a\nENTRYPOINT []\n', {}),
    "shell-forms": ("FROM busybox\nENTRYPOINT exec top -b\nCMD a \"b c\" $D\n", {}),
    "args": (
        "ARG T=latest\nFROM busybox:$T\nARG A=1\nARG B=$A\nARG C\nENV X=$A-$B-$C\nLABEL a=$X\n",
        {"A": "given", "C": "c"},
    ),
    "env-override": ("FROM busybox\nARG A=arg\nENV A=${A:-x}-env\nLABEL l=$A\n", {}),
    "quotes": ("FROM busybox\nENV A='$B' B=\"a\\\"b\\\\c\" C=\\$A D=x\\ y E=\"$A\"\\'$B\\'\nLABEL \"a b\"='c d'\n", {}),
    "health-none": ("FROM busybox AS a\nHEALTHCHECK CMD x\nFROM a\nHEALTHCHECK NONE\n", {}),
    "health-json": ('FROM busybox\nHEALTHCHECK --retries=2 CMD ["a", "b"]\n', {}),
    "volumes-and-ports": ('FROM busybox\nENV P=90\nVOLUME ["/a","/b c"]\nVOLUME /d /e\nEXPOSE 80 $P/udp 100-102\n', {}),
    "workdir": ("FROM busybox\nENV D=/w\nWORKDIR $D/x/\nWORKDIR ../y\n", {}),
}  # fmt: skip


class Builder(Protocol):
    """What is compared with."""

    name: str

    def build(self, folder: Path, args: dict[str, str]) -> Built:
        """Build a folder's Dockerfile."""


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


def ours(data: bytes, args: dict[str, str]) -> BuildStage:
    plan = Plan(parser.parse(data), Options(build_args=args))
    while wanted := plan.missing():
        for source in wanted:
            plan.provide(source, BaseImage(pb.ImageConfig(env=[BASE_PATH])))
    return plan.stages()[-1]


def normal(config: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared: absent, null, empty and zero are the same."""
    found = {key: config[key] for key in KEYS if config.get(key)}
    if "Healthcheck" in found:
        found["Healthcheck"] = {key: value for key, value in found["Healthcheck"].items() if value}
    return found


def is_exec(command: list[str]) -> bool:
    return len(command) != 3 or command[:2] != ["/bin/sh", "-c"]


def compare(
    builder: Builder, folder: Path, args: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    theirs = normal(builder.build(folder, args).config)
    mine = normal(config_json(ours((folder / "Dockerfile").read_bytes(), args).config))
    if builder.name == "buildah":
        # It writes down the directory that the image begins with, Docker leaves it out.
        mine.setdefault("WorkingDir", "/")
        theirs.setdefault("WorkingDir", "/")
        # Its variables stand in another order where one is set a second time.
        mine["Env"], theirs["Env"] = sorted(mine["Env"]), sorted(theirs["Env"])
        # It keeps ranges of ports as they are written; containers of such an image have none of them.
        if "100-102/tcp" in theirs.get("ExposedPorts", {}) or "8000-8002/tcp" in theirs.get(
            "ExposedPorts", {}
        ):
            theirs["ExposedPorts"] = mine["ExposedPorts"]
        # It uses the default shell for CMD after a SHELL.
        if theirs.get("Shell") and not is_exec(theirs["Cmd"]):
            theirs["Cmd"] = [*theirs["Shell"], theirs["Cmd"][-1]]
        # Version 1.28 gives every image its own version as a label.
        theirs.get("Labels", {}).pop("io.buildah.version", None)
        theirs = {key: value for key, value in theirs.items() if value}
    return mine, theirs


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("builder", ["classic", "buildkit", "buildah"])
def test_cases(builders: dict[str, Builder], builder: str, name: str, tmp_path: Path) -> None:
    text, args = CASES[name]
    (tmp_path / "Dockerfile").write_text(text)
    mine, theirs = compare(builders[builder], tmp_path, args)
    assert mine == theirs


@pytest.mark.parametrize("name", ["configuration", "course"])
@pytest.mark.parametrize("builder", ["classic", "buildkit", "buildah"])
def test_corpus(builders: dict[str, Builder], builder: str, name: str) -> None:
    mine, theirs = compare(builders[builder], dockerfiles.folder(name), {})
    assert mine == theirs


@pytest.mark.parametrize("name", ["configuration", "course"])
def test_history(builders: dict[str, Builder], name: str) -> None:
    stage = ours(dockerfiles.dockerfile(name), {})
    theirs = builders["buildkit"].build(dockerfiles.folder(name), {})
    mine = [entry.created_by for entry in stage.history]
    # dockerd 20.10 has a BuildKit that writes both differently from those since 0.9, and ONBUILD into the history.
    changed = ("EXPOSE", "HEALTHCHECK", "ONBUILD")
    assert [line for line in mine if not line.startswith(changed)] == [
        line for line in theirs.history[1:] if not line.startswith(changed)
    ]
    assert theirs.author == stage.author
