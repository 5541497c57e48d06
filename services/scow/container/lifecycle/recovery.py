"""Recovery: after a crash of anything, each record is brought into line with what is really there.

A container that another task is busy with is left alone. What is done for each record:

- CREATING: rolled back.
- REMOVING, DEAD: the removal is finished.
- RUNNING, PAUSED and followed: it gets and loses the networks that it is to have and to lose.
- RUNNING, PAUSED without a task that follows it: its shim is asked. It lives: followed again. It is silent: followed
  too, so that its end is seen. There is no state folder: the machine was restarted, the container has ended.
- CREATED, EXITED with a state folder: a start or an end that was cut short. The process was executed: followed,
  or its end recorded. It was not: cleaned up.
- EXITED with `auto_remove`: removed.
- RESTARTING: started when that is due, once what ran before is cleaned up.

And folders of no container: what they stand for is ended, then they are deleted.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import structlog

from scow.api.container.v1 import container_pb2 as pb
from scow.api.shim.v1 import shim_pb2 as shim_pb
from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.container.lifecycle import warnings
from scow.container.lifecycle.cleanup import Cleanup
from scow.container.lifecycle.create import Creation
from scow.container.lifecycle.exit import Exits
from scow.container.lifecycle.networking import Networking
from scow.container.lifecycle.remove import Removal
from scow.container.lifecycle.start_plan import kept
from scow.container.lifecycle.transitions import Next, after_exit
from scow.container.model.containers import ALIVE, Entry
from scow.container.model.paths import discard
from scow.container.runtime import shim as shims
from scow.container.runtime.shim import Shim, exit_of
from scow.container.shared import Shared
from scow.container.streams.execs import Execs
from scow.contract.errors import ScowError
from scow.contract.shim_files import Exit
from scow.core.times import now_ns

# Of a container whose end nobody saw, as Docker has it.
_LOST = 255
_AT_ONCE = 32
_EXECS_KEPT_NS = 300 * 10**9
_DEPARTED_KEPT_NS = 24 * 3600 * 10**9
_log = structlog.get_logger()


class Recovery:
    """Brings records into line."""

    def __init__(
        self,
        shared: Shared,
        creation: Creation,
        cleanup: Cleanup,
        exits: Exits,
        removal: Removal,
        execs: Execs,
    ) -> None:
        self._shared = shared
        self._creation = creation
        self._cleanup = cleanup
        self._exits = exits
        self._removal = removal
        self._execs = execs

    async def reconcile(self) -> list[ReconcileAction]:
        """Compare all records with reality; return what was done."""
        self._shared.spawner.collect()
        now = now_ns()
        self._shared.containers.store.prune(now - _EXECS_KEPT_NS, now - _DEPARTED_KEPT_NS)
        for entry in self._shared.containers.all():
            self._shared.senders.follow(
                entry
            )  # also of those that have ended: something may be left to send
        limit = asyncio.Semaphore(_AT_ONCE)
        found = await asyncio.gather(
            *(self._one(entry, limit) for entry in self._shared.containers.all())
        )
        actions = [action for action in found if action is not None]
        return actions + await self._discard_unknown()

    async def _one(self, entry: Entry, limit: asyncio.Semaphore) -> ReconcileAction | None:
        followed = entry.watcher is not None and not entry.watcher.done()
        if entry.lock.locked() or entry.restarting or (followed and not entry.alive):
            return None
        async with limit, entry.lock:
            if entry.gone:
                return None
            try:
                done = await (self._settle if followed else self._bring_into_line)(entry)
            except ScowError as error:
                _log.warning("not reconciled yet", container=entry.id, error=str(error))
                return None
            finally:
                if entry.awaits_restart:
                    self._exits.follow_up(entry)
        if done is None:
            return None
        return ReconcileAction(object=entry.owner, action=done[0], detail=done[1])

    async def _settle(self, entry: Entry) -> tuple[str, str] | None:
        """Have the networks of a container that runs be what they are to be."""
        if entry.alive and await Networking(self._shared).settle(entry):
            return "recorded", "its networks were changed"
        return None

    async def _bring_into_line(self, entry: Entry) -> tuple[str, str] | None:
        status = entry.described.status
        if status == pb.STATUS_CREATING:
            await self._creation.rollback(entry)
            return "released", "its creation was cut short"
        if status in (pb.STATUS_REMOVING, pb.STATUS_DEAD):
            await self._removal.finish(entry)
            return "released", "its removal was cut short"
        if self._shared.paths.state(entry.id).exists():
            return await self._look(entry)
        if entry.alive:
            self._shared.transitions.ended_with_machine(entry, _lost())
            with contextlib.suppress(
                ScowError
            ):  # who needs the volumes for himself comes back to it
                await self._cleanup.unmount(entry)
            self._exits.follow_up(entry)
            return "recorded", "it ended with the machine"
        if status == pb.STATUS_EXITED and after_exit(entry) is Next.REMOVE:
            if entry.awaits_clients:
                self._exits.follow_up(entry)
                return None
            await self._removal.finish(entry, volumes=True)
            return "released", "it was to be removed after its end"
        return None

    async def _look(self, entry: Entry) -> tuple[str, str] | None:
        """Ask the shim of a container that has a state folder."""
        shim = entry.shim = self._shared.shim(entry.id)
        try:
            async with asyncio.timeout(self._shared.config.container.adopt_seconds):
                state = await shim.state()
        except (ScowError, TimeoutError):
            return await self._look_without_shim(entry, shim)
        if state.status in (shim_pb.STATUS_RUNNING, shim_pb.STATUS_PAUSED):
            await self._thaw(entry, shim, state)
            done = self._adopt(entry, shim, state)
            return await self._settle(entry) or done
        if state.status == shim_pb.STATUS_STOPPED:
            return await self._end(entry, exit_of(state.exit))
        await self._cleanup.clean_up(entry)
        if entry.alive:  # cannot be: RUNNING is recorded after the execution
            self._shared.transitions.exited(
                entry, Exit(_LOST, 0, now_ns(), error="it was never executed")
            )
        return "released", "its start was cut short"

    async def _look_without_shim(self, entry: Entry, shim: Shim) -> tuple[str, str] | None:
        state = self._shared.paths.state(entry.id)
        if shims.lives(state) and entry.alive:
            self._exits.follow(entry, shim)
            return "recorded", "its shim is silent"
        if not (state / "state.json").exists():
            await self._cleanup.clean_up(entry)
            if entry.alive:
                self._shared.transitions.ended_with_machine(entry, _lost())
            return "released", "its start was cut short"
        if not entry.alive:
            record = shims.ending(state)
            # One that was never executed is no end of a container that had ended before.
            if record is None or (entry.described.status == pb.STATUS_EXITED and record.error):
                await self._cleanup.clean_up(entry)
                return "released", "what its shim left behind"
            return await self._end(entry, record)
        ending = await self._shared.spawner.reap(state)
        return await self._end(entry, ending)

    async def _thaw(self, entry: Entry, shim: Shim, state: shim_pb.StateResponse) -> None:
        """Thaw a container that was frozen for a moment when this service died."""
        mark = self._shared.paths.thaw(entry.id)
        if not mark.exists():
            return
        if state.status == shim_pb.STATUS_PAUSED:
            await shim.resume()
            state.status = shim_pb.STATUS_RUNNING
        mark.unlink()

    def _adopt(
        self, entry: Entry, shim: Shim, state: shim_pb.StateResponse
    ) -> tuple[str, str] | None:
        paused = state.status == shim_pb.STATUS_PAUSED
        transitions, paths = self._shared.transitions, self._shared.paths
        before = entry.described.status
        if not entry.alive:
            transitions.started(
                entry,
                kept(paths, entry.id, state.pid, warnings.of_start(entry, paths.state(entry.id))),
                paused=paused,
            )
        elif paused:
            transitions.paused(entry)
        else:
            transitions.unpaused(entry)
        self._exits.follow(entry, shim)
        self._execs.follow_all(entry)
        if entry.described.status == before:
            return None
        executed = before not in ALIVE
        return "recorded", "it was executed" if executed else "its state had changed"

    async def _end(self, entry: Entry, ending: Exit) -> tuple[str, str] | None:
        """Record an end, or clean up after one that is recorded already."""
        if entry.described.status in (pb.STATUS_EXITED, pb.STATUS_RESTARTING):
            # Either this very end, or one of a start whose record was lost: the time tells.
            recorded = entry.described.finished_at.ToNanoseconds()
            if recorded < ending.time_ns:
                self._shared.transitions.exited(entry, ending)
        else:
            self._shared.transitions.exited(entry, ending)
        await self._cleanup.clean_up(entry)
        self._exits.follow_up(entry)
        return "recorded", f"it ended with exit code {ending.code}"

    async def _discard_unknown(self) -> list[ReconcileAction]:
        known = [entry.id for entry in self._shared.containers.all()]
        states, data = self._shared.paths.unknown(known)
        actions = [_released(folder) for folder in states if await self._reap_unknown(folder)]
        for folder in data:
            discard(folder)
            actions.append(_released(folder))
        return actions

    async def _reap_unknown(self, folder: Path) -> bool:
        try:
            if (folder / "state.json").exists():
                await self._shared.spawner.reap(folder, force=True)
        except ScowError as error:
            _log.warning("not reaped yet", folder=str(folder), error=str(error))
            return False
        discard(folder)
        return True


def _lost() -> Exit:
    return Exit(_LOST, 0, now_ns(), error="it ended with the machine")


def _released(folder: Path) -> ReconcileAction:
    return ReconcileAction(
        object=f"folder/{folder.name}", action="released", detail="a folder of no container"
    )
