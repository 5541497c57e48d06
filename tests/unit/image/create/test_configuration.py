"""Configurations of images that are made of others."""

from __future__ import annotations

import json

from scow.api.image.v1.image_pb2 import ImageConfig
from scow.image.create.configuration import Step, derive

LAYER = f"sha256:{'1' * 64}"
STEP = Step(1_600_000_000_000_000_001, "sh", "me", "why")
BASE = {
    "architecture": "arm64",
    "variant": "v9",
    "os": "linux",
    "os.features": ["x"],
    "created": "2001-01-01T00:00:00Z",
    "author": "someone",
    "comment": "something",
    "container": "0123",
    "container_config": {"Cmd": ["x"]},
    "docker_version": "1.2",
    "com.example.unknown": {"a": 1},
    "config": {"Cmd": ["sh"], "Env": ["A=1"], "OnBuild": ["RUN x"], "ArgsEscaped": True},
    "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
    "history": [{"created_by": "base"}],
}


def test_what_is_unknown_stays_and_what_was_of_the_base_goes() -> None:
    data = derive(json.dumps(BASE).encode(), ImageConfig(cmd=["new"]), STEP, LAYER)
    value = json.loads(data)
    for key in ("architecture", "variant", "os", "os.features", "com.example.unknown"):
        assert value[key] == BASE[key]
    assert not {"container", "container_config", "docker_version"} & value.keys()
    assert value["config"] == {"Cmd": ["new"], "ArgsEscaped": True}
    assert value["rootfs"]["diff_ids"][1:] == [LAYER]
    assert (value["author"], value["comment"]) == ("me", "why")
    assert value["history"][0] == {"created_by": "base"}
    assert value["history"][1] == {
        "created": value["created"],
        "created_by": "sh",
        "author": "me",
        "comment": "why",
    }


def test_nothing_said_and_nothing_changed() -> None:
    step = Step(0, "", "", "")
    value = json.loads(derive(json.dumps(BASE).encode(), ImageConfig(), step, None))
    assert value["rootfs"] == BASE["rootfs"]
    assert value["history"][-1]["empty_layer"] is True
    assert "author" not in value
    assert "comment" not in value
