"""Supervision: containers that their restart policy starts again, when that is due.

What is due is on record (`Container.restart`), so that a service that was killed goes on where it was: recovery hands
each container that waits to `begin`. After the machine was started, `boot` has those start that were to.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from scow.container.lifecycle.start import Starter
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import ScowError
from scow.core.times import now_ns

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = structlog.get_logger()


class Supervision:
    """Starts containers again."""

    def __init__(self, shared: Shared, starter: Starter) -> None:
        self._shared = shared
        self._starter = starter

    def boot(self) -> None:
        """Mark what is to be started, if the machine was started since this service ran last.

        Nothing is awaited, so that no user can come between. Killed before the end, it is done again.
        """
        boot_id = _BOOT_ID.read_text().strip()
        store = self._shared.containers.store
        if store.boot_id() == boot_id:
            return
        for entry in self._shared.containers.all():
            self._shared.transitions.boot(entry)
        store.set_boot_id(boot_id)

    def begin(self, entry: Entry) -> None:
        """Start a container when that is due, in the background."""
        if entry.restarter is None or entry.restarter.done():
            entry.restarter = self._shared.background.start(self._restart(entry))

    async def _restart(self, entry: Entry) -> None:
        while entry.awaits_restart and not entry.gone:
            due = entry.described.restart.due_at
            if not await self._is_due(entry):
                continue
            try:
                await self._starter.start(entry, automatic=True)
            except ScowError as error:
                _log.warning("not restarted", container=entry.id, error=str(error))
                # What was recorded has another time; what failed before it came to that, has not.
                if entry.awaits_restart and entry.described.restart.due_at == due:
                    self._shared.transitions.not_started(entry, error)

    async def _is_due(self, entry: Entry) -> bool:
        """Wait until a container is to be started; return False when that has changed."""
        state = entry.described.restart
        left = state.due_at.ToNanoseconds() - now_ns()
        # The record has the time of the day, which may be set back meanwhile: a pause is never twice as long.
        seconds = max(0, min(left, 2 * state.delay)) / 1e9
        changed = await entry.until(
            lambda: (
                entry.gone
                or not entry.awaits_restart
                or entry.described.restart.due_at != state.due_at
            ),
            seconds,
        )
        return not changed
