"""What is executed: a container's configuration on top of its image's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1.image_pb2 import Image, ImageConfig
from scow.api.types.v1.types_pb2 import PortMapping
from scow.api.volume.v1.volume_pb2 import MountRequest
from scow.container.model import exposed_ports
from scow.container.model.invalid import invalid
from scow.contract import paths
from scow.core import labels

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What stays writable beside a read-only root file system, as podman has it.
_WRITABLE = ("/run", "/tmp", "/var/tmp")
_DEFAULT_STOP_SIGNAL = "SIGTERM"


def apply(described: pb.Container, image: Image) -> None:
    """Fill in what the image says wherever the configuration is silent.

    Raises:
        InvalidConfig: Neither names a command.
        LimitExceeded: The labels of both are together too long.
    """
    config, given = described.config, image.config
    described.image_id = image.id
    described.args.extend(command(config, given))
    described.env.extend(merge_env([PATH], given.env, config.env))
    described.working_dir = config.working_dir or given.working_dir or "/"
    described.user = config.user or given.user
    described.stop_signal = config.stop_signal or given.stop_signal or _DEFAULT_STOP_SIGNAL
    described.exposed_ports.extend(exposed(config, given))
    described.labels.update(given.labels)
    described.labels.update(config.labels)
    labels.check("labels", described.labels)


def command(config: pb.ContainerConfig, image: ImageConfig) -> list[str]:
    """Return the arguments to execute.

    An entrypoint of the configuration drops the image's command with the image's entrypoint.

    Raises:
        InvalidConfig: There are none.
    """
    if config.override_entrypoint:
        args = [*config.entrypoint, *config.command]
    else:
        args = [*image.entrypoint, *(config.command or image.cmd)]
    if not args:
        raise invalid(
            "command", "is empty, and the image names none either", "name a command to execute"
        )
    return args


def merge_env(*layers: Iterable[str]) -> list[str]:
    """Return variables KEY=VALUE, a later layer replacing an earlier one's in its place.

    A KEY without "=" takes the variable away.
    """
    merged: dict[str, str | None] = {}
    for layer in layers:
        for text in layer:
            key, separator, value = text.partition("=")
            if separator:
                merged[key] = value
            else:
                merged.pop(key, None)
    return [f"{key}={value}" for key, value in merged.items()]


def process_env(
    described: pb.Container, *, tty: bool, more: Sequence[str] = (), linked: Sequence[str] = ()
) -> list[str]:
    """Return the environment of a process in the container; HOME is the shim's to find.

    What linked containers add stands before the container's own.

    A name alone in the configuration takes away what the engine itself would set as well.
    """
    path = [text for text in described.env if text.startswith("PATH=")]
    own = [f"HOSTNAME={described.hostname}"] + (["TERM=xterm"] if tty else [])
    unset = [text for text in described.config.env if "=" not in text]
    return merge_env(path, own, linked, unset, path, described.env, more)


def exposed(config: pb.ContainerConfig, image: ImageConfig) -> list[str]:
    """Return the ports "80/tcp" that the image exposes, the configuration exposes, or are published."""
    ports = exposed_ports.PortSet()
    for port in config.ports:
        ports.add(_published(port))
    published = [
        f"{number}/{found.protocol}"
        for found in ports.ranges()
        for number in range(found.first, found.last + 1)
    ]
    named = [p if "/" in p else f"{p}/tcp" for p in (*image.exposed_ports, *config.exposed_ports)]
    return sorted({*named, *published}, key=_port_order)


def _port_order(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    first = number.partition("-")[0]
    return (int(first) if first.isascii() and first.isdigit() else 0, protocol)


def ports(described: pb.Container) -> list[PortMapping]:
    """Return what is to be published; with `publish_all` what is exposed gets free ones, a range consecutive ones."""
    wanted = list(described.config.ports)
    if not described.config.publish_all:
        return wanted
    free = exposed_ports.PortSet()
    for text in described.exposed_ports:
        if (found := exposed_ports.parse(text)) is not None:
            free.add(found)
    for port in described.config.ports:
        free.discard(_published(port))
    wanted.extend(
        PortMapping(
            container_port=found.first,
            protocol=found.protocol,
            count=found.last - found.first + 1,
        )
        for found in free.ranges()
    )
    return wanted


def _published(port: PortMapping) -> exposed_ports.Range:
    last = port.container_port + max(port.count, 1) - 1
    return exposed_ports.Range(port.container_port, last, port.protocol or "tcp")


def mounts(config: pb.ContainerConfig) -> list[MountRequest]:
    """Return the mounts that the configuration asks for, in the volume service's terms."""
    # The messages have the same fields.
    asked = [MountRequest.FromString(mount.SerializeToString()) for mount in config.mounts]
    if not (config.read_only and config.read_only_tmpfs):
        return asked
    covered = targets(asked)
    free = (target for target in _WRITABLE if target not in covered)
    return asked + [MountRequest(type="tmpfs", target=target) for target in free]


def targets(mounts: Iterable[MountRequest]) -> set[str]:
    """Return where mounts are, each path in its shortest form."""
    return {paths.shortest(mount.target) for mount in mounts}


def image_volumes(mounts: Sequence[MountRequest], image: ImageConfig) -> list[MountRequest]:
    """Return an anonymous volume for each that the image declares and no mount covers."""
    covered = targets(mounts)
    return [
        MountRequest(type="volume", target=target)
        for target in sorted(image.volumes)
        if paths.shortest(target) not in covered
    ]
