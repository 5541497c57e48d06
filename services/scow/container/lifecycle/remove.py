"""Removal: everything is given back, then the record goes."""

from __future__ import annotations

import signal

import structlog

from scow.api.container.v1 import container_pb2 as pb
from scow.container.lifecycle import image_mounts
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.kill import Signals
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import ScowError
from scow.core.requests import remember
from scow.core.tasks import together

_log = structlog.get_logger()


class Removal:
    """Removes containers."""

    def __init__(self, shared: Shared, cleanup: Cleanup, signals: Signals) -> None:
        self._shared = shared
        self._cleanup = cleanup
        self._signals = signals

    async def remove(self, entry: Entry, *, force: bool, volumes: bool) -> None:
        """Remove a container. One that another call removed meanwhile is not an error.

        Raises:
            ContainerRunning: It runs, and `force` is not set.
            ScowError: Something cannot be given back now; the container is DEAD and can be removed again.
        """
        while not entry.gone:
            if entry.awaits_restart and not force:
                raise states.restarting(entry.described)
            if entry.alive:
                if not force:
                    raise states.running(entry.described)
                self._shared.transitions.end_asked(entry, "remove", signal.SIGKILL, stops=True)
                await self._signals.end(entry)
            async with entry.lock:
                if not (entry.gone or entry.alive):
                    await self.finish(entry, volumes=volumes)

    def begin(self, entry: Entry) -> None:
        """Remove a container with `auto_remove` after its end, in the background."""
        self._shared.background.start(self.remove_by_itself(entry))

    async def remove_by_itself(self, entry: Entry) -> None:
        """Remove a container with `auto_remove` after its end; what fails is tried again by `recovery`."""
        await entry.let_clients_return()
        try:
            await self.remove(entry, force=False, volumes=True)
        except ScowError as error:
            _log.warning("not removed yet", container=entry.id, error=str(error))

    async def finish(self, entry: Entry, *, volumes: bool = False) -> None:
        """Give everything back and forget the container. The caller holds the lock."""
        containers = self._shared.containers
        with containers.change(entry) as (tx, draft):
            draft.status = pb.STATUS_REMOVING
            if volumes:
                containers.store.remove_volumes(tx, entry.id)
        entry.remove_volumes = entry.remove_volumes or volumes
        try:
            await together(
                self._give_back(entry),
                self._shared.images.release(entry.owner),
                image_mounts.release(self._shared.images, entry),
            )
        except ScowError as error:
            with containers.change(entry) as (_, draft):
                draft.status = pb.STATUS_DEAD
                draft.error = str(error)
            raise
        await self._shared.senders.drained(entry)
        self._shared.paths.discard_data(entry.id)
        with containers.store.store.transaction() as tx:
            containers.forget(tx, entry, created=True)
            remember(tx)
        containers.forgotten(entry)

    async def _give_back(self, entry: Entry) -> None:
        """Clean up, then release volumes: nothing may have them mounted any more."""
        await self._cleanup.cleaned_up(entry)
        if entry.volumes.mounts:
            await self._shared.volumes.release(entry.owner, remove_anonymous=entry.remove_volumes)
