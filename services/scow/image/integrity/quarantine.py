"""The quarantine: damaged blobs and layers, `quarantine/<kind>-<digits of the digest>-<nanoseconds since 1970>`."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.core.times import now_ns
from scow.image.content.digests import digits_of
from scow.image.metadata.tables import ImageStore
from scow.image.reconcile import action
from scow.kernel.trees import remove_tree

_NAME = re.compile(r"(blob|layer)-([0-9a-f]{64}|[0-9a-f]{128})-([0-9]+)")
_NANO = 1_000_000_000


class Quarantine:
    """The folder.

    Args:
        base: The service's folder.
        rows: The tables.
        keep_seconds: For which blobs are kept.
    """

    def __init__(self, base: Path, rows: ImageStore, keep_seconds: float) -> None:
        self._folder = base / "quarantine"
        # As the folder of layers: running containers look up what was moved here through it.
        self._folder.mkdir(exist_ok=True, mode=0o711)
        self._rows = rows
        self._keep_seconds = keep_seconds

    def _path(self, kind: str, digest: str) -> Path:
        return self._folder / f"{kind}-{digits_of(digest)}-{now_ns()}"

    def take_blob(self, digest: str, path: Path) -> bool:
        """Move a damaged blob here; tell whether there was one."""
        try:
            path.rename(self._path("blob", digest))
        except FileNotFoundError:
            return False
        return True

    def layer_path(self, diff_id: str) -> Path:
        """Return where a damaged layer is to be moved."""
        return self._path("layer", diff_id)

    async def clean(self) -> list[ReconcileAction]:
        """Delete blobs that were kept long enough, and layers that no container can be using any more."""
        actions = []
        for path in self._folder.iterdir():
            match = _NAME.fullmatch(path.name)
            if match is None:
                continue
            kind, digest, since = match[1], f"sha256:{match[2]}", int(match[3])
            if kind == "layer":
                done = not self._rows.snapshots_before(digest, since)
            else:
                done = now_ns() - since >= self._keep_seconds * _NANO
            if done:
                await asyncio.to_thread(_delete, path)
                why = "nobody uses it" if kind == "layer" else "it was kept long enough"
                actions.append(action(f"quarantine/{path.name}", "released", why))
        return actions


def _delete(path: Path) -> None:
    if path.is_dir():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
