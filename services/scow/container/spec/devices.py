"""Devices of a container, as OCI `linux.devices` and `linux.resources.devices`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from scow.api.container.v1.container_pb2 import Device
from scow.container.model.invalid import invalid
from scow.contract.errors import NotFound

_DENY_ALL = {"allow": False, "access": "rwm"}
_ALLOW_ALL = {"allow": True, "access": "rwm"}
# Nodes may be made for any device; what may be opened is allowed one by one. The shim adds the default devices.
_MAKE_ANY = (
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
)
# Of /dev: what the container has an own of.
_OWN = frozenset({"pts", "shm", "mqueue", "fd", "stdin", "stdout", "stderr", "console", "ptmx"})

Node = dict[str, Any]


def check(devices: Iterable[Device]) -> None:
    """Refuse devices that are written wrongly.

    Raises:
        InvalidConfig: A relative path, or unknown permissions.
    """
    for device in devices:
        if not device.host_path.startswith("/"):
            raise invalid("devices", f"has {device.host_path!r}", "use an absolute host path")
        if device.container_path and not device.container_path.startswith("/"):
            raise invalid("devices", f"has {device.container_path!r}", "use an absolute path")
        if set(device.permissions) - set("rwm"):
            raise invalid("devices", f"has permissions {device.permissions!r}", 'use "rwm"')


def nodes(devices: Iterable[Device], *, privileged: bool) -> tuple[list[Node], list[Node]]:
    """Return OCI `linux.devices` and `linux.resources.devices`.

    Raises:
        NotFound: The host has no such device.
    """
    if privileged:
        return [*_host_nodes(Path("/dev")), *_wanted(devices)], [_ALLOW_ALL]
    made = list(_wanted(devices))
    permissions = {d.container_path or d.host_path: d.permissions or "rwm" for d in devices}
    rules: list[Node] = [_DENY_ALL, *_MAKE_ANY]
    for node in made:
        access = next((p for path, p in permissions.items() if _below(node["path"], path)), "rwm")
        rules.append(
            {
                "allow": True,
                "type": node["type"],
                "major": node["major"],
                "minor": node["minor"],
                "access": access,
            }
        )
    return made, rules


def _below(path: str, top: str) -> bool:
    return path == top or path.startswith(top.rstrip("/") + "/")


def _wanted(devices: Iterable[Device]) -> Iterator[Node]:
    for device in devices:
        source, target = Path(device.host_path), Path(device.container_path or device.host_path)
        found = False
        paths = sorted(source.rglob("*")) if source.is_dir() else [source]
        for path in paths:
            node = _node(path, target / path.relative_to(source))
            if node is not None:
                found = True
                yield node
        if not found:
            raise NotFound(
                f"{source} is not a device of this host",
                what="device",
                which=str(source),
                do="see /dev for the devices there are",
            )


def _host_nodes(folder: Path) -> Iterator[Node]:
    """Yield the host's devices, for a privileged container."""
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = folder / name
        if folder == Path("/dev") and name in _OWN:
            continue
        if path.is_dir() and not path.is_symlink():
            yield from _host_nodes(path)
        elif (node := _node(path, path, follow=False)) is not None:
            yield node


def _node(path: Path, target: Path, *, follow: bool = True) -> Node | None:
    try:
        info = path.stat() if follow else path.lstat()
    except OSError:
        return None
    if stat.S_ISCHR(info.st_mode):
        kind = "c"
    elif stat.S_ISBLK(info.st_mode):
        kind = "b"
    else:
        return None
    return {
        "path": str(target),
        "type": kind,
        "major": os.major(info.st_rdev),
        "minor": os.minor(info.st_rdev),
        "fileMode": stat.S_IMODE(info.st_mode),
        "uid": info.st_uid,
        "gid": info.st_gid,
    }
