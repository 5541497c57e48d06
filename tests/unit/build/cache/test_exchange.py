"""Caches that engines exchange: what is written is read, and what strangers write is checked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scow.api.image.v1.layer_pb2 import Layer
from scow.build.cache import exchange
from scow.build.cache.exchange import Shared
from scow.build.store import Record

NANO = 1_000_000_000


def record(number: int, *, empty: bool = False) -> Record:
    layer = (
        None if empty else Layer(diff_id=f"sha256:{number:064x}", digest=f"sha256:{number:064x}")
    )
    moment = 1_700_000_000 * NANO + number
    return Record(f"{number:064x}", layer, "", "regular", f"RUN {number}", moment, moment)


def test_what_is_written_is_read() -> None:
    records = [record(1), record(2, empty=True), record(3)]
    stack, data = exchange.configuration(records, "linux/arm64/v8")
    assert [layer.diff_id[-1] for layer in stack] == ["1", "3"]
    assert json.loads(data)["variant"] == "v8"
    diff_ids, found = exchange.read(data)
    assert diff_ids == [layer.diff_id for layer in stack]
    assert list(found.values()) == [
        Shared(each.key, number, each.created_ns, each.description)
        for each, number in zip(records, (0, None, 1), strict=True)
    ]


def test_an_image_has_so_many_layers_and_no_more() -> None:
    stack, data = exchange.configuration([record(n) for n in range(200)], "linux/amd64")
    _, found = exchange.read(data)
    assert len(stack) == len(found) == exchange.LAYERS_MAX


def changed(**values: Any) -> bytes:
    one = {"key": "1" * 64, "layer": 0, "created": "2026-01-02T03:04:05.5Z", "description": "x"}
    entry = {"records": [one | values]}
    return json.dumps(
        {"rootfs": {"diff_ids": [f"sha256:{1:064x}"]}, exchange.ENTRY: entry}
    ).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"rootfs": {"diff_ids": []}}',
        b'{"rootfs": 1, "scow.cache.v1": {"records": []}}',
        b'{"rootfs": {"diff_ids": []}, "scow.cache.v1": {"records": [1]}}',
        changed(key="1"),
        changed(key=1),
        changed(layer=1),
        changed(layer=-1),
        changed(layer=True),
        changed(layer="0"),
        changed(created="yesterday"),
        changed(created="2026-01-02T03:04:05.xZ"),
        changed(created=None),
        changed(created="9999-12-31T23:59:59.9+99:99"),
        changed(created="9999-12-31T23:59:59Z"),
        changed(created="0001-01-01T00:00:00Z"),
        b"[" * 100_000,
        b'{"rootfs": {"diff_ids": [1]}, "scow.cache.v1": {"records": []}}',
        b'{"rootfs": {"diff_ids": ["x"]}, "scow.cache.v1": {"records": []}}',
    ],
)
def test_what_is_wrong(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\S"):
        exchange.read(data)


def test_times() -> None:
    _, found = exchange.read(changed())
    assert found["1" * 64].created_ns == 1_767_323_045 * NANO + NANO // 2
