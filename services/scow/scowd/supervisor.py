"""The supervisor: forks the services from one parent that has loaded what they share.

The parent imports grpc but makes no object of it, so that forking is safe at any time and the pages of
the common modules are shared. Each child runs `python -m scow.<service>` in itself, tells "ready" by sd_notify on the
supervisor's socket, and is sent SIGTERM by the kernel when the supervisor dies, so that a new scowd can start
anew. A service that ends is started again, after a pause that doubles up to ten seconds. One that is needed now and
then alone is started when somebody connects to its socket (`on_demand`), and ends when it says that nobody needs it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import gc
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc_health.v1.health  # noqa: F401  loaded for the services: their pages are shared
import grpc_reflection.v1alpha.reflection  # noqa: F401
import structlog  # noqa: F401

import scow.core.server  # noqa: F401
from scow.contract.backoff import Pauses
from scow.contract.errors import FailedPrecondition
from scow.core.config import PARTS, Config
from scow.core.server import IDLE, ON_DEMAND, notify
from scow.scowd.on_demand import OnDemandSocket

_PR_SET_PDEATHSIG = 1
_PAUSE_MIN = 0.1
_PAUSE_MAX = 10.0
# A service that served this long is started again without a pause.
_STEADY_SECONDS = 30.0


@dataclass
class Child:
    """One service."""

    name: str
    pid: int = 0
    ready: bool = False
    started: float = 0.0
    pauses: Pauses = field(default_factory=lambda: Pauses(_PAUSE_MIN, _PAUSE_MAX))
    # When to start it again, on the monotonic clock; 0 is not planned.
    start_at: float = 0.0
    # Where those who connect wait for it, if it is started when somebody does.
    on_demand: OnDemandSocket | None = None
    # It was told to end because nobody needs it.
    resting: bool = False


class Supervisor:
    """Starts, watches and stops the services of one engine.

    Args:
        config: The engine's configuration.
        arguments: The command line's flags, handed on to each service.
    """

    def __init__(self, config: Config, arguments: Sequence[str]) -> None:
        self._config = config
        self._arguments = arguments
        self._children = {name: Child(name) for name in PARTS}
        for name, child in self._children.items():
            if PARTS[name].on_demand:
                child.on_demand = OnDemandSocket(config.socket(name))
        self._stopping = False
        self._announced = False
        self._failed = False

    def run(self) -> int:
        """Supervise until told to stop; return the exit code."""
        self._config.run.mkdir(parents=True, exist_ok=True, mode=0o750)
        with _lock(self._config.run / "scowd.lock") as self._lock, self._events() as selector:
            gc.collect()
            gc.freeze()
            for child in self._children.values():
                if child.on_demand is not None:
                    self._wait_for_somebody(child, selector)
                elif self._may_start(child):
                    self._start(child)
            while not (self._stopping or self._failed):
                self._step(selector)
            self._stop_all(selector)
        return 1 if self._failed else 0

    @contextlib.contextmanager
    def _events(self) -> Iterator[selectors.BaseSelector]:
        """Open what the loop waits for: signals and the services' notifications."""
        path = self._config.run / "notify.sock"
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        self._notifications = socket.socket(
            socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        )
        self._notifications.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._notifications.bind(str(path))
        path.chmod(0o600)
        signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(wake_read, selectors.EVENT_READ)
            selector.register(self._notifications, selectors.EVENT_READ)
            self._to_close_in_child = (selector, wake_read, wake_write, self._notifications)
            yield selector
        path.unlink(missing_ok=True)

    def _on_stop(self, *_: object) -> None:
        self._stopping = True

    def _step(self, selector: selectors.BaseSelector) -> None:
        """Wait for the next thing to happen and deal with it."""
        self._selector = selector
        plans = [c.start_at for c in self._children.values() if c.start_at and not c.pid]
        timeout = max(0.0, min(plans) - time.monotonic()) if plans else None
        for key, _ in selector.select(timeout):
            source = key.fileobj
            if source is self._notifications:
                self._read_notifications()
            elif isinstance(key.data, Child):
                selector.unregister(source)
                key.data.start_at = time.monotonic()
            elif isinstance(source, socket.socket):
                with contextlib.suppress(BlockingIOError):
                    source.recv(4096)
        self._reap()
        for child in self._children.values():
            due = child.start_at and not child.pid and child.start_at <= time.monotonic()
            if due and not self._stopping:
                self._start(child)

    def _read_notifications(self) -> None:
        while True:
            try:
                data, ancillary, _, _ = self._notifications.recvmsg(256, socket.CMSG_SPACE(12))
            except BlockingIOError:
                return
            for _level, kind, content in ancillary:
                if kind != socket.SCM_CREDENTIALS:
                    continue
                pid = struct.unpack("3i", content)[0]
                if b"READY=1" in data:
                    self._on_ready(pid)
                elif IDLE.encode() in data:
                    self._on_idle(pid)

    def _may_start(self, child: Child) -> bool:
        """Tell whether the services that this one calls serve: the container service asks them when it comes back."""
        stage = PARTS[child.name].stage
        return all(c.ready for c in self._children.values() if PARTS[c.name].stage < stage)

    def _wait_for_somebody(self, child: Child, selector: selectors.BaseSelector) -> None:
        """Start a service when somebody connects."""
        assert child.on_demand is not None
        selector.register(child.on_demand.open(), selectors.EVENT_READ, child)

    def _on_idle(self, pid: int) -> None:
        """End a service that nobody needs; whoever connects meanwhile waits for the next one."""
        for child in self._children.values():
            if child.pid == pid and child.on_demand is not None and not child.resting:
                child.resting = True
                self._wait_for_somebody(child, self._selector)
                os.kill(pid, signal.SIGTERM)

    def _on_ready(self, pid: int) -> None:
        for child in self._children.values():
            if child.pid == pid:
                child.ready = True
                if child.on_demand is not None:
                    child.on_demand.relay()
        for child in self._children.values():
            if not child.started and child.on_demand is None and self._may_start(child):
                self._start(child)
        needed = [c for c in self._children.values() if c.on_demand is None]
        if not self._announced and all(c.ready for c in needed):
            self._announced = True
            notify("READY=1")
            print(f"scow serves at unix://{self._config.run.absolute()}", flush=True)  # noqa: T201

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children.values():
                if child.pid == pid:
                    self._on_exit(child, os.waitstatus_to_exitcode(status))

    def _on_exit(self, child: Child, code: int) -> None:
        child.pid = 0
        if self._stopping:
            return
        if child.resting:
            child.resting = child.ready = False
            return
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        print(f"scowd: scow-{child.name} ended with {how}", file=sys.stderr, flush=True)  # noqa: T201
        if not self._announced and not child.ready:
            self._failed = True  # a wrong configuration: its message is on standard error
            return
        child.ready = False
        now = time.monotonic()
        if now - child.started > _STEADY_SECONDS:
            child.pauses.reset()
        child.start_at = now + child.pauses.next()

    def _start(self, child: Child) -> None:
        child.start_at = 0.0
        child.started = time.monotonic()
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        child.pid = os.fork()
        if child.pid == 0:
            self._become(child.name, parent)

    def _become(self, name: str, parent: int) -> None:
        """Turn this forked child into a service. Does not return."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            os.setpgid(0, 0)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            os.close(self._lock)  # or the children would hold it when the supervisor is killed
            for thing in self._to_close_in_child:
                thing.close()
            for child in self._children.values():
                if child.on_demand is not None and child.on_demand.listener is not None:
                    child.on_demand.listener.close()
            os.environ["NOTIFY_SOCKET"] = str(self._config.run / "notify.sock")
            os.environ[ON_DEMAND] = "1" if PARTS[name].on_demand else ""
            sys.argv = [f"scow-{name}", *self._arguments]
            _set_name(f"scow-{name}")
            runpy.run_module(f"scow.{name}", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else 1
        except BaseException:  # noqa: BLE001  the forked child must never return to the parent's code
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _stop_all(self, selector: selectors.BaseSelector) -> None:
        """Stop the services of each stage, those that call others first."""
        self._stopping = True
        for child in self._children.values():
            if child.on_demand is not None:
                child.on_demand.close()
        notify("STOPPING=1")
        grace = self._config.server.drain_seconds + 5
        for stage in sorted({part.stage for part in PARTS.values()}, reverse=True):
            names = [name for name, part in PARTS.items() if part.stage == stage]
            self._stop([self._children[name] for name in names], selector, grace)

    def _stop(self, children: list[Child], selector: selectors.BaseSelector, grace: float) -> None:
        for child in children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while any(c.pid for c in children):
            selector.select(0.05)
            self._reap()
            if time.monotonic() > deadline:
                for child in children:
                    if child.pid:
                        os.kill(child.pid, signal.SIGKILL)
                deadline = float("inf")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FailedPrecondition(
                f"another scowd runs in {path.parent}",
                what="run directory",
                which=str(path.parent),
                do="stop it first or choose another run directory",
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)


def _set_name(name: str) -> None:
    """Set the name that ps and top show (prctl(2), PR_SET_NAME)."""
    ctypes.CDLL(None).prctl(15, name.encode()[:15], 0, 0, 0)
