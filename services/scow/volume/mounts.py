"""What a container asks to have mounted, as a mount(2) description.

Nothing is mounted here: the shim mounts, inside the container's own mount namespace.
"""

from __future__ import annotations

import os
import posixpath
from pathlib import Path

from scow.api.types.v1.types_pb2 import Mount
from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import BindSourceNotFound, InvalidMount
from scow.volume.drivers.base import Source

_PROPAGATIONS = frozenset({"", "rprivate", "private", "rshared", "shared", "rslave", "slave"})
_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
_OPPOSITE = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}
_DEFAULT_TMPFS_MODE = 0o1777


def check(request: pb.MountRequest) -> None:
    """Check what can be checked without looking at the machine.

    Raises:
        InvalidMount: The request contradicts itself.
    """
    if request.type not in ("bind", "volume", "tmpfs"):
        raise _invalid(request, f"has the type {request.type!r}", "use bind, volume or tmpfs")
    if not request.target.startswith("/") or posixpath.normpath(request.target) in ("/", "//"):
        raise _invalid(
            request, "has no absolute target below /", "give an absolute path in the container"
        )
    if request.propagation not in _PROPAGATIONS:
        raise _invalid(
            request,
            f"has the propagation {request.propagation!r}",
            f"use one of {', '.join(sorted(_PROPAGATIONS - {''}))}",
        )
    if request.propagation and request.type != "bind":
        raise _invalid(request, "has a propagation", "only binds take one")
    if request.type == "bind" and not request.source.startswith("/"):
        raise _invalid(
            request, f"has the relative source {request.source!r}", "give an absolute host path"
        )
    if request.type == "tmpfs" and request.source:
        raise _invalid(request, "has a source", "a tmpfs has none")
    if request.type != "tmpfs" and (request.tmpfs_size or request.tmpfs_options):
        raise _invalid(request, "has options of a tmpfs", "leave them out or use type tmpfs")


def _invalid(request: pb.MountRequest, fault: str, advice: str) -> InvalidMount:
    return InvalidMount(
        f"the mount at {request.target or 'no target'} {fault}",
        what="mount",
        which=request.target,
        do=advice,
    )


def make_source(request: pb.MountRequest) -> Path:
    """Return a bind's source, making a missing directory where that was asked for.

    Raises:
        BindSourceNotFound: It is missing and was not to be made.
        InvalidMount: It cannot be made.
    """
    source = Path(request.source)
    if os.path.lexists(source):
        return source
    if not request.create_source:
        raise BindSourceNotFound(
            f"the bind source {source} does not exist",
            what="bind source",
            which=str(source),
            do="make it first, or use -v, which makes a directory",
        )
    try:
        source.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _invalid(request, f"needs {source}: {error.strerror}", "make it first") from error
    return source


def bind(request: pb.MountRequest) -> Mount:
    """Return the mount of a host path, making a missing directory where that was asked for.

    Raises:
        BindSourceNotFound: It is missing and was not to be made.
        InvalidMount: It cannot be made.
    """
    source = make_source(request)
    return Mount(
        destination=request.target,
        type="bind",
        source=str(source),
        options=["rbind", request.propagation or "rprivate", _access(request)],
    )


def tmpfs(request: pb.MountRequest) -> Mount:
    """Return the mount of a tmpfs with Docker's defaults: not executable, no devices, no setuid."""
    given = [option for option in request.tmpfs_options if option]
    options = [d for d in _TMPFS_DEFAULTS if not any(_OPPOSITE.get(g) == d for g in given)]
    options += [option for option in given if option not in options]
    if request.tmpfs_size:
        options.append(f"size={request.tmpfs_size}")
    if not any(option.startswith("mode=") for option in given):
        options.append(f"mode={request.tmpfs_mode or _DEFAULT_TMPFS_MODE:o}")
    if not {"ro", "rw"}.intersection(given):
        options.append(_access(request))
    return Mount(destination=request.target, type="tmpfs", source="tmpfs", options=options)


def volume(request: pb.MountRequest, source: Source | None) -> Mount:
    """Return the mount of a volume.

    Args:
        request: What is asked for.
        source: What its driver says is to be mounted; None while it has not been asked.
    """
    found = source or Source("bind", "")
    access = "ro" if "ro" in found.options else _access(request)
    options = [option for option in found.options if option not in ("ro", "rw")]
    return Mount(
        destination=request.target,
        type=found.type,
        source=found.source,
        options=[*options, access],
    )


def _access(request: pb.MountRequest) -> str:
    return "ro" if request.read_only else "rw"
