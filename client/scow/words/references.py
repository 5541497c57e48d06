"""References of images, as people write them and as the engine does."""

from __future__ import annotations

import re

_FORM = re.compile(
    r"(?:[A-Za-z0-9.\-]+(?::[0-9]{1,5})?/|\[[0-9a-f:.]+\](?::[0-9]{1,5})?/)?"
    r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[a-z0-9+._-]+:[0-9a-f]{32,128})?"
)


def familiar(reference: str) -> str:
    """Return a complete reference as people write it: "nginx:latest"."""
    return reference.removeprefix("docker.io/").removeprefix("library/")


def parted(reference: str) -> tuple[str, str]:
    """Return the name and the tag of a reference; a port of the registry is not a tag, and a digest is left out."""
    reference = reference.partition("@")[0]
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "")


def complete(reference: str) -> str:
    """Return what a reference means, registry and all: "docker.io/library/nginx:latest" for "nginx".

    Its form is not checked.
    """
    first, slash, rest = reference.partition("/")
    is_registry = slash and (
        "." in first or ":" in first or first == "localhost" or first != first.lower()
    )
    if not is_registry:
        rest = reference if slash else f"library/{reference}"
        first = "docker.io"
    elif first == "index.docker.io":
        first = "docker.io"
    if first == "docker.io" and "/" not in rest.partition("@")[0]:
        rest = f"library/{rest}"
    return with_tag(f"{first}/{rest}")


def is_plausible(reference: str) -> bool:
    """Tell whether a text has the form of a reference; the image service decides."""
    return _FORM.fullmatch(reference) is not None


def with_tag(reference: str) -> str:
    """Return a reference with the tag that it stands for."""
    return reference if "@" in reference or parted(reference)[1] else f"{reference}:latest"
