"""The process that stands beside one container, from its fork by the spawner to Shutdown."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
import socket
import traceback
from collections.abc import Mapping
from typing import Any, NoReturn

from grpclib.server import Server

from scow.kernel import syscalls
from scow.shim import cgroup
from scow.shim.errors import ShimError, from_exception
from scow.shim.keeper import exit_record
from scow.shim.keeper.container import Container, Request, log_of
from scow.shim.talker.service import RawDetails, ShimService

_SOCKET_PATH_MAX = 107  # of a unix socket's path (unix(7))


def main(
    raw: dict[str, Any],
    connection: socket.socket,
    seccomp_cache: str | None,
    layers: Mapping[str, int],
) -> NoReturn:
    """Become the shim of a new container, in the forked child. Does not return.

    Args:
        raw: The spawn request.
        connection: Whoever asked: gets one packet with the answer.
        seccomp_cache: Folder of compiled profiles.
        layers: The container's layers that the spawner has mounted.
    """
    code = 1
    try:
        _detach()
        asyncio.run(_run(raw, connection, seccomp_cache, layers))
        code = 0
    except BaseException:  # noqa: BLE001 - the child must never return to the spawner's code
        traceback.print_exc()
    finally:
        os._exit(code)


def _detach() -> None:
    """Leave the spawner: own session, own signals, father of the container's orphans."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # only Shutdown ends a shim
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    # Processes of the container may not look into this one (ptrace(2), "Ptrace access mode checking").
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
    syscalls.set_name("scow-shim")


async def _run(
    raw: dict[str, Any], connection: socket.socket, cache: str | None, layers: Mapping[str, int]
) -> None:
    stop = asyncio.Event()
    container: Container | None = None
    try:
        request = dataclasses.replace(parse(raw, cache), layers=layers)
        container = Container(request, cgroup.discover())
        container.children.watch(asyncio.get_running_loop())
        container.create()
        await container.ready()
        server = await _listen(container, stop)
    except Exception as error:  # noqa: BLE001 - whatever it is travels to who asked
        if container is not None:
            container.abandon()
        answer(connection, {"error": from_exception(error, "create the container").to_json()})
        return
    answer(connection, _description(container))
    await stop.wait()
    server.close()
    await server.wait_closed()


async def _listen(container: Container, stop: asyncio.Event) -> Server:
    path = container.request.socket
    server = Server(
        [ShimService(container, stop.set)],
        status_details_codec=RawDetails(),
    )
    old = os.umask(0o177)
    try:
        if os.path.exists(path):
            os.unlink(path)
        await server.start(path=path)
    finally:
        os.umask(old)
    return server


def parse(raw: dict[str, Any], cache: str | None) -> Request:
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
        log=log_of(raw.get("log")),
        seccomp_cache=cache,
    )


def _invalid(key: str, why: str) -> ShimError:
    text = f"the spawn request's {key} {why}"
    return ShimError("INVALID_ARGUMENT", "INVALID_CONFIG", text, what="spawn request", which=key)


def _description(container: Container) -> dict[str, Any]:
    state = container.state
    return {
        "shim_pid": state.shim_pid,
        "shim_start_ticks": state.shim_start_ticks,
        "pid": container.pid,
        "pid_start_ticks": exit_record.start_ticks(container.pid),
        "netns": f"/proc/{container.pid}/ns/net",
        "warnings": state.warnings,
    }


def answer(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send the one packet of an answer and close; a client that went away is nobody's concern."""
    with connection:
        try:
            connection.send(json.dumps(message).encode())
        except OSError:
            return
