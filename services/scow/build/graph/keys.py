"""Keys: what the result of a step is known by, on every engine the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from scow.api.image.v1.layer_pb2 import Layer

Stack = tuple[Layer, ...]


def key_of(kind: str, below: Sequence[Layer], *parts: Any) -> str:
    """Return the key of a step.

    Args:
        kind: What the step does, with a number that grows when its meaning changes: "run.1".
        below: The layers that it is done upon.
        parts: All else that its result depends on, as JSON has it.
    """
    value = [kind, [layer.diff_id for layer in below], parts]
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
