"""The end of a container: its shim's exit record becomes the container's, whatever happens to the shim."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from scow.container.health.monitors import Monitors
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.transitions import Next, after_exit
from scow.container.model.containers import Entry
from scow.container.runtime.shim import Shim
from scow.container.shared import Shared
from scow.contract.errors import ScowError
from scow.contract.shim_files import Exit

_PAUSE_MIN = 0.05
_PAUSE_MAX = 5.0
_log = structlog.get_logger()


class Exits:
    """Follows containers to their end.

    Args:
        shared: What all parts share.
        cleanup: Cleans up after them.
        monitors: Check whether they are well.
        follow_ups: Begin what an exit leads to.
    """

    def __init__(
        self,
        shared: Shared,
        cleanup: Cleanup,
        monitors: Monitors,
        follow_ups: Mapping[Next, Callable[[Entry], None]],
    ) -> None:
        self._shared = shared
        self._cleanup = cleanup
        self._monitors = monitors
        self._follow_ups = follow_ups

    def follow(self, entry: Entry, shim: Shim) -> None:
        """Follow a running container in the background."""
        entry.watcher = self._shared.background.start(self._watch(entry, shim))
        self._shared.senders.follow(entry)

    def follow_up(self, entry: Entry) -> None:
        """Begin what an exit leads to, in the background: it needs the lock, which the caller may have."""
        follow_up = self._follow_ups.get(after_exit(entry))
        if follow_up is not None:
            follow_up(entry)

    async def _watch(self, entry: Entry, shim: Shim) -> None:
        monitor = self._shared.background.start(self._monitors.watch(entry, shim))
        try:
            ending = await self._exit(entry, shim)
        finally:
            monitor.cancel()
        self._shared.transitions.exited(entry, ending)
        self.follow_up(entry)
        try:
            await self._cleanup.clean_up(entry)
        except ScowError as error:
            # The state folder stays: start, remove and reconcile come back to it.
            _log.warning("not cleaned up yet", container=entry.id, error=str(error))

    async def _exit(self, entry: Entry, shim: Shim) -> Exit:
        """Return the exit record, made from what the shim left behind when it died."""
        ending = await shim.ended()
        pause = _PAUSE_MIN
        while ending is None:
            _log.warning("shim lost", container=entry.id)
            try:
                state = self._shared.paths.state(entry.id)
                ending = await self._shared.spawner.reap(state)
            except ScowError as error:
                _log.warning("not reaped yet", container=entry.id, error=str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _PAUSE_MAX)
        return ending
