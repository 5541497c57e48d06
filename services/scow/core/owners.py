"""Owners: whatever one service holds for another carries the owner, "container/<id>".

The container service records a container before it asks anyone to hold something for it. So an owner that
it does not know is gone for good, and what is held for it can be released.
"""

from __future__ import annotations

from collections.abc import Collection

import structlog

from scow.api.container.v1 import container_pb2
from scow.contract.errors import ContainerNotFound, ScowError
from scow.core.peers import Peers, translated

_log = structlog.get_logger()
_RUNNING = (container_pb2.STATUS_RUNNING, container_pb2.STATUS_PAUSED)


async def unknown_owners(peers: Peers, owners: Collection[str]) -> set[str]:
    """Return which owners are gone; none when the container service cannot be asked.

    Args:
        peers: The other services.
        owners: What to ask for. Read it from the store before this call, never after.
    """
    if not owners:
        return set()
    request = container_pb2.CheckOwnersRequest(owners=sorted(owners))
    try:
        with translated("container"):
            response = await peers.container.CheckOwners(request, timeout=5)
    except ScowError as error:
        _log.info("owners not checked", error=str(error))
        return set()
    return set(response.unknown)


async def running_owners(peers: Peers, owners: Collection[str]) -> set[str]:
    """Return which owners are containers that run, or may do so because the container service cannot be asked.

    Args:
        peers: The other services.
        owners: "container/<id>" each.
    """
    running = set()
    for owner in owners:
        request = container_pb2.GetRequest(container=owner.removeprefix("container/"))
        try:
            with translated("container"):
                response = await peers.container.Get(request, timeout=5)
        except ContainerNotFound:
            continue
        except ScowError as error:
            _log.info("owner not asked for", owner=owner, error=str(error))
            running.add(owner)
            continue
        if response.container.status in _RUNNING:
            running.add(owner)
    return running
