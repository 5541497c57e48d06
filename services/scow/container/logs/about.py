"""What a log says of its container: the tag, and those labels and variables that its options name."""

from __future__ import annotations

import json
from collections.abc import Mapping

from scow.api.container.v1.container_pb2 import Container
from scow.core.patterns import compile_pattern
from scow.words.template import Struct, Template, TemplateError

_TAG = "{{.ID}}"


def tag(described: Container, given: Mapping[str, str], default: str = _TAG) -> str:
    """Return the tag of a container's records.

    Args:
        described: The container.
        given: The log's options; "tag" is a template of ID, FullID, Name, ImageID, ImageFullID, ImageName, DaemonName.
        default: The template of one that asks for none; a template that cannot be applied is shown as it is.
    """
    template = given.get("tag") or default
    if not template:
        return ""
    fields = Struct(
        ID=described.id[:12],
        FullID=described.id,
        Name=described.name,
        ImageID=described.image_id.removeprefix("sha256:")[:12],
        ImageFullID=described.image_id,
        ImageName=described.config.image,
        DaemonName="scow",
    )
    try:
        return Template(template).render(fields)
    except TemplateError:
        return template


def attributes(described: Container, given: Mapping[str, str]) -> dict[str, str]:
    """Return labels and variables that the log's options name."""
    found: dict[str, str] = {}
    variables = dict(each.partition("=")[::2] for each in described.env)
    for kind, values in (("labels", dict(described.labels)), ("env", variables)):
        named = [name for name in given.get(kind, "").split(",") if name]
        found |= {name: values[name] for name in named if name in values}
        if given.get(f"{kind}-regex"):
            pattern = compile_pattern(given[f"{kind}-regex"])
            found |= {name: value for name, value in values.items() if pattern.search(name)}
    return found


def details(described: Container, given: Mapping[str, str]) -> dict[str, str]:
    """Return what the log says of its container: `attributes`, and the tag where one is asked for."""
    found = attributes(described, given)
    if given.get("tag"):
        found["tag"] = tag(described, given)
    return found


def as_json(described: Container, given: Mapping[str, str]) -> str:
    """Return what each record of a json-file says of its container, an object of JSON; "" without any."""
    found = details(described, given)
    if not found:
        return ""
    return json.dumps(dict(sorted(found.items())), ensure_ascii=False, separators=(",", ":"))
