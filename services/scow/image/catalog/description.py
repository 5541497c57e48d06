"""Messages of images: what never changes of one is recorded with it, so that a list reads no files."""

from __future__ import annotations

import json
from typing import Any

from scow.api.image.v1 import image_pb2 as pb
from scow.api.types.v1.types_pb2 import Platform as PlatformMessage
from scow.contract.errors import InvalidManifest
from scow.core.times import to_proto
from scow.image.oci.manifests import Configuration, parse_time
from scow.image.oci.platforms import Platform


def platform_message(platform: Platform) -> PlatformMessage:
    """Return the message of a platform."""
    return PlatformMessage(
        os=platform.os, architecture=platform.architecture, variant=platform.variant
    )


def description(image_id: str, configuration: Configuration) -> pb.Image:
    """Return what never changes of an image's message."""
    return pb.Image(
        id=image_id,
        created_at=to_proto(configuration.created_ns),
        platform=platform_message(configuration.platform),
        config=configuration.config,
        diff_ids=configuration.diff_ids,
        author=configuration.author,
        comment=configuration.comment,
        docker_version=configuration.docker_version,
    )


def history(configuration: bytes, sizes: list[int]) -> list[pb.HistoryEntry]:
    """Return the steps in which an image was made, the oldest first.

    They are for people alone: an entry that cannot be read is shown as far as it can be.

    Args:
        configuration: The image's configuration, byte for byte.
        sizes: Bytes of its layers, the lowest first. Layers that no step tells of get an entry of their own.
    """
    value = json.loads(configuration)
    steps = value.get("history") if isinstance(value, dict) else None
    entries = []
    rest = list(sizes)
    for step in steps if isinstance(steps, list) else []:
        entry = _entry(step if isinstance(step, dict) else {})
        if not entry.empty_layer:
            entry.size = rest.pop(0) if rest else 0
        entries.append(entry)
    entries += [pb.HistoryEntry(size=size) for size in rest]
    return entries


def _entry(step: dict[str, Any]) -> pb.HistoryEntry:
    def text(key: str) -> str:
        found = step.get(key)
        # Half characters, which JSON may escape, have no place in a message.
        return found.encode(errors="replace").decode() if isinstance(found, str) else ""

    try:
        created = parse_time(text("created"))
    except InvalidManifest:
        created = 0
    return pb.HistoryEntry(
        created_at=to_proto(created),
        created_by=text("created_by"),
        author=text("author"),
        comment=text("comment"),
        empty_layer=step.get("empty_layer") is True,
    )
