"""Dockerfiles of real shape with their contexts, and what else they need: a base called `busybox` or `debian`.

A new one is a folder. Unit tests plan them, integration tests compare their configuration with other builders', and
end-to-end tests build them.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent
CORPUS = tuple(sorted(path.parent.name for path in _FOLDER.glob("*/Dockerfile")))


def folder(name: str) -> Path:
    """Return the context of a Dockerfile."""
    return _FOLDER / name


def dockerfile(name: str) -> bytes:
    """Return a Dockerfile."""
    return (folder(name) / "Dockerfile").read_bytes()
