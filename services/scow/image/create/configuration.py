"""The configuration of an image that is made of another one and a layer.

What the base's configuration has beyond what is known here stays (OCI image specification, config.md: unknown fields
are to be kept); what tells how the base itself was made goes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from scow.api.image.v1.image_pb2 import ImageConfig
from scow.core.image_config import config_json
from scow.core.times import to_rfc3339

# Of the container that the base was made of, as old Docker versions wrote them down.
_OF_THE_BASE = frozenset(
    ("id", "parent", "container", "container_config", "docker_version", "throwaway")
)
_NEW = frozenset(("author", "comment", "created"))
_KNOWN = frozenset(
    (
        *("User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels"),
        *("StopSignal", "Shell", "OnBuild", "Healthcheck"),
    )
)


@dataclass(frozen=True)
class Step:
    """How an image was made of its base: an entry of its history."""

    created_ns: int
    created_by: str
    author: str
    comment: str


def derive(base: bytes, config: ImageConfig, step: Step, diff_id: str | None) -> bytes:
    """Return the configuration of the new image.

    Args:
        base: That of the base.
        config: What the new one has in place of the base's `config`.
        step: How it was made.
        diff_id: The further layer, None when nothing was changed.
    """
    value = {key: item for key, item in json.loads(base).items() if key not in _OF_THE_BASE}
    for key in _NEW:
        value.pop(key, None)
    kept = value.get("config")
    unknown = kept if isinstance(kept, dict) else {}
    value["config"] = {
        **{key: item for key, item in unknown.items() if key not in _KNOWN},
        **config_json(config),
    }
    value |= _texts(author=step.author, comment=step.comment, created=to_rfc3339(step.created_ns))
    value["history"] = [*(value.get("history") or []), _history(step, empty=diff_id is None)]
    rootfs = value["rootfs"]
    value["rootfs"] = {**rootfs, "diff_ids": [*rootfs["diff_ids"], *([diff_id] if diff_id else [])]}
    return json.dumps(value, separators=(",", ":")).encode()


def _history(step: Step, *, empty: bool) -> dict[str, Any]:
    entry: dict[str, Any] = _texts(
        created=to_rfc3339(step.created_ns),
        created_by=step.created_by,
        author=step.author,
        comment=step.comment,
    )
    return {**entry, **({"empty_layer": True} if empty else {})}


def _texts(**values: str) -> dict[str, str]:
    return {key: text for key, text in values.items() if text}
