"""Which namespaces a container shares, and with whom: "host", "container:NAME", ..."""

from __future__ import annotations

from dataclasses import dataclass

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.container.model.invalid import invalid

PREFIX = "container:"
RANGE = "private:"


@dataclass(frozen=True, slots=True)
class Mode:
    """Where one kind of namespace comes from.

    Attributes:
        kind: "private", "host", "container", for ipc also "shareable", for networks "none" or "network", and for users
            "auto" or "range".
        name: The container whose namespace is joined, the network, or the range of ids.
    """

    kind: str
    name: str = ""


PRIVATE = Mode("private")
SHAREABLE = Mode("shareable")
HOST = Mode("host")
AUTO = Mode("auto")


def network(config: ContainerConfig) -> Mode:
    """Return the network mode; a network's own name, of several the first one's, is kind "network"."""
    value = config.network or (config.networks[0].network if config.networks else "")
    if value in ("", "default", "bridge"):
        return Mode("network", "bridge")
    if value in ("host", "none"):
        return Mode(value)
    return _joined("network", value) or Mode("network", value)


def pid(config: ContainerConfig) -> Mode:
    """Return where the pid namespace comes from."""
    return _simple("pid_mode", config.pid_mode, ("", "private"))


def ipc(config: ContainerConfig) -> Mode:
    """Return where the ipc namespace comes from; one that others may join is "shareable"."""
    if config.ipc_mode == "shareable":
        return SHAREABLE
    return _simple("ipc_mode", config.ipc_mode, ("", "private"), "shareable")


def uts(config: ContainerConfig) -> Mode:
    """Return where the uts namespace comes from."""
    return _simple("uts_mode", config.uts_mode, ("", "private"), joinable=False)


def cgroup(config: ContainerConfig) -> Mode:
    """Return where the cgroup namespace comes from."""
    return _simple("cgroupns_mode", config.cgroupns_mode, ("", "private"), joinable=False)


def user(config: ContainerConfig, default: str = "host") -> Mode:
    """Return where the user namespace comes from: "auto", or "range" with "FIRST:SIZE" as its name, or as the others.

    Args:
        config: Of the container.
        default: The engine's, "host" or "auto".
    """
    value = config.userns_mode or default
    if value in ("auto", "private"):
        return AUTO
    if value == "host":
        return HOST
    if value.startswith(RANGE):
        return Mode("range", value.removeprefix(RANGE))
    joined = _joined("userns_mode", value)
    if joined is None:
        raise invalid(
            "userns_mode",
            f"has the unknown mode {value!r}",
            f"use host, auto, {RANGE}FIRST:SIZE or {PREFIX}NAME",
        )
    return joined


def _simple(
    field: str, value: str, private: tuple[str, ...], *more: str, joinable: bool = True
) -> Mode:
    if value in private:
        return PRIVATE
    if value == "host":
        return HOST
    joined = _joined(field, value) if joinable else None
    if joined is None:
        choices = [*private[1:], *more, "host"] + ([f"{PREFIX}NAME"] if joinable else [])
        raise invalid(field, f"has the unknown mode {value!r}", f"use {' or '.join(choices)}")
    return joined


def _joined(field: str, value: str) -> Mode | None:
    if not value.startswith(PREFIX):
        return None
    if value == PREFIX:
        raise invalid(field, "names no container", f"use {PREFIX}NAME")
    return Mode("container", value.removeprefix(PREFIX))
