"""Restart: stop, then start, as one request."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.container.lifecycle.exit import Exits
from scow.container.lifecycle.kill import Signals
from scow.container.lifecycle.start import Starter
from scow.container.model.containers import Entry
from scow.container.shared import Shared


class Restarts:
    """Restarts containers."""

    def __init__(self, shared: Shared, signals: Signals, starter: Starter, exits: Exits) -> None:
        self._shared = shared
        self._signals = signals
        self._starter = starter
        self._exits = exits

    async def restart(
        self, entry: Entry, grace: int | None, signal: str, *, action: str = "restart"
    ) -> None:
        """Stop a container, with `auto_remove` without removing it, and start it again.

        Args:
            entry: Which one.
            grace: Seconds before SIGKILL, as in `Signals.stop`.
            signal: The signal; empty means the container's own.
            action: Why: "restart" or "health".
        """
        entry.restarting = True
        try:
            await self._signals.stop(entry, grace, signal, action=action, stops=False)
            await self._starter.start(entry, respond=_response)
        finally:
            entry.restarting = False
            self._exits.follow_up(entry)
        if not entry.gone:
            with self._shared.containers.change(entry, ["restart"]):
                pass


def _response(container: pb.Container) -> pb.RestartResponse:
    return pb.RestartResponse(container=container)
