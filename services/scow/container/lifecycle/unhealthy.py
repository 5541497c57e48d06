"""What is done with a container that is unhealthy, by the names of `HealthCheck.action`."""

from __future__ import annotations

import signal

from scow.container.health.monitors import Act
from scow.container.lifecycle.kill import Signals
from scow.container.lifecycle.restart import Restarts
from scow.container.model.containers import Entry
from scow.container.shared import Shared

_ASKED = "health"


def actions(shared: Shared, signals: Signals, restarts: Restarts) -> dict[str, Act]:
    """Return them.

    "restart" starts it again whatever its restart policy; after "kill" that decides; after "stop" it stays ended.
    """

    async def restart(entry: Entry) -> None:
        await restarts.restart(entry, None, "", action=_ASKED)

    async def stop(entry: Entry) -> None:
        await signals.stop(entry, None, "", action=_ASKED)

    async def kill(entry: Entry) -> None:
        if entry.alive:
            shared.transitions.end_asked(entry, _ASKED, signal.SIGKILL, stops=False)
            await signals.end(entry)

    return {"restart": restart, "stop": stop, "kill": kill}
