"""Questions about containers. None of them waits for a container that is busy, but Wait."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scow.api.container.v1 import container_pb2 as pb
from scow.container.health.state import HEALTHY
from scow.container.logs import about, options
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.query import filters as listing
from scow.container.shared import Shared
from scow.container.spec import kernel_limits
from scow.contract.errors import ContainerNotFound, FailedPrecondition
from scow.core import filters as filter_rules
from scow.core.paging import descending, message_size, page
from scow.core.times import from_proto

_OWNER = "container/"


class Queries:
    """Answers questions."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get(self, request: pb.GetRequest) -> pb.GetResponse:
        """Describe one container, and count its bytes where that is asked for."""
        entry = self._shared.containers.find(request.container)
        response = pb.GetResponse(container=entry.described)
        response.container.exec_ids.extend(self._shared.containers.store.running_execs(entry.id))
        if request.limits and entry.alive:
            limits = kernel_limits.of_container(
                self._shared.paths.state(entry.id), entry.described.config, entry.described.pid
            )
            response.container.kernel_limits.update(limits)
        if entry.alive and entry.health.log:
            response.container.health.CopyFrom(entry.health)
        if entry.described.config.log.driver in options.REMOTE:
            response.container.log_state.CopyFrom(self._shared.senders.state(entry))
        told = about.details(entry.described, entry.described.config.log.options)
        response.container.log_attributes.update(told)
        if request.size:
            images = self._shared.images
            response.size_rw = response.size_root_fs = await images.usage(entry.owner)
            image = await images.find(entry.described.image_id)
            if image is not None:
                response.size_root_fs += image.size
        return response

    async def list(self, request: pb.ListRequest) -> pb.ListResponse:
        """Describe those that meet the filters."""
        wanted = filter_rules.parse(request.filters, listing.ALLOWED)
        ancestors = await self._ancestors(wanted.get("ancestor", []))
        chosen = listing.select(
            [entry.described for entry in self._shared.containers.all()],
            wanted,
            show_all=request.all,
            ancestors=ancestors,
        )
        items, token = page(
            chosen, request.page_size, request.page_token, key=_key, size=message_size
        )
        return pb.ListResponse(containers=items, next_page_token=token)

    async def _ancestors(self, images: Sequence[str]) -> frozenset[str]:
        """Return the ids of images."""
        found = [await self._shared.images.find(image) for image in images]
        return frozenset(image.id for image in found if image is not None)

    async def wait(self, request: pb.WaitRequest) -> pb.WaitResponse:
        """Answer when the condition is met."""
        try:
            entry = self._shared.containers.find(request.container)
        except ContainerNotFound:
            departed = self._shared.containers.store.departed(request.container)
            if departed is None:
                raise
            return departed
        return await _outcome(entry, request.condition)

    def check_owners(self, request: pb.CheckOwnersRequest) -> pb.CheckOwnersResponse:
        """Tell which owners are unknown here; those that are not containers are nobody's either."""
        return pb.CheckOwnersResponse(
            unknown=[
                owner
                for owner in request.owners
                if not owner.startswith(_OWNER)
                # What a container holds several of has a name behind its own: container/<id>/image/0.
                or not self._shared.containers.knows(owner.removeprefix(_OWNER).partition("/")[0])
            ]
        )


def _is_healthy(entry: Entry) -> bool:
    return entry.alive and entry.described.health.status == HEALTHY


# Conditions that containers meet while they are there.
_MET: dict[int, Callable[[Entry], bool]] = {
    pb.WAIT_CONDITION_CREATED: lambda entry: entry.described.status != pb.STATUS_CREATING,
    pb.WAIT_CONDITION_RUNNING: lambda entry: entry.alive,
    pb.WAIT_CONDITION_HEALTHY: _is_healthy,
}


async def _outcome(entry: Entry, condition: pb.WaitCondition.ValueType) -> pb.WaitResponse:
    if condition == pb.WAIT_CONDITION_REMOVED:
        await entry.until(lambda: entry.gone)
        return entry.outcome()
    if condition in _MET:
        if condition == pb.WAIT_CONDITION_HEALTHY and not entry.described.HasField("health_check"):
            raise FailedPrecondition(
                f"container {entry.described.name} has no health checks",
                what="container",
                which=entry.described.name,
                do="wait until it runs, or make it with checks",
            )
        await entry.until(lambda: entry.gone or _MET[condition](entry))
        if entry.gone:
            raise states.gone(entry.described)
        return entry.outcome()
    next_exit = condition == pb.WAIT_CONDITION_NEXT_EXIT
    exits = entry.exits
    # One that is to be restarted is as good as running, as Docker sees it.
    await entry.until(
        lambda: (
            entry.exits > exits
            or entry.gone
            or not (next_exit or entry.alive or entry.awaits_restart)
        )
    )
    return entry.outcome()


def _key(container: pb.Container) -> str:
    return descending(from_proto(container.created_at), container.id)
