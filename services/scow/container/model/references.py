"""Where a container's configuration names other containers, and is read again at each start."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb

_PREFIX = "container:"
_MODES = ("network", "pid_mode", "ipc_mode")


def has(config: pb.ContainerConfig, name: str) -> bool:
    """Tell whether a configuration names a container."""
    joined = any(getattr(config, field) == _PREFIX + name for field in _MODES)
    awaited = any(each.container == name for each in config.depends_on)
    return joined or awaited or any(_linked(link) == name for link in config.links)


def change(config: pb.ContainerConfig, before: str, name: str) -> None:
    """Have a configuration name a container by another name; aliases stay as they are.

    Args:
        config: Changed in place.
        before: The name that the container had.
        name: The one that it has.
    """
    for field in _MODES:
        if getattr(config, field) == _PREFIX + before:
            setattr(config, field, _PREFIX + name)
    for each in config.depends_on:
        if each.container == before:
            each.container = name
    for index, link in enumerate(config.links):
        if _linked(link) == before:
            alias = link.strip("/").partition(":")[2] or before
            config.links[index] = f"{name}:{alias}"


def _linked(link: str) -> str:
    return link.strip("/").partition(":")[0]
