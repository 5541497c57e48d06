"""A container's published ports, changed while it exists.

`Container.config.ports` is what is wanted at each start, `Container.ports` what is published now. Of a running
container the network service changes first, and both are recorded together: what a kill leaves in between is published
and not recorded, and the same request again finds it as it is to be.
"""

from __future__ import annotations

from collections.abc import Sequence

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.lifecycle.transitions import Respond
from scow.container.model import states
from scow.container.model.containers import Entry
from scow.container.model.validation import check_ports
from scow.container.shared import Shared
from scow.container.spec import namespaces
from scow.contract.errors import FailedPrecondition, PortNotPublished
from scow.core.requests import remember

_CHANGEABLE = (
    *(pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_RESTARTING),
    *(pb.STATUS_RUNNING, pb.STATUS_PAUSED),
)


class Ports:
    """Publishes ports of containers, and takes them back."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def publish(self, entry: Entry, ports: Sequence[PortMapping], respond: Respond) -> None:
        """Publish further ports; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        check_ports(ports)
        async with entry.lock:
            self._check_changeable(entry)
            published = (
                await self._shared.networks.publish(entry.owner, ports) if entry.alive else []
            )
            with self._shared.containers.change(entry) as (tx, draft):
                draft.config.ports.extend(p for p in ports if p not in draft.config.ports)
                _set(draft, published)
                remember(tx, respond(draft))

    async def unpublish(self, entry: Entry, ports: Sequence[PortMapping], respond: Respond) -> None:
        """Take published ports back; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        check_ports(ports)
        async with entry.lock:
            self._check_changeable(entry)
            if not entry.alive:
                _check_wanted(entry.described, ports)
            published = (
                await self._shared.networks.unpublish(entry.owner, ports) if entry.alive else []
            )
            with self._shared.containers.change(entry) as (tx, draft):
                kept = [p for p in draft.config.ports if not any(_is(p, gone) for gone in ports)]
                del draft.config.ports[:]
                draft.config.ports.extend(kept)
                _set(draft, published)
                remember(tx, respond(draft))

    def _check_changeable(self, entry: Entry) -> None:
        described = entry.described
        if entry.gone:
            raise states.gone(described)
        if described.status not in _CHANGEABLE:
            raise states.busy(described)
        if namespaces.network(described.config).kind != "network":
            raise FailedPrecondition(
                "ports of a container without networks of its own cannot be published",
                what="container",
                which=described.name,
                do="create it with a network of the driver bridge",
            )


def _set(draft: pb.Container, published: Sequence[PortMapping]) -> None:
    del draft.ports[:]
    draft.ports.extend(published)


def _is(port: PortMapping, named: PortMapping) -> bool:
    """Tell whether a port of the configuration is one that is named, perhaps without host port or address."""
    return (
        port.container_port == named.container_port
        and (port.protocol or "tcp") == (named.protocol or "tcp")
        and (port.count or 1) == (named.count or 1)
        and named.host_port in (0, port.host_port)
        and named.host_ip in ("", port.host_ip)
    )


def _check_wanted(described: pb.Container, ports: Sequence[PortMapping]) -> None:
    for named in ports:
        if not any(_is(port, named) for port in described.config.ports):
            raise PortNotPublished(
                f"the port {named.container_port}/{named.protocol or 'tcp'} is not published like that",
                what="port",
                which=f"{named.container_port}/{named.protocol or 'tcp'}",
                do="see what is to be published with 'scow inspect'; a range is given as a whole",
            )
