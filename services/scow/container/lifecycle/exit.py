"""The end of a container: its shim's exit record becomes the container's, whatever happens to the shim."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.remove import Removal
from scow.container.lifecycle.transitions import Next, after_exit
from scow.container.model.containers import Entry
from scow.container.runtime import shim as shims
from scow.container.runtime.shim import Ending, Shim
from scow.container.shared import Shared
from scow.contract.errors import ScowError

Waiting = grpc.aio.UnaryUnaryCall[shim_pb.WaitRequest, shim_pb.WaitResponse]

_PAUSE_MIN = 0.05
_PAUSE_MAX = 5.0
_log = structlog.get_logger()


class Exits:
    """Follows containers to their end."""

    def __init__(self, shared: Shared, cleanup: Cleanup, removal: Removal) -> None:
        self._shared = shared
        self._cleanup = cleanup
        self._removal = removal

    def follow(self, entry: Entry, shim: Shim, waiting: Waiting | None = None) -> None:
        """Follow a running container in the background.

        Args:
            entry: Which one.
            shim: Its shim.
            waiting: A Wait call under way.
        """
        waiting = waiting or shim.stub.Wait(shim_pb.WaitRequest())
        entry.watcher = self._shared.background.start(self._watch(entry, shim, waiting))

    def follow_up(self, entry: Entry) -> None:
        """Begin what an exit leads to, in the background: it needs the lock, which the caller may have."""
        if after_exit(entry) is Next.REMOVE:
            self._shared.background.start(self._removal.remove_by_itself(entry))

    async def _watch(self, entry: Entry, shim: Shim, waiting: Waiting) -> None:
        ending = await self._exit(entry, shim, waiting)
        self._shared.transitions.exited(entry, ending)
        self.follow_up(entry)
        try:
            await self._cleanup.clean_up(entry)
        except ScowError as error:
            # The state folder stays: start, remove and reconcile come back to it.
            _log.warning("not cleaned up yet", container=entry.id, error=str(error))

    async def _exit(self, entry: Entry, shim: Shim, waiting: Waiting) -> Ending:
        """Return the exit record: from the shim, or from what it left behind when it died."""
        state = self._shared.paths.state(entry.id)
        pause = _PAUSE_MIN
        while True:
            try:
                return Ending.of_message((await waiting).exit)
            except grpc.aio.AioRpcError as error:
                _log.warning("shim lost", container=entry.id, error=error.details())
            if not shims.lives(state):
                try:
                    return Ending.of_file(await self._shared.spawner.reap(state))
                except ScowError as error:
                    _log.warning("not reaped yet", container=entry.id, error=str(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, _PAUSE_MAX)
            waiting = shim.stub.Wait(shim_pb.WaitRequest())
