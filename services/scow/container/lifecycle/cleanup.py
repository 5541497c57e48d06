"""Cleaning up after a container's processes: shim, cgroup, network, volumes, state folder.

The state folder's existence is the record that something is left to clean up; it goes last. All of it can be
done twice.
"""

from __future__ import annotations

import asyncio

import structlog

from scow.container.model.containers import Entry
from scow.container.runtime import shim as shims
from scow.container.shared import Shared
from scow.container.spec import namespaces
from scow.contract.errors import ContainerNotRunning, ScowError, ShimDied
from scow.core.tasks import together

# A shim cuts a session off after ten seconds in which its client takes nothing.
_DRAIN_SECONDS = 12.0
_SHUTDOWN_SECONDS = 20.0
_log = structlog.get_logger()


class Cleanup:
    """Cleans up."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def cleaned_up(self, entry: Entry) -> None:
        """Wait until what ran before is cleaned up, doing it if nobody does.

        Raises:
            ScowError: It cannot be done now.
        """
        watcher = entry.watcher
        if watcher is not None and watcher is not asyncio.current_task():
            await asyncio.wait([watcher])
        await self.clean_up(entry)

    async def clean_up(self, entry: Entry, *, drain: bool = True) -> None:
        """End the shim and all it runs, unplug the network, unmount volumes, delete the state folder.

        Args:
            entry: Which one.
            drain: First let sessions deliver what they have.

        Raises:
            ScowError: It cannot be done now; what is left is still recorded.
        """
        if not self._shared.paths.state(entry.id).exists():
            return
        await together(self._end_shim(entry, drain), self._detach(entry))
        entry.shim = None
        await self.unmount(entry)
        self._shared.paths.discard_state(entry.id)

    async def unmount(self, entry: Entry) -> None:
        """Have the volumes of a container that has ended taken back.

        Raises:
            ScowError: The volume service does not answer.
        """
        if any(resolved.type == "volume" for resolved in entry.volumes.mounts):
            await self._shared.volumes.deactivate(entry.owner)

    async def _end_shim(self, entry: Entry, drain: bool) -> None:
        state = self._shared.paths.state(entry.id)
        if not (state / "state.json").exists():
            return  # the spawner never came to it
        if drain:
            await entry.until(lambda: entry.sessions == 0, _DRAIN_SECONDS)
        shim = self._shared.shim(entry.id)
        try:
            if shims.ending(state) is None:
                async with asyncio.timeout(_SHUTDOWN_SECONDS):
                    await shim.shutdown()
            ended = await shim.gone(_SHUTDOWN_SECONDS)
        except (ShimDied, ContainerNotRunning):
            ended = False
        except (ScowError, TimeoutError) as error:
            _log.warning("shim ended by force", container=entry.id, error=str(error))
            ended = False
        if not ended:  # it died, cannot do it, or does not answer
            await self._shared.spawner.reap(state, force=True)
        for warning in shims.warnings(state):
            _log.warning("shim", container=entry.id, warning=warning)

    async def _detach(self, entry: Entry) -> None:
        if namespaces.network(entry.described.config).kind == "container":
            return
        await self._shared.networks.detach(entry.owner)
