"""A spawn request, checked (see scow/api/shim/v1/spawner.proto)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from scow.api.shim.v1 import spawner_pb2 as pb
from scow.contract.errors import InvalidConfig
from scow.contract.log_formats import ENCODERS
from scow.shim.keeper.logfile import MAX_FILES, MAX_SIZE, LogFile

_SOCKET_PATH_MAX = 107  # of a unix socket's path (unix(7))


@dataclass(frozen=True, slots=True)
class Log:
    """Where a container's output is logged."""

    path: str
    max_size: int
    max_files: int
    form: str
    attrs: str
    compress: bool


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

    def log_file(self) -> LogFile | None:
        """Return the log, which is opened at the first record; None where output is logged nowhere."""
        log = self.log
        if log is None:
            return None
        return LogFile(
            log.path,
            log.max_size,
            log.max_files,
            form=log.form,
            attrs=log.attrs,
            compress=log.compress,
        )


def parse(wanted: pb.Spawn, cache: str | None, layers: Mapping[str, int]) -> Request:
    """Check a spawn request.

    Raises:
        InvalidConfig: It names the field.
    """
    for key in ("id", "bundle", "state_dir", "socket", "cgroup_parent"):
        if not getattr(wanted, key):
            raise _invalid(key, "is missing")
    name = wanted.id
    if not (name[0].isalnum() and all(c.isalnum() or c in "_.-" for c in name) and name.isascii()):
        raise _invalid("id", f"has the value {name!r}")
    for key in ("bundle", "state_dir", "socket"):
        if not os.path.isabs(getattr(wanted, key)):
            raise _invalid(key, f"is not an absolute path: {getattr(wanted, key)}")
    if len(os.fsencode(wanted.socket)) > _SOCKET_PATH_MAX:
        raise _invalid("socket", f"is longer than {_SOCKET_PATH_MAX} bytes")
    return Request(
        id=name,
        bundle=wanted.bundle,
        state_dir=wanted.state_dir,
        socket=wanted.socket,
        cgroup_parent=wanted.cgroup_parent,
        stdin=wanted.stdin,
        stdin_once=wanted.stdin_once,
        log=_log_of(wanted.log) if wanted.HasField("log") else None,
        seccomp_cache=cache,
        layers=layers,
    )


def _log_of(wanted: pb.ShimLog) -> Log:
    if not os.path.isabs(wanted.path):
        raise _invalid("log.path", f"is not an absolute path: {wanted.path}")
    form = wanted.format or "json"
    if form not in ENCODERS:
        raise _invalid("log.format", f"is unknown: {form}")
    size, files = wanted.max_size or MAX_SIZE, wanted.max_files or MAX_FILES
    return Log(wanted.path, size, files, form, wanted.attrs, wanted.compress)


def _invalid(key: str, why: str) -> InvalidConfig:
    text = f"the spawn request's {key} {why}"
    return InvalidConfig(
        text, what="spawn request", which=key, do="see scow/api/shim/v1/spawner.proto"
    )
