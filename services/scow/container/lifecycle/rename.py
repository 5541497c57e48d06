"""Another name for a container.

The name is recorded first. The networks of a running container follow; what a kill leaves in between, or a network
service that does not answer, is an endpoint with the former name, which reconciliation attaches again (`settle`). In
the networks host and none, where there are no endpoints, it is listed by the former name until its next start.
"""

from __future__ import annotations

import structlog

from scow.api.container.v1 import container_pb2 as pb
from scow.container.lifecycle.networking import Networking
from scow.container.lifecycle.transitions import Respond
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.contract.errors import ScowError

_CHANGEABLE = (
    *(pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_RESTARTING),
    *(pb.STATUS_RUNNING, pb.STATUS_PAUSED),
)
_log = structlog.get_logger()


class Renames:
    """Renames containers."""

    def __init__(self, shared: Shared, networking: Networking) -> None:
        self._shared = shared
        self._networking = networking

    async def rename(self, entry: Entry, name: str, respond: Respond) -> None:
        """Give a container another name; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        async with entry.lock:
            if entry.gone:
                raise states.gone(entry.described)
            if entry.described.status not in _CHANGEABLE:
                raise states.busy(entry.described)
            self._shared.containers.rename(entry, name.removeprefix("/"), respond)
            if entry.alive:
                try:
                    await self._networking.rename(entry)
                except ScowError as error:
                    # It has its name already: reconciliation makes the rest follow.
                    _log.warning("networks have the former name", id=entry.id, error=str(error))
