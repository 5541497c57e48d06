"""Containers and images as Docker's lists have them."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.words.references import familiar
from scow.words.shapes.common import mapping, mapping_or_nil, nanoseconds
from scow.words.shapes.container import STATUS_WORDS, container_shape
from scow.words.shapes.ports import each_port
from scow.words.template.values import Struct
from scow.words.units import human_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from scow.api.image.v1.image_pb2 import Image

_HEALTH = {
    "starting": " (health: starting)",
    "healthy": " (healthy)",
    "unhealthy": " (unhealthy)",
}


def container_summary(container: pb.Container, now: int) -> Struct:
    """Return a container in the shape of Docker's list.

    Args:
        container: The container.
        now: Nanoseconds since 1970.
    """
    whole = container_shape(container)
    return Struct(
        Id=container.id,
        Names=[f"/{container.name}"],
        Image=container.config.image,
        ImageID=container.image_id,
        Command=command_text(container.args),
        Created=nanoseconds(container, "created_at") // 1_000_000_000,
        Ports=list(_ports(container)),
        Labels=mapping(container.labels),
        State=STATUS_WORDS.get(container.status, "unknown"),
        Status=status_text(container, now),
        HostConfig=Struct(NetworkMode=whole["HostConfig"]["NetworkMode"]),
        NetworkSettings=Struct(Networks=whole["NetworkSettings"]["Networks"]),
        Mounts=whole["Mounts"],
    )


def command_text(arguments: Iterable[str]) -> str:
    """Return a command as lists have it."""
    return " ".join(f"'{each}'" if " " in each else each for each in arguments)


def status_text(container: pb.Container, now: int) -> str:
    """Return "Up 3 minutes" or "Exited (0) 2 seconds ago".

    Args:
        container: The container.
        now: Nanoseconds since 1970.
    """
    if container.status in (pb.STATUS_RUNNING, pb.STATUS_PAUSED):
        up = f"Up {_since(nanoseconds(container, 'started_at'), now)}"
        if container.status == pb.STATUS_PAUSED:
            return f"{up} (Paused)"
        return up + _HEALTH.get(container.health.status, "")
    if container.status == pb.STATUS_REMOVING:
        return "Removal In Progress"
    if container.status == pb.STATUS_DEAD:
        return "Dead"
    finished = nanoseconds(container, "finished_at")
    if container.status == pb.STATUS_EXITED:
        return f"Exited ({container.exit_code}) {_since(finished, now)} ago"
    if container.status == pb.STATUS_RESTARTING:
        return f"Restarting ({container.exit_code}) {_since(finished, now)} ago"
    return "Created"


def _since(moment: int, now: int) -> str:
    return human_duration((now - moment) / 1e9)


def _ports(container: pb.Container) -> Iterator[Struct]:
    """Yield each port, and where it is published, while the container runs."""
    if container.status not in (pb.STATUS_RUNNING, pb.STATUS_PAUSED):
        return
    for inside, address, outside, kind in each_port(container.exposed_ports, container.ports):
        published = Struct(IP=address, PrivatePort=inside, PublicPort=outside, Type=kind)
        yield published if address else Struct(PrivatePort=inside, Type=kind)


def image_summary(image: Image, *, sizes: bool = False) -> Struct:
    """Return an image in the shape of Docker's list.

    Args:
        image: The image.
        sizes: What it shares with others was counted.
    """
    return Struct(
        Containers=image.snapshots,
        Created=nanoseconds(image, "created_at") // 1_000_000_000,
        Id=image.id,
        Labels=mapping_or_nil(image.config.labels),
        ParentId="",
        RepoDigests=[familiar(each) for each in image.repo_digests],
        RepoTags=[familiar(each) for each in image.references],
        SharedSize=image.shared_size if sizes else -1,
        Size=image.size,
        VirtualSize=image.size,
    )
