"""The lines of lists: containers, images, networks and volumes, with Docker's names of fields."""

from __future__ import annotations

import time

from scow.api.container.v1 import container_pb2 as pb
from scow.cli.output.table import ellipsis, labels_text, short_id
from scow.words.references import familiar, parted
from scow.words.shapes.common import nanoseconds
from scow.words.shapes.container import STATUS_WORDS, networks_of
from scow.words.shapes.ports import ports_text
from scow.words.shapes.summary import command_text, status_text
from scow.words.template import Row
from scow.words.template.lexer import quote
from scow.words.times import local_date
from scow.words.units import human_duration, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scow.api.container.v1.secret_pb2 import Secret
    from scow.api.image.v1.image_pb2 import Image
    from scow.api.network.v1.cni_plugin_pb2 import CniPlugin
    from scow.api.network.v1.network_pb2 import Network
    from scow.api.types.v1.types_pb2 import Platform
    from scow.api.volume.v1.backup_pb2 import Backup
    from scow.api.volume.v1.plugin_pb2 import Plugin
    from scow.api.volume.v1.snapshot_pb2 import Snapshot
    from scow.api.volume.v1.volume_pb2 import Volume

_NONE = "<none>"
_COMMAND_WIDTH = 20
_MOUNT_WIDTH = 15
_FAULT_WIDTH = 50


def _label(labels: Mapping[str, str]) -> Callable[[str], str]:
    return lambda key: labels.get(key, "")


def _ago(since: int, now: int) -> str:
    return human_duration((now - since) / 1e9)


def container_row(
    container: pb.Container,
    sizes: tuple[int, int] | None = None,
    *,
    full: bool = False,
    now: int = 0,
) -> Row:
    """Return a container's line.

    Args:
        container: The container.
        sizes: Bytes of the writable layer and of the whole file system, where they were asked for.
        full: Cut nothing.
        now: Nanoseconds since 1970; 0 means now.
    """
    now = now or time.time_ns()
    created = nanoseconds(container, "created_at")
    command = command_text(container.args)
    mounts = [mount.name or mount.source for mount in container.mounts]
    return Row(
        ID=container.id if full else short_id(container.id),
        Names=container.name,
        Image=container.config.image or _NONE,
        Command=quote(command if full else ellipsis(command, _COMMAND_WIDTH)),
        CreatedAt=local_date(created),
        RunningFor=f"{_ago(created, now)} ago",
        Ports=_ports(container),
        State=STATUS_WORDS.get(container.status, "unknown"),
        Status=status_text(container, now),
        Size=_sizes(*sizes) if sizes else "0B",
        Labels=labels_text(container.labels),
        Label=_label(container.labels),
        Mounts=",".join(mounts if full else [ellipsis(mount, _MOUNT_WIDTH) for mount in mounts]),
        LocalVolumes=str(sum(mount.type == "volume" for mount in container.mounts)),
        Networks=",".join(_networks(container)),
        Platform="linux",
    )


def _sizes(writable: int, root: int) -> str:
    text = human_size(writable, 3)
    return f"{text} (virtual {human_size(root, 3)})" if root > 0 else text


def _ports(container: pb.Container) -> str:
    """Return the ports; those of a container that does not run are not published."""
    if container.status not in (pb.STATUS_RUNNING, pb.STATUS_PAUSED):
        return ""
    return ports_text(container.exposed_ports, container.ports)


def _networks(container: pb.Container) -> list[str]:
    attached = [each.network for each in networks_of(container)]
    return attached or [container.config.network or "bridge"]


def platform_text(platform: Platform) -> str:
    """Return "linux/arm/v7"."""
    parts = (platform.os, platform.architecture, platform.variant)
    return "/".join(part for part in parts if part)


def image_rows(image: Image, *, full: bool = False) -> Iterator[Row]:
    """Yield an image's lines, one for each reference; with `full` nothing is cut."""
    now = time.time_ns()
    created = nanoseconds(image, "created_at")
    by_name = {name: digest for name, _, digest in (d.partition("@") for d in image.repo_digests)}
    for reference in image.references or [""]:
        repository, tag = parted(reference)
        digest = by_name.get(repository, "") if reference else next(iter(by_name.values()), "")
        name = familiar(repository or next(iter(by_name), ""))
        yield Row(
            ID=image.id if full else short_id(image.id),
            Repository=name or _NONE,
            Tag=tag or _NONE,
            Digest=digest or _NONE,
            CreatedSince=f"{_ago(created, now)} ago" if created > 0 else "N/A",
            CreatedAt=local_date(created) if created > 0 else "N/A",
            Size=human_size(image.size, 3),
            Containers=str(image.snapshots),
            SharedSize=human_size(image.shared_size, 3) if image.shared_size >= 0 else "N/A",
            UniqueSize=human_size(image.size - image.shared_size, 3)
            if image.shared_size >= 0
            else "N/A",
            VirtualSize=human_size(image.size, 3),
            Platform=platform_text(image.platform),
        )


def network_row(network: Network, *, full: bool = False) -> Row:
    """Return a network's line; with `full` nothing is cut."""
    from scow.words.shapes.network import has_ipv4  # `ps` does without it

    return Row(
        ID=network.id if full else short_id(network.id),
        Name=network.name,
        Driver=network.driver,
        Scope=network.scope or "local",
        IPv4=str(has_ipv4(network)).lower(),
        IPv6=str(network.ipv6).lower(),
        Internal=str(network.internal).lower(),
        Labels=labels_text(network.labels),
        Label=_label(network.labels),
        CreatedAt=local_date(nanoseconds(network, "created_at")),
    )


def volume_row(volume: Volume) -> Row:
    """Return a volume's line."""
    return Row(
        Name=volume.name,
        Driver=volume.driver or "local",
        Scope=volume.scope or "local",
        Fault=volume.fault,
        Mountpoint=volume.mountpoint,
        Labels=labels_text(volume.labels),
        Label=_label(volume.labels),
        Links="N/A",
        Size="N/A",
        # Of Docker's cluster volumes.
        Availability="N/A",
        Group="N/A",
        Status="N/A",
    )


def snapshot_row(snapshot: Snapshot, *, now: int = 0) -> Row:
    """Return a snapshot's line.

    Args:
        snapshot: The snapshot.
        now: Nanoseconds since 1970; 0 means now.
    """
    created = nanoseconds(snapshot, "created_at")
    return Row(
        Volume=snapshot.volume,
        Name=snapshot.name,
        Reference=f"{snapshot.volume}@{snapshot.name}",
        CreatedAt=local_date(created),
        CreatedSince=f"{_ago(created, now or time.time_ns())} ago",
        Size=human_size(snapshot.size, 3),
        Shared=str(snapshot.shared).lower(),
        Frozen=str(snapshot.frozen).lower(),
        Labels=labels_text(snapshot.labels),
        Label=_label(snapshot.labels),
    )


def cni_plugin_row(plugin: CniPlugin) -> Row:
    """Return a CNI plugin's line."""
    return Row(
        Name=f"cni/{plugin.name}",
        Types="cni",
        Enabled=str(plugin.enabled).lower(),
        Status="ready",
        Socket="",
        Source=plugin.path,
    )


def backup_row(backup: Backup, repository: str, tag: str, *, now: int = 0) -> Row:
    """Return a line of a backup at a registry, of one of its tags.

    Args:
        backup: The backup.
        repository: Where it is.
        tag: One of the tags.
        now: Nanoseconds since 1970; 0 means now.
    """
    created = nanoseconds(backup, "created_at")
    return Row(
        Volume=backup.volume,
        Reference=f"{repository}:{tag}",
        CreatedAt=local_date(created),
        CreatedSince=f"{_ago(created, now or time.time_ns())} ago",
        Digest=backup.digest,
    )


def secret_row(secret: Secret, *, now: int = 0) -> Row:
    """Return a secret's line.

    Args:
        secret: The secret.
        now: Nanoseconds since 1970; 0 means now.
    """
    since = f"{_ago(nanoseconds(secret, 'created_at'), now or time.time_ns())} ago"
    return Row(
        ID=secret.id,
        Name=secret.name,
        Driver="",
        CreatedAt=since,
        UpdatedAt=since,
        Labels=labels_text(secret.labels),
        Label=_label(secret.labels),
    )


def plugin_row(plugin: Plugin, *, full: bool = False) -> Row:
    """Return a plugin's line; with `full` nothing is cut."""
    fault = plugin.fault or "ready"
    return Row(
        Name=plugin.name,
        Types=",".join(plugin.implements),
        Enabled=str(plugin.enabled).lower(),
        Status=fault if full else ellipsis(fault, _FAULT_WIDTH),
        Socket=plugin.socket,
        Source=plugin.source,
    )
