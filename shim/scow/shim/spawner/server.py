"""The spawner: a small process that has the shim's code loaded and forks one shim per container.

    python -m scow.shim.spawner.server --socket PATH [--seccomp-cache DIR] [--idle-seconds N]

It listens on a unix SOCK_SEQPACKET socket (mode 0600, in a root-only directory). The container service
starts it, detached (setsid); it outlives that service, and the shims outlive both. It ends by itself when it has no
shim and was asked nothing for N seconds (0: never), and when its socket was deleted, so that nobody can ask it any
more. Whoever is refused then starts another; a connection that was accepted is always answered first.

Protocol
========

One request for each connection, save that **start** follows **spawn** on the same one. A request is one packet, a JSON
object of at most 128 KiB; the answer is one packet, a JSON object; then the connection is closed. End of file without
an answer means that the process which should have answered died: nothing may be assumed, so ask for a ``reap`` of the
state directory.

**ping**: ``{"ping": true}``. Answer: ``{"pid": 123, "version": "0.1.0"}``.

**spawn** makes a shim, the container's cgroup and namespaces, and a paused init::

    {"id": "<container id>",            # [A-Za-z0-9][A-Za-z0-9_.-]*; the name of the cgroup
     "bundle": "/abs/bundle",           # directory with config.json and, optionally, rootfs.json
     "state_dir": "/abs/state",         # existing directory, root-only; the shim writes its files here
     "socket": "/abs/state/shim.sock",  # where the shim serves scow.api.shim.v1, mode 0600, at most 107 bytes
     "cgroup_parent": "scow",           # "scow" and "/scow" name the same; "/scow.slice/x" may be nested
     "log": {"driver": "json-file",     # or "none"; absent means "none"
             "path": "/abs/log.json", "max_size": 10485760, "max_files": 3},
     "stdin": false,                    # keep stdin open (-i); otherwise it is /dev/null
     "stdin_once": false}               # close stdin when the first attached client's input ends

The shim's builder (`scow.shim.builder`) answers, once init waits in its namespaces and the socket listens::

    {"shim_pid": 100, "shim_start_ticks": 4711, "pid": 101, "pid_start_ticks": 4712,
     "netns": "/proc/101/ns/net"}

(``*_start_ticks``: proc(5) stat field 22. A container without a network namespace of its own answers the
one it joined.) After an error nothing is left but what was in the state directory before.

**start**, on the connection of the spawn, makes further mounts and executes the container's process::

    {"start": {"mounts": [{"destination": "/etc/hosts", "type": "bind", "source": "/abs/hosts", "options": ["rbind"]}]}}

Answer: ``{"pid": 101, "started_ns": 1767225600000000000}``. A connection that is closed before ends the container, with
an exit record that says it was never executed. An error is in the exit record too.

**reap** ends what a shim that died left behind: every process in the container's cgroup, then the cgroup; when
there is no exit record, one is written that says the shim died. Safe to repeat::

    {"reap": {"state_dir": "/abs/state", "force": false}}

Answer: ``{"exit": {...}}``, the exit record (below). A shim that still lives is FAILED_PRECONDITION SHIM_RUNNING unless
``force``: then it is killed first. The same is there as a command:
``python -m scow.shim.spawner.reap --state-dir DIR [--force]``.

**view** mounts a container's root file system, read-only, for others to read::

    {"view": [...]}                     # as rootfs.json has it

Answer: ``{"view": true}`` with a descriptor (SCM_RIGHTS) of the root of a mount that is attached nowhere (see `view`).

**copy** makes copies of directories of a root file system, the first content of volumes::

    {"copy": {"rootfs": [...],          # as rootfs.json has it
              "copies": [{"source": "/path/in/it", "target": "/abs/existing/new"}]}}

Answer: ``{"copied": ["/abs/existing/new"]}``, what is there whole. A source that is no directory is left out. Nobody
but the engine may be able to write to the directory that a target is made in (see `scow.shim.rootfs.copy_up`).

**sweep** removes an engine's cgroup parent when no container is left in it: ``{"sweep": {"cgroup_parent": "scow"}}``.
Answer: ``{"removed": true}``.

**Errors** of every request::

    {"error": {"code": "FAILED_PRECONDITION",   # canonical gRPC code
               "reason": "NAMESPACE_UNSUPPORTED", "message": "...", "metadata": {"namespace": "user"}}}

Files of the bundle
===================

``config.json`` is an OCI runtime-spec configuration. ``process.terminal`` asks for a pty and
``process.consoleSize`` for its size. ``process.user.username`` is understood as ``name[:group]`` or ``uid[:gid]``,
looked up in the container's own files, and then ``uid``/``gid`` of the configuration are not used, save that
``additionalGids`` are added. Annotations:

- ``scow.init`` = ``true``: run a small init as process 1 that reaps and forwards signals.
- ``scow.groups`` = ``name,gid,...``: further groups, looked up in the container's files.

``rootfs.json``: the mounts that make the root file system, in order:
``[{"type": "overlay", "source": "overlay", "options": ["lowerdir=...", "upperdir=...", "workdir=..."]}]``. Without that
file ``root.path`` of config.json is the root file system itself. A layer that is a file system precedes the overlay,
``{"type": "erofs", "source": "/abs/layer.erofs", "options": ["device=/abs/layer.tar"]}``; in ``lowerdir`` its source
stands for it. The spawner mounts it once for all containers (see `layers`).

``images.json``: of images that are mounted besides, by their places, what ``rootfs.json`` has of the root file
system. Their entries in ``mounts`` have the type ``scow.image``.

Options of mounts that are scow's own:

- ``scow.namespace=/proc/PID/ns/mnt`` on a bind: the source is a directory of that mount namespace, without links;
  what is mounted there is shared. With ``scow.device=8:1`` (one or several) links in that namespace are followed, and
  one of these file systems must be there.
- ``scow.checked``, ``scow.make``, ``scow.link=PATH`` on a bind: which links of the source are followed, and that
  missing directories are made (see `scow.kernel.hostpath`).
- ``scow.subpath=PATH``: what is at this relative path is mounted instead of the whole; a way out of it is refused.
- ``scow.shared=NAME`` on a file system: entries with the same name are one, mounted once.

The type ``scow.overlay`` is a bind with a layer on top that takes what is written (see `rootfs.throwaway`).

Files of the state directory
============================

- ``state.json``, written before the first resource is made: ``{"id", "version", "shim_pid", "shim_start_ticks", "pid",
  "pid_start_ticks", "cgroups": ["/sys/fs/cgroup/...", ...], "warnings": ["..."]}``; ``pid`` is 0 until init exists.
- ``exit.json``, written (fsynced, renamed) before any Wait is answered: ``{"code": 137, "signal": 9, "time_ns": ...,
  "oom_killed": false, "error": ""}``; ``error`` says why the process was never executed, or that the shim died.
"""

from __future__ import annotations

import argparse
import dataclasses
import fcntl
import gc
import itertools
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from scow.kernel import syscalls
from scow.shim import VERSION
from scow.shim.builder.process import answer
from scow.shim.errors import ShimError, from_exception
from scow.shim.keeper import process
from scow.shim.keeper.request import parse
from scow.shim.oci import config
from scow.shim.rootfs import copy_up
from scow.shim.spawner import layers, reap, sealed, view
from scow.shim.talker import process as _talker  # noqa: F401 - loaded once, for all that are forked

_REQUEST_MAX = 128 << 10
_BACKLOG = 512
_TIDY_SECONDS = 10.0  # between two looks for layers that were deleted, while any are mounted
_LOOK_SECONDS = 60.0  # between two looks whether the socket is still there
_PATIENCE_SECONDS = 5.0  # with a client that connects and says nothing
_OTHERS = {"reap", "sweep", "view", "copy"}  # requests that make no shim


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

    def serve(self) -> None:
        """Answer until nobody needs this process any more."""
        gc.collect()
        gc.freeze()  # what is there now is never written to by a child's collector: pages stay shared
        while True:
            try:
                self._listener.settimeout(self._interval())
                self._accept()
            except TimeoutError:
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
        return min(seconds, self._idle) if self._idle else seconds

    def _needed(self) -> bool:
        """Tell whether somebody may still ask, or children need their subreaper."""
        if _identity(self._path) != self._bound:
            return False
        if not self._idle or time.monotonic() - self._asked < self._idle:
            return True
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
        try:
            raw = connection.recv(_REQUEST_MAX + 1)
            if not raw:
                return
            request = _decode(raw)
            if "ping" in request:
                answer(connection, {"pid": os.getpid(), "version": VERSION})
                return
            mounted = self._mount_layers(request)
            spawn = None if _OTHERS & request.keys() else parse(request, self._cache, mounted)
            child = syscalls.fork_bare()
        except Exception as error:  # noqa: BLE001 - nonsense, no memory, no more processes: only this request fails
            answer(connection, {"error": from_exception(error, "do as asked").to_json()})
            return
        if child == 0:
            self._listener.close()
            os.close(self._lock)
            self._layers.close_others(mounted)
            if "reap" in request or "sweep" in request:
                _answer_in_child(connection, lambda: _tidy(request))
            elif "view" in request:
                _answer_in_child(connection, lambda: _send_view(request, connection, mounted))
            elif "copy" in request:
                _answer_in_child(connection, lambda: _copy(request["copy"], connection, mounted))
            elif spawn is not None:
                process.main(spawn, connection)

    def _mount_layers(self, request: dict[str, Any]) -> dict[str, int]:
        """Mount the layers of a container that is to be made, unless they are mounted."""
        self._layers.drop_gone()
        if "view" in request:
            return self._layers.hold(config.parse_rootfs(request["view"]))
        if "copy" in request:
            return self._layers.hold(config.parse_rootfs(_rootfs(request["copy"])))
        bundle = request.get("bundle")
        if not isinstance(bundle, str):
            return {}
        images = config.load_images(bundle).values()
        return self._layers.hold(itertools.chain(config.load_rootfs(bundle), *images))


def _decode(raw: bytes) -> dict[str, Any]:
    if len(raw) > _REQUEST_MAX:
        text = f"the request has more than {_REQUEST_MAX} bytes"
        raise ShimError("INVALID_ARGUMENT", "INVALID_ARGUMENT", text, what="request")
    try:
        request = json.loads(raw)
    except ValueError as error:
        text = f"the request is not JSON: {error}"
        raise ShimError("INVALID_ARGUMENT", "INVALID_ARGUMENT", text, what="request") from error
    if not isinstance(request, dict):
        text = "the request is not a JSON object"
        raise ShimError("INVALID_ARGUMENT", "INVALID_ARGUMENT", text, what="request")
    return request


def _tidy(request: dict[str, Any]) -> dict[str, Any]:
    if "sweep" in request:
        return {"removed": reap.sweep(_text(request["sweep"], "cgroup_parent"))}
    wanted = request["reap"]
    record = reap.reap(_text(wanted, "state_dir"), force=bool(wanted.get("force")))
    return {"exit": dataclasses.asdict(record)}


def _send_view(
    request: dict[str, Any], connection: socket.socket, mounted: Mapping[str, int]
) -> dict[str, Any] | None:
    root = view.open_view(config.parse_rootfs(request["view"]), mounted)
    socket.send_fds(connection, [json.dumps({"view": True}).encode()], [root])
    return None


def _copy(
    wanted: dict[str, Any], connection: socket.socket, mounted: Mapping[str, int]
) -> dict[str, Any]:
    copies = copy_up.parse(wanted.get("copies"))
    os.umask(0)
    root = view.open_view(config.parse_rootfs(wanted["rootfs"]), mounted)
    return {"copied": copy_up.copy_up(root, copies, connection)}


def _rootfs(wanted: Any) -> Any:
    """Return the root file system of a request to copy; what is none is refused by who reads it."""
    return wanted.get("rootfs") if isinstance(wanted, dict) else None


def _text(wanted: Any, key: str) -> str:
    value = wanted.get(key) if isinstance(wanted, dict) else None
    if not isinstance(value, str) or not value:
        text = f"the request's {key} is missing"
        raise ShimError("INVALID_ARGUMENT", "INVALID_ARGUMENT", text, what="request", which=key)
    return value


def _answer_in_child(connection: socket.socket, act: Callable[[], dict[str, Any] | None]) -> None:
    """Answer with what `act` returns, unless it has answered itself, or raises; end this child."""
    try:
        try:
            message = act()
            if message is None:
                return
        except Exception as error:  # noqa: BLE001 - whatever it is travels to who asked
            message = {"error": from_exception(error, "do what was asked").to_json()}
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
    sealed.seal("scow.shim.spawner.server")
    parser = argparse.ArgumentParser(prog="scow.shim.spawner.server")
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


if __name__ == "__main__":
    sys.exit(main())
