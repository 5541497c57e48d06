"""Signals to a running container: kill, stop, pause, unpause."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator

from scow.api.container.v1 import container_pb2 as pb
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.container.spec import signal_names
from scow.contract.errors import ContainerNotRunning, DeadlineExceeded, ShimDied
from scow.core.requests import remember
from scow.core.tasks import completed

_GRACE_SECONDS = 10
# For processes in uninterruptible sleep; SIGKILL takes effect once the kernel lets go of them.
_KILL_SECONDS = 30.0


class Signals:
    """Sends signals."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def kill(self, entry: Entry, text: str) -> None:
        """Send a signal; an empty text means SIGKILL, whose effect is waited for, as with Docker.

        Raises:
            ContainerNotRunning: It does not run.
        """
        number = signal_names.parse(text or "KILL")
        if await self._gave_up(entry, "kill", number):
            with self._shared.containers.change(entry, ["kill"], signal=str(number)) as (tx, _):
                remember(tx)
            return
        if not entry.alive:
            raise states.not_running(entry.described)
        stops, exits = _asks_to_stop(entry, number), entry.exits
        self._shared.transitions.end_asked(entry, "kill", number, stops=stops)
        await self._send(entry, number)
        if number == signal.SIGKILL:
            await entry.until(lambda: entry.exits > exits or not entry.alive, _KILL_SECONDS)
        if not entry.gone:  # that was its end, and its removal followed
            with self._shared.containers.change(entry) as (tx, _):
                remember(tx)

    async def _gave_up(self, entry: Entry, action: str, number: int) -> bool:
        """Have a container that was to be restarted stay as it is; return False for any other."""
        if not entry.awaits_restart:
            return False
        async with entry.lock:  # a restart that has begun comes first
            if not entry.awaits_restart:
                return False
            self._shared.transitions.given_up(entry, action, number)
        return True

    async def stop(
        self,
        entry: Entry,
        grace: int | None,
        text: str,
        *,
        action: str = "stop",
        stops: bool = True,
    ) -> None:
        """Send the stop signal, wait, then kill; without effect on a container that does not run.

        Args:
            entry: Which one.
            grace: Seconds before SIGKILL; None means the container's own, -1 means never.
            text: The signal; empty means the container's own.
            action: Why: "stop", "restart", or "health".
            stops: Its restart policy does not start it again.
        """
        number = signal_names.parse(text or entry.described.stop_signal)
        if not await self._gave_up(entry, action, number):
            if not entry.alive:
                return
            await self._stop(entry, grace, number, action, stops)
        if not entry.gone:
            with self._shared.containers.change(entry, ["stop"]):
                pass

    async def _stop(
        self, entry: Entry, grace: int | None, number: int, action: str, stops: bool
    ) -> None:
        config = entry.described.config
        if grace is None:
            grace = config.stop_timeout if config.HasField("stop_timeout") else _GRACE_SECONDS
        exits = entry.exits
        self._shared.transitions.end_asked(entry, action, number, stops=stops)
        await self._try(entry, number)
        ended = await entry.until(
            lambda: entry.exits > exits or not entry.alive, None if grace < 0 else grace
        )
        if not ended:
            self._tell_kill(entry, signal.SIGKILL)
            await self.end(entry)

    def _tell_kill(self, entry: Entry, number: int) -> None:
        """Write the event of a signal."""
        with self._shared.containers.change(entry, ["kill"], signal=str(int(number))):
            pass

    async def end(self, entry: Entry) -> None:
        """Kill a container and wait until its end is recorded.

        Raises:
            DeadlineExceeded: Its processes do not die.
        """
        exits = entry.exits
        await self._try(entry, signal.SIGKILL)
        if not await entry.until(lambda: entry.exits > exits or not entry.alive, _KILL_SECONDS):
            raise DeadlineExceeded(
                f"processes of container {entry.described.name} do not die",
                what="container",
                which=entry.described.name,
                do="see which file system or device they wait for: ps -o wchan",
            )

    async def _try(self, entry: Entry, number: int) -> None:
        """Send a signal to a container that may end meanwhile."""
        try:
            await self._send(entry, number)
        except (ContainerNotRunning, ShimDied):
            return  # its end is recorded within a moment

    async def _send(self, entry: Entry, number: int) -> None:
        shim = entry.shim
        if shim is None:
            raise states.not_running(entry.described)
        await shim.kill(number)
        if entry.described.status == pb.STATUS_PAUSED:
            # A frozen process handles no signal.
            await shim.resume()
            self._shared.transitions.unpaused(entry)

    async def pause(self, entry: Entry) -> None:
        """Freeze every process.

        Raises:
            ContainerNotRunning: It does not run.
            ContainerPaused: It is paused already.
        """
        async with entry.lock:
            states.require_running(entry.described)
            assert entry.shim is not None
            await entry.shim.pause()
            self._shared.transitions.paused(entry)

    async def unpause(self, entry: Entry) -> None:
        """Thaw every process.

        Raises:
            ContainerNotRunning: It does not run.
            FailedPrecondition: It is not paused.
        """
        async with entry.lock:
            if not entry.alive:
                raise states.not_running(entry.described)
            if entry.described.status != pb.STATUS_PAUSED:
                raise states.not_paused(entry.described)
            assert entry.shim is not None
            await entry.shim.resume()
            self._shared.transitions.unpaused(entry)

    @contextlib.asynccontextmanager
    async def frozen(self, entry: Entry) -> AsyncIterator[None]:
        """Freeze a container that runs for the length of the block, and thaw it whatever happens.

        The caller holds the lock. One that is paused, or does not run, is left as it is. When this service dies
        meanwhile, `recovery` thaws.
        """
        if entry.described.status != pb.STATUS_RUNNING:
            yield
            return
        try:
            await completed(self._freeze(entry))
            yield
        finally:
            await completed(self._thaw(entry))

    async def _freeze(self, entry: Entry) -> None:
        assert entry.shim is not None
        self._shared.paths.thaw(entry.id).touch()
        try:
            await entry.shim.pause()
        except (ContainerNotRunning, ShimDied):
            return  # its end is recorded within a moment
        self._shared.transitions.paused(entry)

    async def _thaw(self, entry: Entry) -> None:
        if entry.described.status == pb.STATUS_PAUSED and entry.shim is not None:
            with contextlib.suppress(ContainerNotRunning, ShimDied):
                await entry.shim.resume()
            self._shared.transitions.unpaused(entry)
        self._shared.paths.thaw(entry.id).unlink(missing_ok=True)


def _asks_to_stop(entry: Entry, number: int) -> bool:
    """Tell whether a signal asks a container to end.

    Docker takes any signal for that where the container names no stop signal, so that `kill -s HUP`, which has a
    server read its configuration, turns its restart policy off. Here it is the stop signal, named or not, and SIGKILL.
    """
    return number in (signal.SIGKILL, signal_names.parse(entry.described.stop_signal))
