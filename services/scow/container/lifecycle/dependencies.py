"""Dependencies: a container that is started waits for those that it depends on; it starts none of them.

Docker has nothing like it; compose has the conditions. Since every start waits, also those of the restart policy and of
the machine's start, containers come up in an order that their dependencies allow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import Dependency
from scow.container.health import state
from scow.container.model.containers import Containers, Entry
from scow.container.model.invalid import invalid
from scow.contract.errors import ContainerNotFound, DependencyNotReady

_MOST = 64

_READY: dict[str, Callable[[Entry], bool]] = {
    "started": lambda entry: entry.alive,
    "healthy": lambda entry: entry.alive and entry.described.health.status == state.HEALTHY,
    "completed": lambda entry: _ended(entry) and entry.described.exit_code == 0,
}
CONDITIONS = tuple(_READY)


def resolve(config: pb.ContainerConfig, name: str, containers: Containers) -> None:
    """Replace ids of the containers that one depends on by their names, and refuse what can never be met.

    Args:
        config: Its configuration; changed in place.
        name: Its name, or an empty text.
        containers: All that there are.

    Raises:
        ContainerNotFound: There is no such container.
        InvalidConfig: An unknown condition; the containers wait for each other.
    """
    if len(config.depends_on) > _MOST:
        raise invalid("depends_on", f"has {len(config.depends_on)} entries", f"use at most {_MOST}")
    for each in config.depends_on:
        if each.condition and each.condition not in _READY:
            raise invalid(
                "depends_on",
                f"has the condition {each.condition!r}",
                f"use one of {', '.join(CONDITIONS)}",
            )
        each.container = containers.find(each.container).described.name
    if name and name in _reached(config.depends_on, containers):
        raise invalid(
            "depends_on",
            f"leads back to {name}",
            "let one of the containers not wait for the other",
        )


def _reached(first: Iterable[Dependency], containers: Containers) -> set[str]:
    """Return the names of all containers that some depend on, over any number of steps."""
    found: set[str] = set()
    pending = [each.container for each in first]
    while pending:
        name = pending.pop()
        if name in found:
            continue
        found.add(name)
        try:
            config = containers.find(name).described.config
        except ContainerNotFound:  # removed since
            continue
        pending += [each.container for each in config.depends_on]
    return found


class Dependencies:
    """Waits for what containers depend on.

    Args:
        containers: All.
        seconds: For which a start waits, for all of its dependencies together.
    """

    def __init__(self, containers: Containers, seconds: float) -> None:
        self._containers = containers
        self._seconds = seconds

    async def ready(self, entry: Entry) -> None:
        """Wait until a container may be started.

        Raises:
            DependencyNotReady: One does not get ready in time, cannot, or was removed.
        """
        deadline = asyncio.get_running_loop().time() + self._seconds
        for each in entry.described.config.depends_on:
            await self._wait(entry, each, deadline)

    async def _wait(self, entry: Entry, dependency: Dependency, deadline: float) -> None:
        condition = dependency.condition or "started"
        try:
            other = self._containers.find(dependency.container)
        except ContainerNotFound as error:
            raise _not_ready(entry, dependency, "there is no such container") from error
        met = _READY[condition]
        left = max(0.0, deadline - asyncio.get_running_loop().time())
        await other.until(lambda: met(other) or _hopeless(other, condition), left)
        if met(other):
            return
        if other.gone:
            raise _not_ready(entry, dependency, "it was removed")
        if condition == "completed" and _ended(other):
            code = other.described.exit_code
            raise _not_ready(entry, dependency, f"it has ended with exit code {code}")
        if condition == "healthy" and other.alive and not other.described.health.status:
            raise _not_ready(entry, dependency, "nothing of it is checked")
        late = f"it is not {condition} after {self._seconds:g} seconds"
        raise _not_ready(entry, dependency, late)


def _ended(entry: Entry) -> bool:
    return entry.described.status == pb.STATUS_EXITED


def _hopeless(entry: Entry, condition: str) -> bool:
    """Tell whether nothing is to be waited for any more."""
    unchecked = condition == "healthy" and entry.alive and not entry.described.health.status
    return entry.gone or unchecked or (condition == "completed" and _ended(entry))


def _not_ready(entry: Entry, dependency: Dependency, why: str) -> DependencyNotReady:
    return DependencyNotReady(
        f"container {entry.described.name} depends on {dependency.container}: {why}",
        what="container",
        which=dependency.container,
        do=f"start it first: scow start {dependency.container}",
        condition=dependency.condition or "started",
    )
