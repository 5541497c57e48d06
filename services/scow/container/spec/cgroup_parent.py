"""Where a container's cgroup is: below the engine's, at a path of the host, or in a systemd slice."""

from __future__ import annotations

import re

from scow.container.model.invalid import invalid

_FIELD = "cgroup_parent"
_PATH = re.compile(r"/?[A-Za-z0-9_.@:-]+(/[A-Za-z0-9_.@:-]+)*")
_SLICE = ".slice"
_LENGTH_MAX = 1024


def resolve(parent: str, instance: str) -> str:
    """Return the path of a cgroup parent below the root of each hierarchy.

    The name of a slice stands for where systemd has it: "a-b.slice" is in "a.slice" (systemd.slice(5)).

    Args:
        parent: As the configuration has it; empty means the engine's own.
        instance: Name of the engine.

    Raises:
        InvalidConfig: It is neither a path nor a slice.
    """
    if not parent:
        return instance
    named = parent.removeprefix("/")
    parts = named.split("/")
    if not _PATH.fullmatch(parent) or {".", ".."} & {*parts} or len(parent) > _LENGTH_MAX:
        raise invalid(
            _FIELD,
            f"is {parent!r}",
            'use a path like "/teams/web" or a systemd slice like "web.slice"',
        )
    if len(parts) > 1 or not named.endswith(_SLICE):
        return named
    return _expanded(named)


def _expanded(name: str) -> str:
    words = name.removesuffix(_SLICE).split("-")
    if name == f"-{_SLICE}":
        raise invalid(_FIELD, "is the root slice", "name another slice")
    if not all(words):
        raise invalid(
            _FIELD, f"is {name!r}, which is no name of a slice", 'write it like "a-b.slice"'
        )
    return "/".join("-".join(words[: depth + 1]) + _SLICE for depth in range(len(words)))
