"""The spawner: a small process that has the shim's code loaded and forks one shim per container.

    python -m scow.shim.spawner --socket PATH [--seccomp-cache DIR] [--idle-seconds N]

Its protocol is in scow/api/shim/v1/spawner.proto.
"""

from __future__ import annotations

import argparse
import fcntl
import gc
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from google.protobuf.message import DecodeError

from scow.api.shim.v1 import prober_pb2 as prober_pb
from scow.api.shim.v1 import spawner_pb2 as pb
from scow.api.types.v1.types_pb2 import Mount
from scow.contract.errors import InvalidArgument
from scow.contract.shim_files import rootfs
from scow.kernel import syscalls
from scow.shim import VERSION
from scow.shim.builder.process import answer, refusal
from scow.shim.errors import from_exception
from scow.shim.keeper.request import parse
from scow.shim.messages import exit_message
from scow.shim.oci import config
from scow.shim.prober import process as prober
from scow.shim.rootfs import copy_up
from scow.shim.spawner import layers, reap, sealed, view
from scow.shim.spawner.pool import Pool
from scow.shim.talker import process as _talker  # noqa: F401 - loaded once, for all that are forked

_REQUEST_MAX = 128 << 10
_BACKLOG = 512
_TIDY_SECONDS = 10.0  # between two looks for layers that were deleted, while any are mounted
_LOOK_SECONDS = 60.0  # between two looks whether the socket is still there
_DESCRIPTORS = 2  # that an Extract comes with
_EXTRACTOR = "scow.core.archive.read.extract"
_UNLIMITED = 1 << 62
_PATIENCE_SECONDS = 5.0  # with a client that connects and says nothing


class Spawner:
    """Answers requests, one after the other; what takes long is done by forked children.

    Args:
        path: Of the socket.
        seccomp_cache: Folder of compiled profiles, or None.
        lock: Descriptor of the path's lock. It is the spawner's alone: a child that kept it open would keep
            the next spawner away.
        idle: Seconds without a request after which it ends if it has no child; 0 means never.
    """

    def __init__(self, path: str, seccomp_cache: str | None, lock: int, idle: float) -> None:
        self._path = path
        self._cache = seccomp_cache
        self._lock = lock
        self._idle = idle
        self._asked = time.monotonic()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        old = os.umask(0o177)
        try:
            if os.path.exists(path):
                os.unlink(path)
            self._listener.bind(path)
        finally:
            os.umask(old)
        self._bound = _identity(path)
        self._listener.listen(_BACKLOG)
        self._layers = layers.Layers()
        self._pool = Pool(lambda: self._become_child({}))

    def serve(self) -> None:
        """Answer until nobody needs this process any more."""
        gc.collect()
        gc.freeze()  # what is there now is never written to by a child's collector: pages stay shared
        while True:
            try:
                self._listener.settimeout(self._interval())
                self._accept()
            except TimeoutError:
                self._pool.look()
                self._layers.drop_gone()
                if not self._needed():
                    break
        self._refuse_further()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(_PATIENCE_SECONDS)
        with connection:
            self._handle(connection)
        self._asked = time.monotonic()

    def _interval(self) -> float:
        """Return the seconds until there is something to look at."""
        seconds = _TIDY_SECONDS if len(self._layers) else _LOOK_SECONDS
        # Not 0, which would not wait at all.
        seconds = min(seconds, max(self._pool.timeout(), 0.001))
        return min(seconds, self._idle) if self._idle else seconds

    def _needed(self) -> bool:
        """Tell whether somebody may still ask, or children need their subreaper."""
        if _identity(self._path) != self._bound:
            return False
        if not self._idle or time.monotonic() - self._asked < self._idle:
            return True
        self._pool.close()
        return _has_children()

    def _refuse_further(self) -> None:
        """Answer those who have connected; from now on everybody else is refused at once.

        After shutdown(2) the kernel lets nobody into the queue any more but hands out who is in it, so that no
        request is lost between the last look and the end.
        """
        self._listener.shutdown(socket.SHUT_RD)
        self._listener.setblocking(False)
        while True:
            try:
                self._accept()
            except OSError:  # EINVAL: the queue is empty
                return

    def _handle(self, connection: socket.socket) -> None:
        descriptors: list[int] = []
        try:
            raw, descriptors, _, _ = socket.recv_fds(connection, _REQUEST_MAX + 1, _DESCRIPTORS)
            if not raw:
                return
            request = _decode(raw)
            kind = request.WhichOneof("request")
            if kind == "ping":
                pong = pb.Pong(pid=os.getpid(), version=VERSION)
                answer(connection, pb.SpawnerAnswer(pong=pong))
                _close(descriptors)
                return
            mounted = self._mount_layers(request)
            if kind == "spawn":
                self._pool.spawn(parse(request.spawn, self._cache), connection, mounted)
                _close(descriptors)
                return
            act = _ACTS.get(kind or "")
            if act is None and kind != "extract":
                raise InvalidArgument("the request asks for nothing", what="request")
            child = syscalls.fork_bare()
        except Exception as error:  # noqa: BLE001 - nonsense, no memory, no more processes: only this request fails
            answer(connection, refusal(from_exception(error, "do as asked")))
            _close(descriptors)
            return
        if child == 0:
            self._become_child(mounted)
            self._pool.close()
            if kind == "extract":
                _answer_in_child(connection, lambda: _extract(request, connection, descriptors))
            elif act is not None:
                _answer_in_child(connection, lambda: act(request, connection, mounted))
        _close(descriptors)

    def _become_child(self, mounted: Mapping[str, int]) -> None:
        """Close, in a forked child, what is the spawner's, but for some layers."""
        self._listener.close()
        os.close(self._lock)
        self._layers.close_others(mounted)

    def _mount_layers(self, request: pb.SpawnerRequest) -> dict[str, int]:
        """Mount the layers of a root file system that is asked for, unless they are mounted."""
        self._layers.drop_gone()
        kind = request.WhichOneof("request")
        if kind == "view":
            return self._layers.hold(_entries(request.view.rootfs))
        if kind == "copy":
            return self._layers.hold(_entries(request.copy.rootfs))
        if kind == "spawn":
            bundle = request.spawn.bundle
            images = config.load_images(bundle).values()
            return self._layers.hold(itertools.chain(config.load_rootfs(bundle), *images))
        return {}


def _decode(raw: bytes) -> pb.SpawnerRequest:
    text = f"the request has more than {_REQUEST_MAX} bytes"
    if len(raw) <= _REQUEST_MAX:
        try:
            return pb.SpawnerRequest.FromString(raw)
        except DecodeError as error:
            text = f"the packet is not a SpawnerRequest: {error}"
    raise InvalidArgument(text, what="request")


def _entries(mounts: Iterable[Mount]) -> tuple[config.Mount, ...]:
    return config.parse_rootfs(rootfs(mounts))


def _reap(
    request: pb.SpawnerRequest, _connection: socket.socket, _mounted: Mapping[str, int]
) -> pb.SpawnerAnswer:
    record = reap.reap(_named(request.reap.state_dir, "state_dir"), force=request.reap.force)
    return pb.SpawnerAnswer(reaped=exit_message(record))


def _sweep(
    request: pb.SpawnerRequest, _connection: socket.socket, _mounted: Mapping[str, int]
) -> pb.SpawnerAnswer:
    removed = reap.sweep(_named(request.sweep.cgroup_parent, "cgroup_parent"))
    return pb.SpawnerAnswer(swept=pb.Swept(removed=removed))


def _view(
    request: pb.SpawnerRequest, connection: socket.socket, mounted: Mapping[str, int]
) -> None:
    asked = request.view
    entries = _entries(asked.rootfs)
    if asked.whole:
        os.umask(0o022)
        binds = [
            config.Mount(m.destination, m.type, m.source, tuple(m.options)) for m in asked.mounts
        ]
        root = view.open_whole(entries, binds, mounted, read_only_root=asked.read_only)
    else:
        root = view.open_view(entries, mounted)
    viewed = pb.SpawnerAnswer(viewed=pb.Viewed())
    socket.send_fds(connection, [viewed.SerializeToString()], [root])


def _copy(
    request: pb.SpawnerRequest, connection: socket.socket, mounted: Mapping[str, int]
) -> pb.SpawnerAnswer:
    copies = copy_up.parse(request.copy.items)
    os.umask(0)
    root = view.open_view(_entries(request.copy.rootfs), mounted)
    targets = copy_up.copy_up(root, copies, connection)
    return pb.SpawnerAnswer(copied=pb.Copied(targets=targets))


def _prober(
    _request: pb.SpawnerRequest, connection: socket.socket, _mounted: Mapping[str, int]
) -> None:
    ready = prober_pb.ProberReady(pid=os.getpid())
    answer(connection, pb.SpawnerAnswer(prober_ready=ready))
    prober.serve(connection)


def _extract(
    request: pb.SpawnerRequest, connection: socket.socket, descriptors: Sequence[int]
) -> None:
    """Become the process that extracts; it has what it needs, and nothing of a container's is ever loaded by it."""
    if len(descriptors) != _DESCRIPTORS:
        text = f"an Extract comes with {_DESCRIPTORS} descriptors"
        raise InvalidArgument(text, what="request")
    root, archive = descriptors
    os.dup2(archive, 0)
    os.dup2(archive, 1)
    os.set_inheritable(root, True)
    answer(connection, pb.SpawnerAnswer(extracting=pb.Extracting()))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    numbers = (root, 0, _UNLIMITED, _UNLIMITED, request.extract.first_id)
    arguments = [sys.executable, "-m", _EXTRACTOR, *map(str, numbers), "merge"]
    os.execv(sys.executable, arguments)


# What is done by a forked child that answers and ends.
_Act = Callable[[pb.SpawnerRequest, socket.socket, Mapping[str, int]], pb.SpawnerAnswer | None]
_ACTS: Mapping[str, _Act] = {
    "reap": _reap,
    "sweep": _sweep,
    "view": _view,
    "copy": _copy,
    "prober": _prober,
}


def _close(descriptors: Iterable[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _named(value: str, key: str) -> str:
    if not value:
        text = f"the request's {key} is missing"
        raise InvalidArgument(text, what="request", which=key)
    return value


def _answer_in_child(connection: socket.socket, act: Callable[[], pb.SpawnerAnswer | None]) -> None:
    """Answer with what `act` returns, unless it has answered itself, or raises; end this child."""
    try:
        try:
            message = act()
            if message is None:
                return
        except Exception as error:  # noqa: BLE001 - whatever it is travels to who asked
            message = refusal(from_exception(error, "do what was asked"))
        answer(connection, message)
    finally:
        os._exit(0)


def _hold_low_descriptors() -> None:
    """Let 0 to 3 be taken: children place stdio and their control socket there."""
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.dup2(null, 1)
    while null <= 3:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    os.close(null)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path, follow_symlinks=False)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _has_children() -> bool:
    """Tell whether a shim, or what a dead one left behind, is still there (SIGCHLD is ignored: no zombies)."""
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return False
    return True


def _lock(path: str) -> int | None:
    """Take the lock of a socket's path and return its descriptor; None when another process has it."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def main() -> int:
    """Run the spawner."""
    sealed.seal("scow.shim.spawner")
    parser = argparse.ArgumentParser(prog="scow.shim.spawner")
    parser.add_argument("--socket", required=True, help="where to listen")
    parser.add_argument("--seccomp-cache", help="folder of compiled profiles")
    parser.add_argument(
        "--idle-seconds", type=float, default=0.0, help="end without shims and requests; 0: never"
    )
    options = parser.parse_args()
    _hold_low_descriptors()
    os.umask(0o022)  # the default of containers, whoever starts this process
    path = os.path.abspath(options.socket)
    lock = _lock(path)
    if lock is None:
        return 0  # another spawner serves there: as good
    if options.seccomp_cache:
        os.makedirs(options.seccomp_cache, mode=0o700, exist_ok=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are nobody's to wait for
    # Orphans of a shim that was killed come here, and the line above keeps no zombies of them.
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    syscalls.set_name(b"scow-spawner")
    Spawner(path, options.seccomp_cache, lock, options.idle_seconds).serve()
    return 0
