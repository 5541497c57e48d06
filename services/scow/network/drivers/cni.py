"""The driver "cni": a network is a configuration of the Container Network Interface, plugins make its endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from scow.api.types.v1.types_pb2 import ReconcileAction
from scow.contract.errors import InvalidArgument, LinkFailed, NetworkNotFound, ScowError
from scow.network.cni import calls, configuration
from scow.network.cni.chain import Chain
from scow.network.cni.configuration import Configuration
from scow.network.cni.plugin import Attachment
from scow.network.drivers import inside
from scow.network.drivers.base import Capabilities
from scow.network.ipam.addresses import Interface, Pool
from scow.network.ipam.plan import Choice
from scow.network.kernel import netns
from scow.network.kernel.worker import Worker
from scow.network.store import Endpoint, Network

# Name or path of the configuration; without it the network's name is the configuration's.
_CONFIG = "config"
_log = structlog.get_logger()


class CniDriver:
    """The driver.

    Args:
        worker: For all that blocks.
        chain: Executes plugins.
        folder: Of configurations.
    """

    capabilities = Capabilities(
        namespace=True, addresses=True, linked=False, ports=True, prompt=False
    )

    def __init__(self, worker: Worker, chain: Chain, folder: Path) -> None:
        self._worker = worker
        self._chain = chain
        self._folder = folder

    def check(self, network: Network) -> list[str]:
        """Check that there is such a configuration."""
        config = self._load(network)
        if network.internal or network.ipv6:
            raise InvalidArgument(
                "a CNI configuration says itself whether its network is internal and has IPv6",
                what="network",
                which=network.name,
                do=f"leave the flag out, and see the configuration {config.name}",
            )
        return []

    def _load(self, network: Network) -> Configuration:
        return configuration.load(network.options.get(_CONFIG) or network.name, self._folder)

    async def establish(self, network: Network, choice: Choice) -> tuple[Pool, ...]:
        """Ask whether plugins are ready; addresses are theirs."""
        await self._chain.status(self._load(network))
        return ()

    async def attach(self, network: Network, endpoint: Endpoint) -> Endpoint:
        """Execute ADD; return the endpoint with the addresses that plugins gave it."""
        if await self.is_attached(endpoint):
            kept = self._chain.kept(endpoint.id)
            if kept is not None and kept.result.addresses:
                return _attached(endpoint, kept.result.addresses, kept.result.mac)
        if netns.current_identity(endpoint.netns_path) != endpoint.netns_id:
            raise LinkFailed(
                "the network namespace is gone",
                what="network namespace",
                which=endpoint.netns_path,
                do="see that its process runs",
            )
        await self._worker.run(inside.set_lo_up, endpoint)
        result = await self._chain.add(endpoint.id, self._load(network), _attachment(endpoint))
        return _attached(endpoint, result.addresses, result.mac)

    async def route(self, endpoint: Endpoint) -> None:
        """Leave routes to the plugins."""

    async def is_attached(self, endpoint: Endpoint) -> bool:
        """Tell whether the link is in the namespace."""
        return await self._worker.run(inside.has_interface, endpoint)

    async def detach(self, endpoint: Endpoint, at_once: bool = False) -> None:
        """Execute DEL, with what ADD was executed with."""
        gone = netns.current_identity(endpoint.netns_path) != endpoint.netns_id
        attachment = replace(_attachment(endpoint), netns="") if gone else None
        await self._chain.delete(endpoint.id, attachment)

    async def remove(self, network: Network) -> None:
        """Leave the configuration where it is."""

    async def reconcile(
        self, networks: Sequence[Network], endpoints: Sequence[Endpoint]
    ) -> list[ReconcileAction]:
        """Attach again what has lost its link, give back what no record speaks of."""
        by_id = {network.id: network for network in networks}
        known = {endpoint.id for endpoint in endpoints}
        strange = [
            k
            for k in self._chain.attachments()
            if k not in known and not k.startswith(calls.PREFIX)
        ]
        actions = [
            _action(f"cni/{key}", "released", "without a record")
            for key in strange
            if await self._try(self._chain.delete(key))
        ]
        actions += [
            _action(endpoint.owner, "rebuilt", "the link was missing")
            for endpoint in endpoints
            if endpoint.ready and await self._restore(by_id[endpoint.network_id], endpoint)
        ]
        for network in networks:
            await self._try(self._collect(network))
        return actions

    async def _collect(self, network: Network) -> None:
        config = self._load(network)
        # Else it is done the next time: a plugin may take long.
        if not self._chain.is_busy(config.name):
            await self._chain.collect(config)

    async def _restore(self, network: Network, endpoint: Endpoint) -> bool:
        gone = netns.current_identity(endpoint.netns_path) != endpoint.netns_id
        if gone or await self.is_attached(endpoint):
            return False
        await self._try(self._chain.delete(endpoint.id))
        return await self._try(self.attach(network, endpoint))

    async def _try(self, step: Awaitable[object]) -> bool:
        try:
            await step
        except ScowError as error:
            level = _log.info if isinstance(error, NetworkNotFound) else _log.warning
            level("left to the next reconciliation", error=str(error))
            return False
        return True

    async def close(self) -> None:
        """Do nothing: plugins do not outlive their calls."""


def _attachment(endpoint: Endpoint) -> Attachment:
    ports = [
        {
            "hostPort": port.host_port + offset,
            "containerPort": port.container_port + offset,
            "protocol": port.protocol,
            "hostIP": port.host_ip,
        }
        for port in endpoint.ports
        for offset in range(port.count)
    ]
    capabilities: dict[str, object] = {"aliases": {"": list(endpoint.aliases)}}
    if ports:
        capabilities["portMappings"] = ports
    if endpoint.mac:
        capabilities["mac"] = endpoint.mac
    args = {"IgnoreUnknown": "1"}
    if endpoint.addresses:
        # It is attached again, and keeps its address where the plugin lets it.
        args["IP"] = str(endpoint.addresses[0].ip)
    return Attachment(
        endpoint.id, endpoint.netns_path, endpoint.interface, args=args, capabilities=capabilities
    )


def _attached(endpoint: Endpoint, addresses: Sequence[Interface], mac: str) -> Endpoint:
    return replace(endpoint, addresses=tuple(addresses), mac=mac or endpoint.mac)


def _action(name: str, action: str, detail: str) -> ReconcileAction:
    return ReconcileAction(object=name, action=action, detail=detail)
