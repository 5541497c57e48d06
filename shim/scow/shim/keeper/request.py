"""A spawn request, checked (see `scow.shim.spawner.server`)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scow.shim.errors import ShimError
from scow.shim.keeper.logfile import MAX_FILES, MAX_SIZE

_SOCKET_PATH_MAX = 107  # of a unix socket's path (unix(7))


@dataclass(frozen=True, slots=True)
class Log:
    """Where a container's output is logged."""

    path: str
    max_size: int
    max_files: int


@dataclass(frozen=True, slots=True)
class Request:
    """A spawn request."""

    id: str
    bundle: str
    state_dir: str
    socket: str
    cgroup_parent: str
    stdin: bool
    stdin_once: bool
    log: Log | None
    seccomp_cache: str | None
    # Layers that the spawner has mounted: descriptors by the path of the index, closed once the init has them.
    layers: Mapping[str, int] = field(default_factory=dict)


def parse(raw: dict[str, Any], cache: str | None, layers: Mapping[str, int]) -> Request:
    """Check a spawn request.

    Raises:
        ShimError: INVALID_ARGUMENT, naming the key.
    """
    for key in ("id", "bundle", "state_dir", "socket", "cgroup_parent"):
        if not isinstance(raw.get(key), str) or not raw[key]:
            raise _invalid(key, "is missing")
    name = raw["id"]
    if not (name[0].isalnum() and all(c.isalnum() or c in "_.-" for c in name) and name.isascii()):
        raise _invalid("id", f"has the value {name!r}")
    for key in ("bundle", "state_dir", "socket"):
        if not os.path.isabs(raw[key]):
            raise _invalid(key, f"is not an absolute path: {raw[key]}")
    if len(os.fsencode(raw["socket"])) > _SOCKET_PATH_MAX:
        raise _invalid("socket", f"is longer than {_SOCKET_PATH_MAX} bytes")
    return Request(
        id=name,
        bundle=raw["bundle"],
        state_dir=raw["state_dir"],
        socket=raw["socket"],
        cgroup_parent=raw["cgroup_parent"],
        stdin=bool(raw.get("stdin")),
        stdin_once=bool(raw.get("stdin_once")),
        log=_log_of(raw.get("log")),
        seccomp_cache=cache,
        layers=layers,
    )


def _log_of(wanted: dict[str, Any] | None) -> Log | None:
    driver = (wanted or {}).get("driver", "none")
    if wanted is None or driver == "none":
        return None
    if driver != "json-file" or not wanted.get("path"):
        text = f"the log driver {driver!r} is neither json-file (with a path) nor none"
        raise ShimError("INVALID_ARGUMENT", "INVALID_CONFIG", text, what="log", which=str(driver))
    max_size = int(wanted.get("max_size") or MAX_SIZE)
    return Log(wanted["path"], max_size, int(wanted.get("max_files") or MAX_FILES))


def _invalid(key: str, why: str) -> ShimError:
    text = f"the spawn request's {key} {why}"
    return ShimError("INVALID_ARGUMENT", "INVALID_CONFIG", text, what="spawn request", which=key)
