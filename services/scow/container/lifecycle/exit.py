"""The end of a container: its shim's exit record becomes the container's, whatever happens to the shim."""

from __future__ import annotations

import asyncio

import grpc
import structlog

from scow.api.container.v1 import container_pb2 as pb
from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.remove import Removal
from scow.container.model.containers import Entry, stamp
from scow.container.runtime import shim as shims
from scow.container.runtime.shim import Ending, Shim
from scow.container.shared import Shared
from scow.container.streams.execs import KILLED
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

    async def _watch(self, entry: Entry, shim: Shim, waiting: Waiting) -> None:
        ending = await self._exit(entry, shim, waiting)
        self.record(entry, ending)
        await self.after(entry)

    async def after(self, entry: Entry) -> None:
        """Clean up after an exit that was recorded, and remove the container where that was asked for."""
        if entry.described.config.auto_remove and not entry.restarting:
            self._shared.background.start(self._removal.remove_by_itself(entry))
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

    def record(self, entry: Entry, ending: Ending) -> None:
        """Record an exit."""
        actions = ["oom", "die"] if ending.oom_killed else ["die"]
        containers = self._shared.containers
        with containers.change(entry, actions, exitCode=str(ending.code)) as (tx, draft):
            unplug(draft)
            draft.status = pb.STATUS_EXITED
            draft.exit_code = ending.code
            draft.oom_killed = ending.oom_killed
            draft.error = ending.error
            stamp(draft, "finished_at", ending.time_ns)
            containers.store.end_execs(tx, entry.id, KILLED, ending.time_ns)
            entry.exits += 1


def unplug(draft: pb.Container) -> None:
    """Clear what is only there while a container runs."""
    for field in (
        *("pid", "netns_path", "endpoints", "ports"),
        *("resolv_conf_path", "hosts_path", "hostname_path"),
    ):
        draft.ClearField(field)
