"""What of containers is reachable, and by whom: read from what the engine says of its networks."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from scow.api.network.v1.network_pb2 import Endpoint, Network
from scow.api.types.v1.types_pb2 import PortMapping

_ICC = "com.docker.network.bridge.enable_icc"
_ANYBODY = "everybody who reaches this host"
_HOST = "this host"


@dataclass(frozen=True)
class Exposure:
    """One way to reach a container.

    Attributes:
        container: Its name.
        network: Over which it is reached.
        at: Address and ports, "0.0.0.0:8080"; "*" for all ports.
        leads_to: The container's ports, "80/tcp"; "*" for all.
        by: Who can.
    """

    container: str
    network: str
    at: str
    leads_to: str
    by: str


def exposures(networks: Iterable[Network]) -> list[Exposure]:
    """Return all ways to reach containers, those from outside first.

    Args:
        networks: With their endpoints, as `client.networks.list()` returns them.
    """
    found = [each for network in networks for each in _of_network(network)]
    return sorted(found, key=lambda each: (each.at == "*", each.container, each.network))


def _of_network(network: Network) -> Iterator[Exposure]:
    for endpoint in network.endpoints:
        if network.driver == "host":
            yield Exposure(endpoint.name, network.name, "*", "*", _ANYBODY)
            continue
        if not endpoint.ip_address:
            continue
        for port in endpoint.ports:
            yield _of_port(network, endpoint, port)
        others = len(network.endpoints) > 1 and network.options.get(_ICC, "true") == "true"
        by = f"containers in {network.name}, {_HOST}" if others else _HOST
        if network.driver != "bridge":
            by = f"the link of {network.name}"
        yield Exposure(endpoint.name, network.name, "*", "*", by)


def _of_port(network: Network, endpoint: Endpoint, port: PortMapping) -> Exposure:
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    at = f"{host}:{_range(port.host_port, port.count)}"
    leads_to = f"{_range(port.container_port, port.count)}/{port.protocol}"
    return Exposure(endpoint.name, network.name, at, leads_to, _who(port.host_ip, port.allow))


def _range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def _who(host_ip: str, allow: Sequence[str]) -> str:
    address = ipaddress.ip_address(host_ip)
    if address.is_loopback:
        return _HOST
    version = address.version
    blocks = [block for block in allow if ipaddress.ip_network(block).version == version]
    if allow:
        return ", ".join([_HOST, *blocks])
    return _ANYBODY if address.is_unspecified else f"everybody who reaches {host_ip}"
