"""The files between the container service and a shim.

The bundle, a directory that the service writes
===============================================

``config.json`` is an OCI runtime-spec configuration. ``process.terminal`` asks for a pty and
``process.consoleSize`` for its size. ``process.user.username`` is understood as ``name[:group]`` or ``uid[:gid]``,
looked up in the container's own files, and then ``uid``/``gid`` of the configuration are not used, save that
``additionalGids`` are added. Annotations:

- ``scow.init`` = ``true``: run a small init as process 1 that reaps and forwards signals.
- ``scow.storage`` = ``PROJECT:BYTES``: what the writable layer may take, as that project of its file system.
- ``scow.groups`` = ``name,gid,...``: further groups, looked up in the container's files.

``rootfs.json``: the mounts that make the root file system, in order:
``[{"type": "overlay", "source": "overlay", "options": ["lowerdir=...", "upperdir=...", "workdir=..."]}]``. Without that
file ``root.path`` of config.json is the root file system itself. A layer that is a file system precedes the overlay,
``{"type": "erofs", "source": "/abs/layer.erofs", "options": ["device=/abs/layer.tar"]}``; in ``lowerdir`` its source
stands for it. The spawner mounts it once for all containers.

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

The type ``scow.overlay`` is a bind with a layer on top that takes what is written (see `scow.shim.rootfs.throwaway`).

The state directory, where the shim writes
==========================================

``state.json`` (`State`) is written before the first resource is made, so that whatever is left of a shim that was
killed can be found. ``exit.json`` (`Exit`) is written (fsynced, renamed) before anybody is told of the end. Both are
JSON objects of the fields below, and are replaced whole: a reader sees the old one or the new one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

CONFIG = "config.json"
ROOTFS = "rootfs.json"
IMAGES = "images.json"
STATE = "state.json"
EXIT = "exit.json"
# The AppArmor profile that the shim itself loads.
APPARMOR_DEFAULT = "scow-default"
_PARSERS = ("/usr/sbin/apparmor_parser", "/sbin/apparmor_parser", "/usr/bin/apparmor_parser")


def apparmor_parser() -> str:
    """Return the program that loads profiles; empty when there is none."""
    return next((path for path in _PARSERS if os.access(path, os.X_OK)), "")


@dataclass(frozen=True, slots=True)
class Exit:
    """How a container or an exec session ended.

    Attributes:
        code: Exit code, 0..255; 128+n when signal n ended it.
        signal: The signal that ended it, or 0.
        time_ns: When, nanoseconds since 1970 UTC.
        oom_killed: The kernel killed a process of the container for want of memory.
        error: Why the process was never executed, or that the shim died; otherwise empty.
        oom_kills: Processes of the container that the kernel killed for want of memory.
        limit_hit: The container's own memory limit was reached; otherwise it was the host, or a group around it, that
            had no memory.
        peak_memory: Bytes; 0 where it is not known.
        cpu_ns: Processor time, nanoseconds.
        forks_refused: Processes that the container's limit of them refused.
    """

    code: int
    signal: int
    time_ns: int
    oom_killed: bool = False
    error: str = ""
    oom_kills: int = 0
    limit_hit: bool = False
    peak_memory: int = 0
    cpu_ns: int = 0
    forks_refused: int = 0

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Exit | None:
        """Read exit.json of a state directory; None when there is none."""
        data = _load(directory, EXIT)
        return None if data is None else cls(**_known(cls, data))

    def encode(self) -> bytes:
        """Return what is written."""
        return json.dumps(asdict(self)).encode()


@dataclass(slots=True)
class State:
    """What is needed to end a container without its shim.

    Attributes:
        id: The container's id.
        version: Of the shim's code.
        shim_pid: Of the keeper; `shim_start_ticks` is its start time (proc(5), stat field 22).
        pid: Of the init, 0 until there is one; `pid_start_ticks` is its start time.
        cgroups: Directories of the container's cgroup, one a hierarchy.
        warnings: What the shim could not do and went on without.
    """

    id: str
    version: str
    shim_pid: int
    shim_start_ticks: int
    pid: int = 0
    pid_start_ticks: int = 0
    cgroups: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> State | None:
        """Read state.json of a state directory; None when there is none."""
        data = _load(directory, STATE)
        return None if data is None else cls(**_known(cls, data))

    def encode(self) -> bytes:
        """Return what is written."""
        return json.dumps(asdict(self)).encode()


class RootMount(Protocol):
    """One of the mounts that make a root file system."""

    @property
    def type(self) -> str:
        """Kind of the file system."""

    @property
    def source(self) -> str:
        """What is mounted."""

    @property
    def options(self) -> Sequence[str]:
        """Options of mount(8)."""


def rootfs(mounts: Iterable[RootMount]) -> list[dict[str, Any]]:
    """Return what rootfs.json holds."""
    return [{"type": m.type, "source": m.source, "options": list(m.options)} for m in mounts]


def _known(cls: type[Exit | State], data: dict[str, Any]) -> dict[str, Any]:
    """Leave out fields that are not known here: shims outlive an upgrade, and a downgrade, of the service."""
    return {name: data[name] for name in cls.__dataclass_fields__ if name in data}


def _load(directory: str | os.PathLike[str], name: str) -> dict[str, Any] | None:
    try:
        with open(os.path.join(directory, name), "rb") as file:
            data: dict[str, Any] = json.load(file)
            return data
    except FileNotFoundError:
        return None
