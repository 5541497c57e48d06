"""Caches that engines exchange: an image whose layers are results of steps, and whose configuration says of which.

The same in a registry, in a folder (an OCI image layout) and in the image that was built ("inline"): the configuration
has one more entry, `scow.cache.v1`::

    {"records": [{"key": KEY, "layer": NUMBER, "created": RFC 3339, "description": "RUN make"}, ...]}

`layer` is absent where a step changed nothing. Keys are what steps are made of, and the same on every engine. What is
read was written by a stranger: it is checked, and bounded by the size of a configuration.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scow.api.image.v1.layer_pb2 import Layer
from scow.build.store import Record
from scow.contract import strict_json
from scow.core.times import to_rfc3339

ENTRY = "scow.cache.v1"
# Layers that an image may have (image.max_layers).
LAYERS_MAX = 127
_KEY = re.compile(r"[0-9a-f]{64}")
_DIFF_ID = re.compile(r"sha256:[0-9a-f]{64}")
_TEXT_MAX = 1000
_NANO = 1_000_000_000


@dataclass(frozen=True)
class Shared:
    """A result that another engine has: `layer` is its number, None where the step changed nothing."""

    key: str
    layer: int | None
    created_ns: int
    description: str


def entry(records: Iterable[Record], stack: Sequence[Layer]) -> dict[str, Any]:
    """Return the entry of a configuration.

    Args:
        records: What is told; those whose layer is not in the stack are left out.
        stack: Layers of the image.
    """
    numbers = {layer.diff_id: number for number, layer in enumerate(stack)}
    told: dict[str, dict[str, Any]] = {}
    for record in records:
        one: dict[str, Any] = {"key": record.key}
        if record.layer is not None:
            if record.layer.diff_id not in numbers:
                continue
            one["layer"] = numbers[record.layer.diff_id]
        one["created"] = to_rfc3339(record.created_ns)
        one["description"] = record.description[:_TEXT_MAX]
        told[record.key] = one
    return {"records": list(told.values())}


def configuration(records: Sequence[Record], platform: str) -> tuple[list[Layer], bytes]:
    """Return the layers and the configuration of an image that is a cache and nothing else.

    Args:
        records: What is told, the most useful first: an image has at most `LAYERS_MAX` layers.
        platform: "linux/amd64".
    """
    layers = {r.layer.diff_id: r.layer for r in records if r.layer is not None}
    stack = list(layers.values())[:LAYERS_MAX]
    os, _, rest = platform.partition("/")
    architecture, _, variant = rest.partition("/")
    value = {
        "architecture": architecture,
        "os": os,
        **({"variant": variant} if variant else {}),
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]},
        ENTRY: entry(records, stack),
    }
    return stack, json.dumps(value, separators=(",", ":")).encode()


def read(data: bytes) -> tuple[list[str], dict[str, Shared]]:
    """Return the diff ids of an image, and the results that its configuration tells of, by key.

    Raises:
        ValueError: It is not the configuration of a cache.
    """
    value = strict_json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("it is not a configuration")
    rootfs, told = value.get("rootfs"), value.get(ENTRY)
    diff_ids = rootfs.get("diff_ids") if isinstance(rootfs, dict) else None
    records = told.get("records") if isinstance(told, dict) else None
    if not isinstance(diff_ids, list) or not isinstance(records, list):
        raise ValueError("it has no cache in it")
    if not all(isinstance(each, str) and _DIFF_ID.fullmatch(each) for each in diff_ids):
        raise ValueError("a layer has no digest")
    found = (_shared(record, len(diff_ids)) for record in records)
    return diff_ids, {each.key: each for each in found}


def _shared(record: Any, layers: int) -> Shared:
    if not isinstance(record, dict) or not _KEY.fullmatch(str(record.get("key"))):
        raise ValueError("a record has no key")
    layer = record.get("layer")
    if layer is not None and not (type(layer) is int and 0 <= layer < layers):
        raise ValueError(f"a record has the layer {str(layer)[:20]} of {layers}")
    description = str(record.get("description") or "")[:_TEXT_MAX]
    return Shared(record["key"], layer, _moment(str(record.get("created"))), description)


def _moment(text: str) -> int:
    """Return a moment in nanoseconds since 1970."""
    seconds, _, rest = text.removesuffix("Z").partition(".")
    fraction = rest[:9]
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        raise ValueError(f"a record has the time {text[:40]}")
    when = datetime.datetime.fromisoformat(seconds).replace(tzinfo=datetime.UTC)
    moment = int(when.timestamp()) * _NANO + int(fraction.ljust(9, "0") or 0)
    if not 0 <= moment < 1 << 63:
        raise ValueError(f"a record has the time {text[:40]}")
    return moment
