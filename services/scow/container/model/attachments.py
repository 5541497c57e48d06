"""In which networks a container is to be, and how."""

from __future__ import annotations

from collections.abc import Iterable

from scow.api.container.v1.container_pb2 import ContainerConfig, NetworkAttachment
from scow.container.model.invalid import invalid
from scow.container.spec import namespaces

# Of one container: each is a link, an address and a few rules.
_MOST = 64
_TEXTS_MOST = 256


def of(config: ContainerConfig) -> list[NetworkAttachment]:
    """Return the networks that a configuration asks for; none where the namespace is not the container's own.

    The fields of the configuration that name no network are of the first one.
    """
    mode = namespaces.network(config)
    if mode.kind != "network":
        return []
    found = [NetworkAttachment() for _ in range(max(1, len(config.networks)))]
    for made, given in zip(found, config.networks, strict=False):
        made.CopyFrom(given)
    first = found[0]
    first.network = mode.name
    first.aliases.extend(a for a in config.network_aliases if a not in first.aliases)
    first.ipv4_address = first.ipv4_address or config.ipv4_address
    first.mac_address = first.mac_address or config.mac_address
    return found


def check(config: ContainerConfig) -> None:
    """Refuse networks that contradict each other.

    Raises:
        InvalidConfig: The field, what is wrong, and what to do.
    """
    if not config.networks:
        return
    named = [given.network or "bridge" for given in config.networks]
    if config.network and config.network != named[0]:
        raise invalid(
            "networks", f"begins with {named[0]}, network is {config.network}", "leave network out"
        )
    if len(named) > _MOST:
        raise invalid("networks", f"has {len(named)} entries", f"use at most {_MOST}")
    for given in config.networks:
        check_one(given)
    kinds = [_kind(name) for name in named]
    plain = NetworkAttachment(network=config.networks[0].network)
    if kinds[0] == "container" and config.networks[0] != plain:
        raise invalid(
            "networks",
            "has addresses or names although the network is another container's",
            "set them at that container instead",
        )
    if len(named) > 1 and any(kind != "network" for kind in kinds):
        raise invalid(
            "networks",
            "has several, of which one is not a network of its own: "
            "container cannot be connected to multiple networks with one of the networks in private (none) mode, "
            "or shared with another container or host",
            "name networks alone, or one of the others alone",
        )
    twice = {name for name in named if named.count(name) > 1}
    if twice:
        raise invalid("networks", f"names {', '.join(sorted(twice))} twice", "name each once")


def check_one(given: NetworkAttachment) -> None:
    """Refuse an attachment that is too long.

    Raises:
        InvalidConfig: It has too many names, addresses or options.
    """
    texts: list[Iterable[str]] = [given.aliases, given.link_local_ips, given.driver_opts]
    if any(len(list(each)) > _TEXTS_MOST for each in texts):
        raise invalid(
            "networks", "has too many aliases, addresses or options", f"use at most {_TEXTS_MOST}"
        )


def _kind(name: str) -> str:
    return namespaces.network(ContainerConfig(network=name)).kind
