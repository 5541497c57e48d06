"""Devices that specifications of the host describe."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from scow.container.spec import cdi
from scow.contract.errors import FailedPrecondition, InvalidConfig, NotFound

_YAML = """
cdiVersion: "0.6.0"
kind: acme.com/box
containerEdits:
  env: ["SHARED=1"]
devices:
  - name: one
    containerEdits:
      env: ["ONE=1"]
      deviceNodes:
        - path: /dev/box
          hostPath: /dev/null
          permissions: r
          fileMode: 384
          uid: 7
      mounts:
        - hostPath: /etc
          containerPath: /box
          options: [ro, nosuid]
  - name: two
    containerEdits:
      env: ["TWO=2"]
      additionalGids: [0, 44]
"""


def _spec(folder: Path, name: str, content: dict[str, Any] | str) -> Path:
    folder.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text)
    return folder


def _device(env: str, version: str = "0.6.0", **more: Any) -> dict[str, Any]:
    edits = {"env": [env], **more}
    return {
        "cdiVersion": version,
        "kind": "acme.com/box",
        "devices": [{"name": "one", "containerEdits": edits}],
    }


def test_yaml(tmp_path: Path) -> None:
    folder = _spec(tmp_path / "a", "acme.yaml", _YAML)
    found = cdi.edits(["acme.com/box=one", "acme.com/box=two", "acme.com/box=one"], [folder])
    assert found.env == ["SHARED=1", "ONE=1", "TWO=2"]
    assert found.gids == [44]
    null = os.stat("/dev/null").st_rdev
    numbers = {"major": os.major(null), "minor": os.minor(null)}
    assert found.nodes == [
        {"path": "/dev/box", "type": "c", **numbers, "fileMode": 0o600, "uid": 7, "gid": 0}
    ]
    assert found.rules == [{"allow": True, "type": "c", **numbers, "access": "r"}]
    assert found.mounts == [
        {
            "destination": "/box",
            "source": "/etc",
            "type": "bind",
            "options": ["rbind", "ro", "nosuid"],
        }
    ]


def test_hooks(tmp_path: Path) -> None:
    hook = {"hookName": "createContainer", "path": "/bin/x", "args": ["x", "y"], "env": ["A=1"]}
    folder = _spec(tmp_path / "a", "x.json", _device("A=1", hooks=[hook]))
    assert cdi.edits(["acme.com/box=one"], [folder]).hooks == {
        "createContainer": [{"path": "/bin/x", "args": ["x", "y"], "env": ["A=1"], "timeout": 0}]
    }


def test_the_later_folder_counts(tmp_path: Path) -> None:
    folders = [
        _spec(tmp_path / "a", "x.json", _device("A=1")),
        _spec(tmp_path / "b", "x.json", _device("B=1")),
        tmp_path / "none",
    ]
    assert cdi.edits(["acme.com/box=one"], folders).env == ["B=1"]


def test_twice_in_a_folder(tmp_path: Path) -> None:
    folder = _spec(tmp_path / "a", "x.json", _device("A=1"))
    _spec(folder, "y.json", _device("B=1"))
    with pytest.raises(FailedPrecondition, match="in another file"):
        cdi.edits(["acme.com/box=one"], [folder])


def test_a_broken_file_is_told_to_those_whose_device_is_missing(tmp_path: Path) -> None:
    folder = _spec(tmp_path / "a", "x.json", _device("A=1"))
    _spec(folder, "broken.yaml", "a: [")
    _spec(folder, "broken.json", "[]")
    assert cdi.edits(["acme.com/box=one"], [folder]).env == ["A=1"]
    with pytest.raises(NotFound, match=r"unresolvable CDI devices acme.com/box=two.*broken.json"):
        cdi.edits(["acme.com/box=two"], [folder])


@pytest.mark.parametrize(
    "content",
    [
        _device("A=1", version="9.0.0"),
        _device("A=1", hooks=[{"hookName": "poststop", "path": "/x"}]),
        _device("A=1", hooks=[{"hookName": "createContainer", "path": "x"}]),
        _device("A=1", mounts=[{"hostPath": "/x"}]),
        _device("A=1", deviceNodes=[{"path": "/x", "type": "q", "major": 1}]),
        _device("A=1", deviceNodes=["/x"]),
    ],
)
def test_what_cannot_be_done(tmp_path: Path, content: dict[str, Any]) -> None:
    folder = _spec(tmp_path / "a", "x.json", content)
    with pytest.raises((FailedPrecondition, NotFound), match=r"x\.json cannot be used"):
        cdi.edits(["acme.com/box=one"], [folder])


def test_a_device_that_the_host_has_not(tmp_path: Path) -> None:
    folder = _spec(tmp_path / "a", "x.json", _device("A=1", deviceNodes=[{"path": "/no/such"}]))
    with pytest.raises(NotFound, match="the host has no device /no/such"):
        cdi.edits(["acme.com/box=one"], [folder])


@pytest.mark.parametrize("name", ["", "x", "a/b", "acme.com/box=", "../x/y=z", "acme.com/box=a/b"])
def test_names(name: str) -> None:
    with pytest.raises(InvalidConfig):
        cdi.edits([name], [])


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("acme.com/box=*", ["SHARED=1", "ONE=1", "TWO=2"]),
        ("acme.com/box=", None),
        ("acme.com/box", ["SHARED=1", "ONE=1"]),
        ("acme.com/none=*", None),
        ("acme.com/none", None),
    ],
)
def test_classes(tmp_path: Path, name: str, env: list[str] | None) -> None:
    folder = _spec(tmp_path / "a", "acme.yaml", _YAML)
    if env is not None:
        assert cdi.edits([name], [folder]).env == env
        return
    with pytest.raises((NotFound, InvalidConfig), match=name.replace("*", r"\*")):
        cdi.edits([name], [folder])
