"""What can be refused of a request without looking at the machine. The words are Docker's."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence

from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract import paths
from scow.contract.errors import InvalidMount

TYPES = ("bind", "volume", "tmpfs", "overlay", "image")
PROPAGATIONS = ("rprivate", "private", "rshared", "shared", "rslave", "slave")
RECURSIONS = ("enabled", "disabled", "writable", "readonly")
_HOST = frozenset(("bind", "overlay"))  # their source is a path of the host
_NO_ROOT = "invalid specification: destination can't be '/'"


def check_all(requests: Sequence[pb.MountRequest]) -> None:
    """Check all mounts of a container.

    Raises:
        InvalidMount: One contradicts itself, or two have the same target.
    """
    taken: set[str] = set()
    for request in requests:
        check(request)
        target = paths.shortest(request.target)
        if target in taken:
            raise InvalidMount(
                f"Duplicate mount point: {request.target}",
                what="mount",
                which=request.target,
                do="choose another target for one of them",
            )
        taken.add(target)


def check(request: pb.MountRequest) -> None:
    """Check what can be checked without looking at the machine.

    Raises:
        InvalidMount: The request contradicts itself.
    """
    if request.type == "cluster":
        raise invalid(request, "cluster volumes are swarm's", "use a volume with a driver")
    if request.type not in TYPES:
        raise invalid(request, "mount type unknown", f"use {', '.join(TYPES)}")
    _check_target(request)
    _check_options(request)
    if request.type in _HOST:
        _check_path(request)
    elif request.type == "volume":
        _check_volume(request)
    elif request.type == "image":
        if not request.source:
            raise invalid(request, "field Source must not be empty", "name an image")
        _check_subpath(request, "image")
    elif request.source:
        raise invalid(request, "field Source must not be specified", "a tmpfs has none")


def _check_target(request: pb.MountRequest) -> None:
    if not request.target:
        raise invalid(request, "field Target must not be empty", "give a path in the container")
    if posixpath.normpath(request.target) in ("/", "//"):
        raise invalid(request, _NO_ROOT, "give a path below it")
    _check_absolute(request, request.target, "give an absolute path in the container")


def _check_absolute(request: pb.MountRequest, path: str, advice: str) -> None:
    if not path.startswith("/"):
        raise invalid(request, f"invalid mount path: '{path}' mount path must be absolute", advice)


def _check_options(request: pb.MountRequest) -> None:
    """Refuse options of another type, and values that none has."""
    tmpfs: list[object] = [request.tmpfs_mode, request.tmpfs_options]
    tmpfs += [request.tmpfs_size] if request.type != "overlay" else []
    host: list[object] = [request.propagation, request.recursion, request.create_source]
    volume: list[object] = [request.no_copy, request.volume_driver, request.volume_labels]
    volume += [request.volume_options, request.exclusive]
    for field, given, types in (
        ("Subpath", [request.subpath], ("volume", "image")),
        ("TmpfsOptions", tmpfs, ("tmpfs",)),
        ("BindOptions", host, _HOST),
        ("VolumeOptions", volume, ("volume",)),
    ):
        if any(given) and request.type not in types:
            text = f"field {field} must not be specified"
            raise invalid(request, text, "leave out the options of other types")
    if request.propagation and request.propagation not in PROPAGATIONS:
        text = f"invalid propagation mode: {request.propagation}"
        raise invalid(request, text, f"use one of {', '.join(PROPAGATIONS)}")
    if request.recursion and request.recursion not in RECURSIONS:
        text = f"invalid recursion: {request.recursion}"
        raise invalid(request, text, f"use one of {', '.join(RECURSIONS)}")


def _check_path(request: pb.MountRequest) -> None:
    if not request.source:
        raise invalid(request, "field Source must not be empty", "give a path of the host")
    _check_absolute(request, request.source, "give an absolute path of the host")
    if request.recursion == "readonly":
        if not request.read_only:
            raise invalid(request, "option 'readonly' needs a read-only mount", "add readonly")
        if request.propagation not in ("", "rprivate"):
            text = "option 'readonly' needs the propagation rprivate"
            raise invalid(request, text, "use bind-propagation=rprivate")
    if request.type == "overlay" and (request.read_only or request.propagation):
        raise invalid(request, "an overlay is writable and private", "use type bind")


def _check_volume(request: pb.MountRequest) -> None:
    anonymous = not request.source
    if anonymous and request.read_only:
        text = "must not set ReadOnly mode when using anonymous volumes"
        raise invalid(request, text, "name the volume")
    if anonymous and request.subpath:
        raise invalid(request, "must not set Subpath when using anonymous volumes", "name it")
    if anonymous and request.exclusive:
        raise invalid(request, "an anonymous volume is its container's alone", "name it")
    if request.read_only and request.exclusive:
        text = "a read-only mount writes nothing that could be exclusive"
        raise invalid(request, text, "leave out one of both")
    _check_subpath(request, "volume")


def _check_subpath(request: pb.MountRequest, whole: str) -> None:
    if request.subpath and not _is_local(request.subpath):
        text = f"subpath must be a relative path within the {whole}"
        raise invalid(request, text, "leave out .. and the leading /")


def _is_local(path: str) -> bool:
    return not path.startswith("/") and posixpath.normpath(path).split("/")[0] != ".."


def invalid(request: pb.MountRequest, fault: str, advice: str) -> InvalidMount:
    """Return the error of a request, in Docker's form."""
    return InvalidMount(
        f'invalid mount config for type "{request.type}": {fault}',
        what="mount",
        which=request.target,
        do=advice,
    )
