"""How every service starts, serves and stops.

A service's `__main__` calls `main` with its name, its migrations and a function that wires its parts::

    main("volume", MIGRATIONS, wire)

Start: configuration, logs, the lock that keeps a second instance away, the database, `wire`, one
reconciliation, the socket, "ready" (sd_notify). Stop (SIGTERM, SIGINT): not ready, calls that last for ever are
cut, the others are drained, the rest is cancelled, `close`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.channel import MESSAGE_MAX
from scow.contract.errors import FailedPrecondition, InvalidConfig, ScowError
from scow.core import config as configuration
from scow.core import log, memory, metrics
from scow.core.admission import Admission
from scow.core.config import Config, ServerSection
from scow.core.interceptor import CallInterceptor
from scow.core.journal import Journal
from scow.core.peers import Peers
from scow.core.requests import Requests
from scow.core.store import Store

# Of a unix socket's path, with the final NUL (unix(7)).
_SOCKET_PATH_MAX = 108
_MANY = 1_000_000
# What a service that was started because somebody needed it says when nobody does any more.
IDLE = "X_SCOW_IDLE=1"
# The variable by which scowd tells a service that it is such a one.
ON_DEMAND = "SCOW_ON_DEMAND"
# Looks at whether it is idle, in the time for which it must be.
_LOOKS = 4
_UNCOUNTED = 8
# That calls have to clean up, when they were cancelled because the time for draining is over.
_CLEANUP_SECONDS = 5.0


@dataclass(frozen=True)
class Context:
    """What a service's parts are made of."""

    name: str
    config: Config
    log: structlog.stdlib.BoundLogger
    store: Store
    journal: Journal
    requests: Requests
    peers: Peers


async def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Wiring:
    """What a service gives to its server.

    Attributes:
        register: Adds the servicers to a server.
        reconcile: Compares records with reality; called before serving and then on a timer.
        drain: Lets what is under way beside RPCs end, within `server.drain_seconds`.
        close: Called last.
        more: Names in the contract of what is registered beside the service that the process is called after,
            "StoreService"; health and reflection tell of them too.
        idle_seconds: Where it was started because somebody needed it, it says so when there was no call for so long.
    """

    register: Callable[[grpc.aio.Server], None]
    reconcile: Callable[[], Awaitable[Sequence[ReconcileAction]]]
    drain: Callable[[], Awaitable[None]] = _nothing
    close: Callable[[], Awaitable[None]] = _nothing
    more: Sequence[str] = ()
    idle_seconds: float = 0.0


Wire = Callable[[Context], Awaitable[Wiring]]


def main(name: str, migrations: Sequence[str], wire: Wire) -> None:
    """Run a service until it is told to stop. Does not return."""
    memory.share_one_arena()
    try:
        config = load_config(f"scow-{name}", sys.argv[1:])
        log.configure(config.log, name)
        asyncio.run(serve(name, config, migrations, wire))
    except ScowError as error:
        print(f"scow-{name}: {error}", file=sys.stderr)  # noqa: T201  logs may not be set up
        sys.exit(1)
    sys.exit(0)


def load_config(program: str, arguments: Sequence[str]) -> Config:
    """Return the configuration by the flags that all services and scowd take.

    Raises:
        InvalidConfig: The configuration is wrong.
    """
    parser = argparse.ArgumentParser(prog=program)
    parser.add_argument("--config", type=Path, help="configuration file (TOML)")
    parser.add_argument("--root", default="", help="folder of everything that lasts")
    parser.add_argument("--run", default="", help="folder of sockets")
    parser.add_argument("--instance", default="", help="name of this engine")
    flags = parser.parse_args(arguments)
    return configuration.load(
        flags.config,
        flags={"root": flags.root, "run": flags.run, "instance": flags.instance},
    )


async def serve(name: str, config: Config, migrations: Sequence[str], wire: Wire) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        FailedPrecondition: Another process serves this in the same run directory.
        InvalidConfig: The run directory's path is too long for a socket.
    """
    path = config.socket(name)
    if len(os.fsencode(path)) >= _SOCKET_PATH_MAX:
        raise InvalidConfig(
            f"the socket's path {path} is longer than {_SOCKET_PATH_MAX - 1} bytes",
            what="configuration key",
            which="run",
            do="choose a run directory with a shorter path",
        )
    config.run.mkdir(parents=True, exist_ok=True, mode=0o750)
    config.data(name).mkdir(parents=True, exist_ok=True, mode=0o750)
    with _Lock(config.run / f"{name}.lock") as lock:
        await lock.acquire(name, config.server.drain_seconds + 1)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        store = Store.open(config.data(name) / f"{name}.db", migrations)
        peers = Peers(config)
        context = Context(
            name=name,
            config=config,
            log=structlog.get_logger(),
            store=store,
            journal=Journal(store, f"scow-{name}", config.server.journal_keep),
            requests=Requests(store),
            peers=peers,
        )
        wiring = await wire(context)
        try:
            await _run(context, wiring, stop)
        finally:
            await wiring.close()
            await peers.close()
            store.close()


class _Lock:
    """The lock of a service, held for as long as the process lives."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> _Lock:
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    async def acquire(self, name: str, patience: float) -> None:
        """Take the lock; a predecessor that is stopping gets `patience` seconds."""
        deadline = time.monotonic() + patience
        while True:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise FailedPrecondition(
                        f"another scow-{name} serves in {self._path.parent}",
                        what="service",
                        which=name,
                        do="stop it first or choose another run directory",
                    ) from None
            await asyncio.sleep(0.05)


def _make_server(section: ServerSection, interceptor: CallInterceptor) -> grpc.aio.Server:
    return grpc.aio.server(
        interceptors=[interceptor],
        # The interceptor counts, and refuses with a reason; this alone counts calls whose request never comes.
        maximum_concurrent_rpcs=section.max_concurrent_calls * _UNCOUNTED,
        options=(
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", MESSAGE_MAX),
            # Measured: with the defaults (1000 and 3000), or with any limit of streams, a burst of calls on one
            # connection is partly cancelled; so gRPC queues, and the interceptor refuses.
            ("grpc.server.max_pending_requests", _MANY),
            ("grpc.server.max_pending_requests_hard_limit", _MANY),
        ),
    )


async def _run(context: Context, wiring: Wiring, stop: asyncio.Event) -> None:
    section = context.config.server
    observe = metrics.start(section.metrics, context.name) if section.metrics else None
    interceptor = CallInterceptor(
        Admission(section.max_concurrent_calls, section.max_calls_per_client), observe
    )
    server = _make_server(section, interceptor)
    wiring.register(server)
    package = f"scow.api.{context.name}.v1"
    names = [f"{package}.{name}" for name in (f"{context.name.capitalize()}Service", *wiring.more)]
    healthy = _add_standard_services(server, names)
    await _reconcile(context, wiring)
    path = context.config.socket(context.name)
    own = await _listen(server, path)
    for name in ("", *names):
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    memory.give_back()
    notify("READY=1")
    context.log.info("serving", socket=str(context.config.socket(context.name)))
    timer = asyncio.create_task(_reconcile_often(context, wiring))
    resting = asyncio.create_task(_tell_idleness(wiring.idle_seconds, interceptor))
    await stop.wait()
    resting.cancel()
    notify("STOPPING=1")
    context.log.info("stopping")
    timer.cancel()
    await healthy.enter_graceful_shutdown()
    _leave(path, own)
    interceptor.cut_long_calls()
    await asyncio.gather(server.stop(section.drain_seconds), wiring.drain())
    await interceptor.quiet(_CLEANUP_SECONDS)


async def _listen(server: grpc.aio.Server, path: Path) -> int:
    """Bind the socket with mode 0660, in the place of what has its path; return its inode's number.

    gRPC deletes what has the name that it was given when it ends. By then another may have the path, so it is given one
    that does not stay.
    """
    new = path.with_suffix(".new")
    old = os.umask(0o117)
    try:
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        server.add_insecure_port(f"unix://{new.absolute()}")
        await server.start()
    finally:
        os.umask(old)
    new.rename(path)
    return path.stat().st_ino


def _leave(path: Path, own: int) -> None:
    """Delete the socket, unless another has its path by now: whoever comes then shall not wait."""
    with contextlib.suppress(FileNotFoundError):
        if path.stat().st_ino == own:
            path.unlink()


def _add_standard_services(
    server: grpc.aio.Server, names: Sequence[str]
) -> health.aio.HealthServicer:
    """Add grpc.health.v1 and server reflection, which tells of the services of these names."""
    from grpc_reflection.v1alpha import reflection

    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    reflection.enable_server_reflection(
        (*names, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    return servicer


async def _reconcile(context: Context, wiring: Wiring) -> None:
    try:
        actions = await wiring.reconcile()
    except Exception:
        context.log.exception("reconciliation failed")
        return
    for action in actions:
        context.log.info(
            "reconciled", object=action.object, action=action.action, detail=action.detail
        )


async def _tell_idleness(seconds: float, interceptor: CallInterceptor) -> None:
    """Tell the supervisor when nobody has needed this service for so long."""
    if not seconds or not os.environ.get(ON_DEMAND):
        return
    while True:
        await asyncio.sleep(seconds / _LOOKS)
        if interceptor.idle_seconds() >= seconds:
            notify(IDLE)


async def _reconcile_often(context: Context, wiring: Wiring) -> None:
    while True:
        await asyncio.sleep(context.config.server.reconcile_seconds)
        context.requests.prune()
        await _reconcile(context, wiring)


def notify(state: str) -> None:
    """Tell the supervisor, systemd or scowd, what this process is doing (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        contextlib.suppress(OSError),
    ):
        channel.sendto(state.encode(), address)
