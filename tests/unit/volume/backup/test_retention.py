"""Which backups are kept, and what is believed of a repository's manifests."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scow.contract.errors import InvalidBackup
from scow.volume.backup import format as layout
from scow.volume.backup.format import About, Blob
from scow.volume.backup.retention import Found, chosen

DIGEST = f"sha256:{'a' * 64}"


def found(volume: str, created: int) -> Found:
    return Found(f"{volume}{created}", ("tag",), About(volume, created, frozenset()))


ALL = [found("a", 1), found("a", 2), found("a", 3), found("b", 1)]


@pytest.mark.parametrize(
    ("last", "since", "expected"),
    [
        (1, None, {"a3", "b1"}),
        (2, None, {"a2", "a3", "b1"}),
        (9, None, {"a1", "a2", "a3", "b1"}),
        (0, 2, {"a2", "a3"}),
        (1, 2, {"a2", "a3", "b1"}),
        (0, 9, set()),
    ],
)
def test_what_is_kept(last: int, since: int | None, expected: set[str]) -> None:
    assert {each.digest for each in chosen(ALL, last, since)} == expected


NOTES = {layout.TITLE: "data", layout.CREATED: "2026-01-02T03:04:05Z"}


def test_what_is_said_of_a_backup_comes_back() -> None:
    blob = Blob(DIGEST, 3)
    made = layout.about(layout.manifest(blob, [(blob, layout.INDEX)], NOTES))
    assert made == About("data", 1_767_323_045_000_000, frozenset())
    notes = {**NOTES, layout.CREATED: "2026-01-02T03:04:05.25Z"}
    made = layout.about(layout.manifests([blob], notes))
    assert made == About("data", 1_767_323_045_250_000, frozenset([DIGEST]))
    now = layout.about(layout.manifests([], {**NOTES, layout.CREATED: layout.now()}))
    assert now.created > made.created


@pytest.mark.parametrize(
    "change",
    [
        {"artifactType": "image"},
        {"annotations": []},
        {"annotations": {layout.CREATED: "yesterday"}},
        {"annotations": {layout.CREATED: "2026-99-02T03:04:05Z"}},
        {"annotations": {layout.CREATED: "9999-12-31T23:59:61Z"}},
        {"annotations": {**NOTES, layout.TITLE: "\ud800"}},
        {"annotations": {}},
        {"manifests": 1},
        {"manifests": [{"digest": "../x"}]},
        {"manifests": [{}]},
    ],
)
def test_documents_of_something_else(change: dict[str, Any]) -> None:
    value = {**json.loads(layout.manifests([Blob(DIGEST, 3)], NOTES)), **change}
    with pytest.raises(InvalidBackup):
        layout.about(json.dumps(value).encode())
