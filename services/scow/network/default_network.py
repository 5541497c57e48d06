"""The network "bridge": what the configuration says of it."""

from __future__ import annotations

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import InvalidArgument, InvalidConfig
from scow.core.config import NetworkSection
from scow.network import options
from scow.network.ipam import plan, subnets
from scow.network.ipam.addresses import IPV4, IPV6, Pool


def pools(section: NetworkSection) -> tuple[Pool, ...]:
    """Return the pools that are configured.

    Raises:
        InvalidConfig: A key has no subnet, or no address of it.
    """
    found = []
    for key, value, family in (
        ("network.subnet", section.subnet, IPV4),
        ("network.ipv6_subnet", section.ipv6_subnet, IPV6),
    ):
        if value:
            found.append(pb.Subnet(subnet=str(subnets.configured(key, value, family))))
    for key, value, field in (
        ("network.gateway", section.gateway, "gateway"),
        ("network.ip_range", section.ip_range, "ip_range"),
    ):
        if not value:
            continue
        if not section.subnet:
            raise _invalid(key, value, "network.subnet is empty", "set network.subnet too")
        setattr(found[0], field, value)
    try:
        return plan.asked(found, {4, 6})
    except InvalidArgument as error:
        named = f"{section.gateway} {section.ip_range}".strip()
        raise _invalid("network.gateway, network.ip_range", named, error.message) from error


def options_of(section: NetworkSection, bridge: str) -> dict[str, str]:
    """Return the network's options, in Docker's words.

    Args:
        section: The configuration.
        bridge: Name of the bridge.
    """
    found = {
        options.DEFAULT_BRIDGE: "true",
        options.ICC: str(section.icc).lower(),
        options.MASQUERADE: str(section.masquerade).lower(),
        options.BRIDGE_NAME: bridge,
    }
    if section.mtu:
        found[options.MTU] = str(section.mtu)
    return found


def _invalid(key: str, value: str, fault: str, do: str = "") -> InvalidConfig:
    return InvalidConfig(
        f"{key} is {value!r}: {fault}",
        what="configuration key",
        which=key,
        do=do or "give addresses in network.subnet",
    )
