"""Mounts, as the body of POST /containers/create has them: Binds, Mounts, Tmpfs and Volumes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.client.mount_specs import parse_tmpfs, parse_volume
from scow.contract.errors import InvalidArgument, InvalidMount
from scow.docker.fields import Fields


def mounts(body: Fields, host: Fields) -> Iterator[pb.MountSpec]:
    """Yield what is mounted, of all the ways to say it.

    Raises:
        InvalidArgument, InvalidMount: A mount is not of the form that it must have.
    """
    taken = set()
    for mount in [*map(_bind, host.texts("Binds")), *map(_mount, host.objects("Mounts"))]:
        taken.add(mount.target)
        yield mount
    for target, options in host.mapping("Tmpfs").items():
        yield _parsed(parse_tmpfs, f"{target}:{options}" if options else target)
    for target in body.keys("Volumes"):
        if target not in taken:
            yield _bind(target)


def _bind(text: str) -> pb.MountSpec:
    return _parsed(parse_volume, text)


def _parsed(parse: Callable[[str], dict[str, Any]], text: str) -> pb.MountSpec:
    try:
        return pb.MountSpec(**parse(text))
    except ValueError as error:
        raise InvalidMount(str(error), what="mount", which=text) from None


def _mount(given: Fields) -> pb.MountSpec:
    kind = given.text("Type")
    mount = pb.MountSpec(
        type=kind,
        source=given.text("Source"),
        target=given.text("Target"),
        read_only=given.flag("ReadOnly"),
    )
    if kind == "bind":
        _set_bind_options(mount, given.part("BindOptions"))
    elif kind == "volume":
        _set_volume_options(mount, given.part("VolumeOptions"))
    elif kind == "tmpfs":
        options = given.part("TmpfsOptions")
        mount.tmpfs_size, mount.tmpfs_mode = options.number("SizeBytes"), options.number("Mode")
    elif kind == "image":
        mount.subpath = given.part("ImageOptions").text("Subpath")
    else:
        raise InvalidArgument(f"mount type unknown: {kind!r}", what="mount", which=mount.target)
    return mount


def _set_bind_options(mount: pb.MountSpec, options: Fields) -> None:
    mount.propagation = options.text("Propagation")
    mount.create_source = options.flag("CreateMountpoint")
    for key, recursion in (
        ("NonRecursive", "disabled"),
        ("ReadOnlyNonRecursive", "writable"),
        ("ReadOnlyForceRecursive", "readonly"),
    ):
        if options.flag(key):
            mount.recursion = recursion


def _set_volume_options(mount: pb.MountSpec, options: Fields) -> None:
    driver = options.part("DriverConfig")
    mount.no_copy = options.flag("NoCopy")
    mount.subpath = options.text("Subpath")
    mount.volume_labels.update(options.mapping("Labels"))
    mount.volume_driver = driver.text("Name")
    mount.volume_options.update(driver.mapping("Options"))
