"""Provenance."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import pytest

from scow.build.attestation.provenance import (
    BuildRecord,
    Material,
    StepRecord,
    image_uri,
    predicate,
    without_credentials,
)

DIGEST = "sha256:" + "1" * 64
RECORD = BuildRecord(
    "1.0",
    "build-1",
    "2026-01-02T03:04:05Z",
    "2026-01-02T03:05:05Z",
    b"FROM x\n",
    builder_id="https://builder.example",
    context="https://user:token@git.example/app.git#main",
    target="final",
    platform="linux/amd64",
    build_args={"A": "value-of-a", "HTTPS_PROXY": "http://u:proxypw@p"},
    labels={"l": "1"},
    secrets=("npm",),
    ssh=("default",),
    materials=(Material("pkg:docker/x?digest=y", DIGEST), Material("https://u:p@h/f?sig=1", DIGEST))
    * 2,
    steps=(StepRecord("[1/1] RUN x", 0, 0, DIGEST, 2, True),),
)


def test_min() -> None:
    value = predicate(RECORD, "min")
    definition, details = value["buildDefinition"], value["runDetails"]
    assert definition["externalParameters"] == {
        "configSource": {
            "path": "Dockerfile",
            "digest": {"sha256": hashlib.sha256(b"FROM x\n").hexdigest()},
            "uri": "https://git.example/app.git#main",
        },
        "request": {
            "frontend": "dockerfile.v0",
            "args": {"target": "final", "platform": "linux/amd64"},
            "secrets": [{"id": "npm"}],
            "ssh": [{"id": "default"}],
        },
    }
    assert definition["resolvedDependencies"] == [
        {"uri": "https://h/f", "digest": {"sha256": "1" * 64}},
        {"uri": "pkg:docker/x?digest=y", "digest": {"sha256": "1" * 64}},
    ]
    assert details["builder"]["id"] == "https://builder.example"
    assert details["metadata"]["startedOn"] == "2026-01-02T03:04:05Z"
    assert "value-of-a" not in json.dumps(value)


def test_max() -> None:
    value = predicate(RECORD, "max")
    assert value["buildDefinition"]["externalParameters"]["request"]["args"] == {
        "target": "final",
        "platform": "linux/amd64",
        "build-arg:A": "value-of-a",
        "label:l": "1",
    }
    metadata = value["runDetails"]["metadata"]
    assert base64.b64decode(metadata["scow_source"]["content"]) == b"FROM x\n"
    assert metadata["scow_steps"] == [
        {
            "name": "[1/1] RUN x",
            "stage": 0,
            "number": 0,
            "result": {"sha256": "1" * 64},
            "line": 2,
            "cached": True,
        }
    ]


@pytest.mark.parametrize("mode", ["min", "max"])
def test_no_credentials(mode: str) -> None:
    text = json.dumps(predicate(RECORD, mode))  # type: ignore[arg-type]
    for secret in ("token", "proxypw", "u:p@", "sig=1"):
        assert secret not in text


def test_the_same_build_says_the_same_elsewhere() -> None:
    first = replace(RECORD, reproducible_at="1970-01-01T00:00:00Z")
    second = replace(
        first,
        build_id="build-2",
        started="2027-01-01T00:00:00Z",
        steps=(replace(RECORD.steps[0], cached=False),),
    )
    assert predicate(first, "max") == predicate(second, "max")
    assert predicate(first, "min") != predicate(replace(second, target="other"), "min")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("busybox:1", f"pkg:docker/busybox@1?digest={DIGEST}&platform=linux%2Famd64"),
        ("h:5000/a/b", f"pkg:docker/h:5000/a/b?digest={DIGEST}&platform=linux%2Famd64"),
        (f"a/b@{DIGEST}", f"pkg:docker/a/b?digest={DIGEST}&platform=linux%2Famd64"),
    ],
)
def test_images(reference: str, expected: str) -> None:
    assert image_uri(reference, DIGEST, "linux/amd64") == expected


def test_addresses() -> None:
    assert without_credentials("git@github.com:a/b.git") == "git@github.com:a/b.git"
    assert without_credentials("https://u:p@h:1/a?b=c#d") == "https://h:1/a#d"
