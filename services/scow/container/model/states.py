"""States of containers in words, and errors of containers that are in one in which a request cannot be met."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.contract.errors import (
    ContainerBusy,
    ContainerNotFound,
    ContainerNotRunning,
    ContainerPaused,
    ContainerRunning,
    FailedPrecondition,
)

# Exit code of a process that ended with its container: 128 + SIGKILL.
KILLED = 137


def word(status: pb.Status.ValueType) -> str:
    """Return a status as people and filters write it: "running"."""
    return pb.Status.Name(status).removeprefix("STATUS_").lower()


def not_running(described: pb.Container) -> ContainerNotRunning:
    """Return the error for what needs a container that runs."""
    waits = described.status == pb.STATUS_RESTARTING
    return ContainerNotRunning(
        f"container {described.name} is {'restarting' if waits else 'not running'}",
        what="container",
        which=described.name,
        do="wait until it is running" if waits else "start it first",
        status=word(described.status),
    )


def running(described: pb.Container) -> ContainerRunning:
    """Return the error for what needs a container that does not run."""
    return ContainerRunning(
        f"container {described.name} is running",
        what="container",
        which=described.name,
        do="stop it first, or use force",
    )


def restarting(described: pb.Container) -> ContainerRunning:
    """Return the error for the removal of a container that its policy is about to start."""
    return ContainerRunning(
        f"container {described.name} is restarting",
        what="container",
        which=described.name,
        do="stop it first, or use force",
    )


def paused(described: pb.Container) -> ContainerPaused:
    """Return the error for what needs a container that is not paused."""
    return ContainerPaused(
        f"container {described.name} is paused",
        what="container",
        which=described.name,
        do="unpause it first",
    )


def not_paused(described: pb.Container) -> FailedPrecondition:
    """Return the error for what needs a container that is paused."""
    return FailedPrecondition(
        f"container {described.name} is not paused",
        what="container",
        which=described.name,
        do="nothing is to be done",
    )


def busy(described: pb.Container) -> ContainerBusy:
    """Return the error for a container that is being created or removed, or is damaged."""
    return ContainerBusy(
        f"container {described.name} is {word(described.status)}",
        what="container",
        which=described.name,
        do="remove it, or wait until its removal is over",
    )


def gone(described: pb.Container) -> ContainerNotFound:
    """Return the error for a container that was removed while the request waited."""
    return ContainerNotFound(
        f"container {described.name} was removed meanwhile",
        what="container",
        which=described.name,
        do="see `scow ps -a` for those there are",
    )


def require_running(described: pb.Container) -> None:
    """Refuse a container that does not run, or is paused.

    Raises:
        ContainerNotRunning: It does not run.
        ContainerPaused: It is paused.
    """
    if described.status == pb.STATUS_PAUSED:
        raise paused(described)
    if described.status != pb.STATUS_RUNNING:
        raise not_running(described)
