"""The configuration of an image that was built (OCI image specification, config.md).

Times are those at which layers were made, also when they were taken from the cache: the same build gives the same image
again.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scow.api.image.v1.layer_pb2 import Layer
from scow.build.cache import exchange
from scow.build.frontend.steps import BuildStage
from scow.build.store import Record
from scow.core.image_config import config_json
from scow.core.times import to_rfc3339


@dataclass(frozen=True)
class Lineage:
    """A stage with its results; the stages and the image that it lies on come before it.

    Attributes:
        base: Configuration of the image at the bottom; empty where that is scratch.
        stages: The stages from there on, each with the results of its steps.
    """

    base: bytes
    stages: tuple[tuple[BuildStage, tuple[Record, ...]], ...]


def make(
    lineage: Lineage,
    stack: Sequence[Layer],
    epoch_ns: int | None,
    *,
    has_cache: bool = False,
    squashed: str = "",
) -> bytes:
    """Return the configuration.

    Args:
        lineage: How the image came to be.
        stack: Its layers.
        epoch_ns: A time for all that was made now; None means the times at which it was.
        has_cache: Whether other engines are to find the results of its steps in the image.
        squashed: A comment on the one layer that stands for all that were made; empty where there is none.
    """
    stage = lineage.stages[-1][0]
    base: dict[str, Any] = json.loads(lineage.base) if lineage.base else {}
    created = str(base.get("created") or "")
    history = list(base.get("history") or [])
    for each, records in lineage.stages:
        for entry in each.history:
            record = None if entry.step is None else records[entry.step]
            if record is not None and record.layer is not None:
                created = to_rfc3339(record.created_ns if epoch_ns is None else epoch_ns)
            history.append(_history(entry.created_by, entry.comment, created, record))
    if squashed:
        count = len(base.get("history") or [])
        history[count:] = [{**each, "empty_layer": True} for each in history[count:]]
        history.append({"created": created, "comment": squashed})
    if epoch_ns is not None:
        created = to_rfc3339(epoch_ns)
    os, _, rest = stage.platform.partition("/")
    architecture, _, variant = rest.partition("/")
    value: dict[str, Any] = {
        **({"created": created} if created else {}),
        **({"author": stage.author} if stage.author else {}),
        "architecture": architecture,
        "os": os,
        **({"variant": variant} if variant else {}),
        **{key: base[key] for key in ("os.version", "os.features") if key in base},
        "config": config_json(stage.config),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in stack]},
        "history": history,
    }
    if has_cache:
        results = [record for _, each in lineage.stages for record in each]
        value[exchange.ENTRY] = exchange.entry(results, stack)
    return json.dumps(value, separators=(",", ":")).encode()


def of_files(record: Record) -> bytes:
    """Return the configuration of a base that is the files of a context."""
    created = to_rfc3339(record.created_ns)
    history = [_history(record.description, "buildkit.dockerfile.v0", created, record)]
    return json.dumps({"created": created, "history": history}).encode()


def _history(created_by: str, comment: str, created: str, record: Record | None) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if created:
        entry["created"] = created
    entry["created_by"] = created_by
    if comment:
        entry["comment"] = comment
    if record is None or record.layer is None:
        entry["empty_layer"] = True
    return entry
