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
_ROUTED = "everybody with a route to it"
_TRUSTED = "com.docker.network.bridge.trusted_host_interfaces"
_MODES = {version: f"com.docker.network.bridge.gateway_mode_ipv{version}" for version in (4, 6)}


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
        if not endpoint.ip_address and not endpoint.ipv6_address:
            continue
        for port in endpoint.ports:
            yield _of_port(network, endpoint, port)
        yield Exposure(endpoint.name, network.name, "*", "*", _by(network))


def _by(network: Network) -> str:
    """Return who reaches all ports of a network's containers."""
    if network.driver != "bridge":
        return f"the link of {network.name}"
    modes = {network.options.get(key, "") for key in _MODES.values()}
    icc = len(network.endpoints) > 1 and network.options.get(_ICC, "true") == "true"
    others = [f"containers in {network.name}"] if icc else []
    if not network.internal and "nat-unprotected" in modes:
        others.append(_ROUTED)
    if not network.internal:
        links = network.options.get(_TRUSTED, "").split(":")
        others += [f"everybody who comes over {link}" for link in links if link]
    return ", ".join([*others, _HOST])


def _of_port(network: Network, endpoint: Endpoint, port: PortMapping) -> Exposure:
    version = 6 if ":" in port.host_ip else 4
    own = endpoint.ipv6_address if version == 6 else endpoint.ip_address
    if own and network.options.get(_MODES[version]) == "routed":
        return _of_routed(network, endpoint, port, own)
    host = f"[{port.host_ip}]" if ":" in port.host_ip else port.host_ip
    at = f"{host}:{_range(port.host_port, port.count)}"
    leads_to = f"{_range(port.container_port, port.count)}/{port.protocol}"
    return Exposure(endpoint.name, network.name, at, leads_to, _who(port.host_ip, port.allow))


def _of_routed(network: Network, endpoint: Endpoint, port: PortMapping, own: str) -> Exposure:
    ports = _range(port.container_port, port.count)
    at = f"[{own}]:{ports}" if ":" in own else f"{own}:{ports}"
    by = ", ".join([_HOST, *_blocks(own, port.allow)]) if port.allow else _ROUTED
    return Exposure(endpoint.name, network.name, at, f"{ports}/{port.protocol}", by)


def _range(first: int, count: int) -> str:
    return f"{first}-{first + count - 1}" if count > 1 else str(first)


def _who(host_ip: str, allow: Sequence[str]) -> str:
    address = ipaddress.ip_address(host_ip)
    if address.is_loopback:
        return _HOST
    if allow:
        return ", ".join([_HOST, *_blocks(host_ip, allow)])
    return _ANYBODY if address.is_unspecified else f"everybody who reaches {host_ip}"


def _blocks(address: str, allow: Sequence[str]) -> list[str]:
    """Return those of some blocks that are of an address's version."""
    version = ipaddress.ip_address(address).version
    return [block for block in allow if ipaddress.ip_network(block).version == version]
