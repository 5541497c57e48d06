"""Mounts as mount(2) descriptions, with the options of `scow.shim.rootfs.mounts`."""

from __future__ import annotations

import os

from scow.api.types.v1.types_pb2 import Mount
from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import BindSourceNotFound
from scow.kernel import hostpath
from scow.volume.drivers.base import Source
from scow.volume.mounts.requests import invalid

_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
_OPPOSITE = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}
_DEFAULT_TMPFS_MODE = 0o1777
_SUBPATH = "scow.subpath="
_ONCE = "scow.once"
OVERLAY, IMAGE = "scow.overlay", "scow.image"


def bind(request: pb.MountRequest) -> Mount:
    """Return the mount of a host path. Its options say where links are, which alone are followed when it is mounted.

    A missing directory is made then, where that was asked for.

    Raises:
        BindSourceNotFound: It is missing and is not to be made.
        InvalidMount: It cannot be looked up.
    """
    whole = "bind" if request.recursion == "disabled" else "rbind"
    options = [whole, *_source_options(request)]
    if request.type == "overlay":
        options += [f"size={request.tmpfs_size}"] if request.tmpfs_size else []
    else:
        options += [request.propagation or "rprivate", _bind_access(request)]
    return Mount(
        destination=request.target,
        type=OVERLAY if request.type == "overlay" else "bind",
        source=request.source,
        options=options,
    )


def _source_options(request: pb.MountRequest) -> list[str]:
    source = request.source
    try:
        found = hostpath.links(source)
        if not request.create_source:
            os.close(hostpath.open_path(source, found))
    except FileNotFoundError as error:
        raise BindSourceNotFound(
            f'invalid mount config for type "{request.type}": bind source path does not exist:'
            f" {source}",
            what="bind source",
            which=source,
            do="make it first, or use -v, which makes a directory",
        ) from error
    except OSError as error:
        raise invalid(
            request, f"cannot use {source}: {error.strerror}", "choose another source"
        ) from error
    return hostpath.options(found, make=request.create_source)


def _bind_access(request: pb.MountRequest) -> str:
    """Return "rro", read-only with all mounts below, unless that was not wanted or they come and go with the host's."""
    if not request.read_only:
        return "rw"
    recursive = request.propagation in ("", "rprivate") and request.recursion in ("", "enabled")
    return "rro" if recursive or request.recursion == "readonly" else "ro"


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
        options.append("ro" if request.read_only else "rw")
    return Mount(destination=request.target, type="tmpfs", source="tmpfs", options=options)


def image(request: pb.MountRequest) -> Mount:
    """Return the mount of an image; what it is made of is the image service's to say."""
    options = [f"{_SUBPATH}{request.subpath}"] if request.subpath else []
    return Mount(destination=request.target, type=IMAGE, source=request.source, options=options)


def volume(request: pb.MountRequest, source: Source | None) -> Mount:
    """Return the mount of a volume.

    Args:
        request: What is asked for.
        source: What its driver says is to be mounted; None while it has not been asked.
    """
    found = source or Source("bind", "")
    read_only = request.read_only or "ro" in found.options
    access = "rw"
    if read_only:
        access = "rro" if found.type == "bind" else "ro"
    options = [option for option in found.options if option not in ("ro", "rw")]
    if found.once:
        options.append(_ONCE)
    if request.subpath:
        options.append(f"{_SUBPATH}{request.subpath}")
    return Mount(
        destination=request.target,
        type=found.type,
        source=found.source,
        options=[*options, access],
    )
