"""A network, as `docker network inspect` has it."""

from __future__ import annotations

from scow.words.shapes.common import mapping, time_of
from scow.words.template.values import NIL, Map, NilMap, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.network.v1.network_pb2 import Endpoint, Network, Subnet


def network_shape(network: Network) -> Struct:
    """Return a network in Docker's shape."""
    built_in = network.name in ("bridge", "host", "none")
    containers = Map({}, zero=NIL)
    for endpoint in network.endpoints:
        containers[endpoint.owner.removeprefix("container/")] = _endpoint(endpoint)
    return Struct(
        Name=network.name,
        Id=network.id,
        Created=time_of(network, "created_at"),
        Scope=network.scope or "local",
        Driver=network.driver,
        EnableIPv4=has_ipv4(network),
        EnableIPv6=network.ipv6,
        IPAM=Struct(
            Driver="default",
            Options=NilMap() if built_in else mapping(network.ipam_options),
            Config=[_subnet(subnet) for subnet in network.subnets],
        ),
        Internal=network.internal,
        Attachable=network.attachable,
        Ingress=False,
        ConfigFrom=Struct(Network=""),
        ConfigOnly=False,
        Containers=containers,
        Options=mapping(network.options),
        Labels=mapping(network.labels),
    )


def has_ipv4(network: Network) -> bool:
    """Tell whether a network has addresses of IPv4; one without subnets has them elsewhere."""
    return not network.subnets or any(":" not in each.subnet for each in network.subnets)


def _subnet(subnet: Subnet) -> Struct:
    shape = Struct(Subnet=subnet.subnet)
    if subnet.ip_range:
        shape["IPRange"] = subnet.ip_range
    if subnet.gateway and not subnet.gateway_chosen:
        shape["Gateway"] = subnet.gateway
    if subnet.aux_addresses:
        shape["AuxiliaryAddresses"] = Map(dict(subnet.aux_addresses))
    return shape


def _endpoint(endpoint: Endpoint) -> Struct:
    return Struct(
        Name=endpoint.name,
        EndpointID=endpoint.id,
        MacAddress=endpoint.mac_address,
        IPv4Address=_with_prefix(endpoint.ip_address, endpoint.prefix_length),
        IPv6Address=_with_prefix(endpoint.ipv6_address, endpoint.ipv6_prefix_length),
    )


def _with_prefix(address: str, length: int) -> str:
    return f"{address}/{length}" if address else ""
