"""A container's networks: plugged in at the start, changed while it runs.

`Container.networks` is what is wanted ("none" alone after the last one was left), `Container.endpoints` what is there.
Connecting and disconnecting change what is wanted, then `settle` makes the rest follow; reconciliation calls it too, so
that neither a kill in between nor a network service that is away leaves anything half done.
"""

from __future__ import annotations

from collections.abc import Mapping

from scow.api.container.v1 import container_pb2 as pb
from scow.api.network.v1 import network_pb2
from scow.container.lifecycle.links import Links
from scow.container.lifecycle.transitions import Respond
from scow.container.model import attachments, states
from scow.container.model.containers import Entry
from scow.container.shared import Shared
from scow.container.spec import namespaces, process
from scow.contract.errors import (
    EndpointExists,
    FailedPrecondition,
    NetworkNotFound,
    NotConnected,
    ScowError,
)
from scow.core.requests import remember

# Options of an endpoint: what it may get and send.
_RATE_IN, _RATE_OUT = "scow.network.rate_in", "scow.network.rate_out"
_CHANGEABLE = (
    *(pb.STATUS_CREATED, pb.STATUS_EXITED, pb.STATUS_RESTARTING),
    *(pb.STATUS_RUNNING, pb.STATUS_PAUSED),
)


class Networking:
    """Plugs containers into networks."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def plug(self, entry: Entry, netns: str) -> pb.Container:
        """Plug a container that is about to run into all its networks.

        Returns:
            A container with the fields that say how, and no others.
        """
        found = pb.Container()
        for attachment in _attachments(entry):
            request = self._request(entry, attachment, netns)
            _add(found, entry.described.name, await self._shared.networks.attach(request))
        return found

    def _request(
        self, entry: Entry, attachment: pb.NetworkAttachment, netns: str
    ) -> network_pb2.AttachRequest:
        described, config = entry.described, entry.described.config
        mode = namespaces.network(config).kind
        own = mode == "network"
        links = Links(self._shared.containers, entry)
        return network_pb2.AttachRequest(
            owner=entry.owner,
            network=attachment.network,
            netns_path="" if mode == "host" else netns,
            hostname=described.hostname,
            domainname=config.domainname,
            ports=process.ports(described) if own else (),
            dns=config.dns,
            dns_search=config.dns_search,
            dns_options=config.dns_options,
            extra_hosts=[*config.extra_hosts, *links.hosts()],
            links=links.names(),
            mac_address=attachment.mac_address,
            ipv4_address=attachment.ipv4_address,
            ipv6_address=attachment.ipv6_address,
            link_local_ips=attachment.link_local_ips,
            driver_opts=attachment.driver_opts,
            gw_priority=attachment.gw_priority,
            aliases=attachment.aliases,
            name=described.name,
        )

    async def connect(self, entry: Entry, wanted: pb.NetworkAttachment, respond: Respond) -> None:
        """Put a container into a further network; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        async with entry.lock:
            self._check_changeable(entry)
            attachments.check_one(wanted)
            network = await self._shared.networks.find(wanted.network)
            if any(each.network == network.name for each in entry.described.networks):
                raise EndpointExists(
                    f"endpoint with name {entry.described.name} already exists in network {network.name}",
                    what="container",
                    which=entry.described.name,
                    do="disconnect it first to change how it is connected",
                )
            if network.driver in ("host", "null"):
                raise _not_by_others(network.name)
            with self._shared.containers.change(entry) as (tx, draft):
                _drop(draft, "none")
                made = draft.networks.add()
                made.CopyFrom(wanted)
                made.network = network.name
                if not entry.alive:
                    remember(tx, respond(draft))
            if entry.alive:
                await self._plug_live(entry, network.name, respond)

    async def _plug_live(self, entry: Entry, network: str, respond: Respond) -> None:
        try:
            await self.settle(entry, respond)
        except ScowError:
            changed = pb.Container(ports=entry.described.ports)
            undone = await self._is_unplugged(entry, network, changed)
            with self._shared.containers.change(entry) as (_, draft):
                _leave(draft, network)
                del draft.ports[:]
                draft.ports.extend(changed.ports)
                if not undone:  # perhaps there, and not wanted: the next reconciliation detaches it
                    draft.endpoints.add(network=network)
            raise

    async def _is_unplugged(self, entry: Entry, network: str, changed: pb.Container) -> bool:
        try:
            await self._unplug(entry, network, changed)
        except ScowError:
            return False
        return True

    async def disconnect(self, entry: Entry, name: str, force: bool, respond: Respond) -> None:
        """Take a container out of a network; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        async with entry.lock:
            self._check_changeable(entry)
            network = await self._known(entry, name)
            present = any(each.network == network for each in entry.described.networks)
            if not present and not force:
                raise _not_connected(entry, network)
            before = list(entry.described.networks)
            with self._shared.containers.change(entry) as (tx, draft):
                _leave(draft, network)
                if not entry.alive:
                    remember(tx, respond(draft))
            if entry.alive:
                await self._unplug_live(entry, network, before, respond)

    async def _unplug_live(
        self, entry: Entry, network: str, before: list[pb.NetworkAttachment], respond: Respond
    ) -> None:
        try:
            await self.settle(entry, respond)
        except ScowError:
            with self._shared.containers.change(entry) as (_, draft):
                del draft.networks[:]
                draft.networks.extend(before)
                for endpoint in draft.endpoints:
                    if endpoint.network == network:
                        # It may be gone, and the answer lost: the next reconciliation attaches it by its name again.
                        endpoint.name = ""
            raise

    async def limit(self, entry: Entry, request: pb.LimitNetworkRequest, respond: Respond) -> None:
        """Change the bandwidth that a container has in a network; see the contract.

        Raises:
            ScowError: As the contract says; then nothing has changed.
        """
        async with entry.lock:
            self._check_changeable(entry)
            attached = [each.network for each in entry.described.networks]
            network = await self._known(entry, request.network) if request.network else attached[0]
            if network not in attached:
                raise _not_connected(entry, network)
            wanted = {_RATE_IN: request.rate_in, _RATE_OUT: request.rate_out}
            if entry.alive:
                given = (request.rate_in, request.rate_out)
                await self._shared.networks.limit(entry.owner, network, *given)
            with self._shared.containers.change(entry) as (tx, draft):
                for attachment in draft.networks:
                    if attachment.network == network:
                        _set_options(attachment, wanted)
                remember(tx, respond(draft))

    async def _known(self, entry: Entry, name: str) -> str:
        """Return a network's name; one that was removed is still what a stopped container is to be in."""
        try:
            return (await self._shared.networks.find(name)).name
        except NetworkNotFound:
            if any(each.network == name for each in entry.described.networks):
                return name
            raise

    def _check_changeable(self, entry: Entry) -> None:
        described = entry.described
        if entry.gone:
            raise states.gone(described)
        if described.status not in _CHANGEABLE:
            raise states.busy(described)
        mode = namespaces.network(described.config).kind
        if mode in ("host", "container"):
            raise FailedPrecondition(
                "container sharing network namespace with another container or host cannot be connected to any "
                "other network",
                what="container",
                which=described.name,
                do="create it with a network of its own",
            )
        if mode == "none":
            raise _not_by_others("none")

    async def settle(self, entry: Entry, respond: Respond | None = None) -> bool:
        """Have a running container be in the networks that it is to be in; return whether something was changed."""
        described = entry.described
        if namespaces.network(described.config).kind != "network":
            return False
        wanted = {each.network: each for each in described.networks if each.network != "none"}
        present = {endpoint.network for endpoint in described.endpoints}
        # The same attachment again has what is there follow the name.
        right = {e.network for e in described.endpoints if e.name == described.name}
        if set(wanted) == present == right and respond is None:
            return False
        changed = pb.Container(ports=described.ports)
        for name in sorted(present - set(wanted)):
            await self._unplug(entry, name, changed)
        for name in [name for name in wanted if name not in right]:
            request = self._request(entry, wanted[name], described.netns_path)
            _add(changed, described.name, await self._shared.networks.attach(request))
        with self._shared.containers.change(entry) as (tx, draft):
            kept = [e for e in draft.endpoints if e.network in wanted and e.network in right]
            del draft.endpoints[:]
            draft.endpoints.extend([*kept, *changed.endpoints])
            del draft.ports[:]
            draft.ports.extend(changed.ports)
            if respond is not None:
                remember(tx, respond(draft))
        return True

    async def rename(self, entry: Entry) -> None:
        """Have the networks of a running container know it by the name that it has."""
        if namespaces.network(entry.described.config).kind in ("host", "none"):
            await self.plug(entry, entry.described.netns_path)
        else:
            await self.settle(entry)

    async def _unplug(self, entry: Entry, network: str, changed: pb.Container) -> None:
        """Detach a container, and tell which of its ports are published from then on."""
        try:
            response = await self._shared.networks.detach(entry.owner, network)
        except NetworkNotFound:
            return  # nobody is attached to what is gone
        del changed.ports[:]
        changed.ports.extend(response.ports)


def _attachments(entry: Entry) -> list[pb.NetworkAttachment]:
    """Return what a container is to be attached to."""
    mode = namespaces.network(entry.described.config)
    if mode.kind == "network":
        return list(entry.described.networks)
    return [pb.NetworkAttachment(network=mode.kind)]


def _not_connected(entry: Entry, network: str) -> NotConnected:
    return NotConnected(
        f"container {entry.id} is not connected to network {network}",
        what="container",
        which=entry.described.name,
        do=f"see 'scow inspect {entry.described.name}'",
    )


def _set_options(attachment: pb.NetworkAttachment, wanted: Mapping[str, str]) -> None:
    """Change options of an attachment: "0" takes one away, an empty value leaves it as it is."""
    for key, value in wanted.items():
        if value == "0":
            attachment.driver_opts.pop(key, None)
        elif value:
            attachment.driver_opts[key] = value


def _drop(draft: pb.Container, network: str) -> None:
    kept = [each for each in draft.networks if each.network != network]
    del draft.networks[:]
    draft.networks.extend(kept)


def _leave(draft: pb.Container, network: str) -> None:
    _drop(draft, network)
    if not draft.networks:
        draft.networks.add(network="none")


def _not_by_others(network: str) -> FailedPrecondition:
    return FailedPrecondition(
        "container cannot be connected to multiple networks with one of the networks in private (none) mode, or "
        "shared with host",
        what="network",
        which=network,
        do="create the container with networks of its own",
    )


def _add(found: pb.Container, name: str, response: network_pb2.AttachResponse) -> None:
    """Add what an Attach answered to the fields of a container that say how it is plugged in."""
    found.resolv_conf_path = response.resolv_conf_path
    found.hosts_path = response.hosts_path
    found.hostname_path = response.hostname_path
    if not response.HasField("endpoint"):
        return
    e = response.endpoint
    if e.ports:
        # They lead where the default route is, which a later network may have.
        del found.ports[:]
        found.ports.extend(e.ports)
    found.endpoints.add(
        network=e.network,
        network_id=e.network_id,
        endpoint_id=e.id,
        ip_address=e.ip_address,
        prefix_length=e.prefix_length,
        gateway=e.gateway,
        mac_address=e.mac_address,
        ipv6_address=e.ipv6_address,
        ipv6_prefix_length=e.ipv6_prefix_length,
        ipv6_gateway=e.ipv6_gateway,
        aliases=e.aliases,
        interface=e.interface,
        name=name,
    )
