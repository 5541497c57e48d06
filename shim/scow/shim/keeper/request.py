"""A spawn request, checked (see scow/api/shim/v1/spawner.proto), and its way from the spawner to keeper and builder.

Both were forked before they knew of it. The builder gets it first, with descriptors; then the keeper, without. A packet
is what marshal makes of plain values: both sides are one program, and the keeper decodes no messages.
"""

from __future__ import annotations

import _socket
import marshal
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scow.api.shim.v1 import spawner_pb2 as pb
from scow.contract.errors import InvalidConfig
from scow.contract.log_formats import ENCODERS
from scow.shim.keeper import link
from scow.shim.keeper.logfile import MAX_FILES, MAX_SIZE, LogFile

_SOCKET_PATH_MAX = 107  # of a unix socket's path (unix(7))
_PLAIN = (
    "id",
    "bundle",
    "state_dir",
    "socket",
    "cgroup_parent",
    "stdin",
    "stdin_once",
    "seccomp_cache",
)


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
    seccomp_cache: str | None
    log: Log | None

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


def parse(wanted: pb.Spawn, cache: str | None) -> Request:
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
    )


def send(channel: _socket.socket, request: Request) -> None:
    """Send a request to the keeper.

    Raises:
        OSError: Nobody is there any more.
    """
    link.send(channel, _packet(request, 0))


def send_with(
    channel: _socket.socket, request: Request, connection: int, layers: Mapping[str, int]
) -> None:
    """Send a request to the builder, with the connection of whoever asked and the layers by their names.

    Raises:
        OSError: Nobody is there any more.
    """
    link.send(channel, _packet(request, len(layers)), (connection,))
    names, fds = tuple(layers), tuple(layers.values())
    for first in range(0, len(names), link.FDS_MAX):
        part = slice(first, first + link.FDS_MAX)
        link.send(channel, marshal.dumps(names[part]), fds[part])


def _packet(request: Request, layers: int) -> bytes:
    log = request.log
    values: Any = [getattr(request, key) for key in _PLAIN]
    values.append(
        (log.path, log.max_size, log.max_files, log.form, log.attrs, log.compress) if log else None
    )
    return marshal.dumps((values, layers))


def receive(channel: _socket.socket) -> Request | None:
    """Wait for the keeper's request; None when there will be none."""
    packet, _ = link.receive(channel)
    return _parsed(packet)[0] if packet else None


def receive_with(channel: _socket.socket) -> tuple[Request, int, dict[str, int]] | None:
    """Wait for the builder's request; return it with the connection and the layers. None when there will be none."""
    packet, fds = link.receive(channel)
    if not packet:
        return None
    request, count = _parsed(packet)
    layers: dict[str, int] = {}
    while len(layers) < count:
        packet, more = link.receive(channel)
        if not packet:
            return None
        layers.update(zip(marshal.loads(packet), more, strict=True))  # noqa: S302 - of this very program
    return request, fds[0], layers


def _parsed(packet: bytes) -> tuple[Request, int]:
    values, layers = marshal.loads(packet)  # noqa: S302 - of this very program
    values[-1] = Log(*values[-1]) if values[-1] else None
    return Request(*values), layers


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
