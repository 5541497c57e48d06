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


def is_plausible(reference: str) -> bool:
    """Tell whether a text has the form of a reference; the image service decides."""
    return _FORM.fullmatch(reference) is not None


def with_tag(reference: str) -> str:
    """Return a reference with the tag that it stands for."""
    return reference if "@" in reference or parted(reference)[1] else f"{reference}:latest"
