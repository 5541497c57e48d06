"""Limits and restart policies of containers that are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1 import limits_pb2
from scow.container.model import restart_policy, states
from scow.container.model.containers import Entry
from scow.container.model.invalid import invalid
from scow.container.shared import Shared
from scow.container.spec import kernel_limits, limits
from scow.core.requests import remember

Respond = Callable[[pb.Container, list[str]], limits_pb2.UpdateResponse]
_CHANGEABLE = frozenset(
    (
        pb.STATUS_CREATED,
        pb.STATUS_RUNNING,
        pb.STATUS_PAUSED,
        pb.STATUS_EXITED,
        pb.STATUS_RESTARTING,
    )
)


class Updates:
    """Changes limits."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def update(
        self, entry: Entry, request: limits_pb2.UpdateRequest, respond: Respond
    ) -> limits_pb2.UpdateResponse:
        """Change limits in the kernel, then on record: a kill in between leaves what a retry does again.

        Args:
            entry: Which one.
            request: What is to change.
            respond: Makes the response that a repeated request gets.

        Raises:
            InvalidConfig: Limits contradict each other, the machine, or what the container has.
            KernelUnsupported: The kernel does not have one.
            ContainerBusy: It is being made or removed.
        """
        async with entry.lock:
            if entry.gone:
                raise states.gone(entry.described)
            if entry.described.status not in _CHANGEABLE:
                raise states.busy(entry.described)
            config = entry.described.config
            wanted = merged(config.resources, request.resources)
            policy, warnings = config.restart_policy, list[str]()
            if request.HasField("restart_policy"):
                policy = request.restart_policy
            restart_policy.check(policy, auto_remove=config.auto_remove)
            if wanted != config.resources:
                limits.check(wanted)
                kernel_limits.check(wanted)
                if entry.alive and entry.shim is not None:
                    warnings = await entry.shim.update(_in_force(wanted))
            with self._shared.containers.change(entry, ["update"]) as (tx, draft):
                draft.config.resources.CopyFrom(wanted)
                if request.HasField("restart_policy"):
                    draft.config.restart_policy.CopyFrom(policy)
                response = respond(draft, warnings)
                remember(tx, response)
            return response


def _in_force(resources: pb.Resources) -> dict[str, Any]:
    """Return what is to be written to the cgroup; "unlimited" too, where a new cgroup need not be told."""
    found = limits.resources_of(resources)
    if resources.pids_limit < 0:
        found["pids"] = {"limit": -1}
    return found


def merged(had: pb.Resources, changes: pb.Resources) -> pb.Resources:
    """Return limits with those that change replaced.

    Raises:
        InvalidConfig: Rules for devices are among them.
    """
    if changes.device_cgroup_rules:
        raise invalid(
            "resources.device_cgroup_rules",
            "cannot be changed",
            "make another container with them",
        )
    found = pb.Resources()
    found.CopyFrom(had)
    for field, _ in changes.ListFields():
        found.ClearField(field.name)  # type: ignore[arg-type]
        found.MergeFrom(_alone(field.name, changes))
    if changes.nano_cpus == -1:
        found.nano_cpus = 0
    return found


def _alone(name: str, resources: pb.Resources) -> pb.Resources:
    """Return limits that have one of the fields alone."""
    found = pb.Resources()
    found.CopyFrom(resources)
    for field, _ in resources.ListFields():
        if field.name != name:
            found.ClearField(field.name)  # type: ignore[arg-type]
    return found
