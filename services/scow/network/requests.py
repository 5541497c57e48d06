"""What an Attach asks for, checked before anything is done."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scow.api.network.v1 import network_pb2 as pb
from scow.contract.errors import InvalidArgument
from scow.network import options
from scow.network.dns import files
from scow.network.dns.files import Resolver
from scow.network.drivers.base import Capabilities
from scow.network.ipam.addresses import LINK_LOCAL, Interface
from scow.network.kernel import netns
from scow.network.ports import port_mapping
from scow.network.ports.port_mapping import PortRequest
from scow.network.store import Network

_OWNER = re.compile(r"[a-z]{1,32}/[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@dataclass(frozen=True)
class Wish:
    """A checked Attach.

    Attributes:
        owner: "container/<id>".
        name: The owner's name.
        network: Which one to attach to.
        netns_path: Empty on "host".
        netns_id: Device and inode of the namespace.
        hostname: With the domain behind a dot, if there is one.
        capabilities: Of the network's driver.
        ports: To publish; none unless they can lead to the owner.
        mac: Empty means derived from the address.
        addresses: Wanted ones; without one of a family it is the next free one.
        aliases: Further names.
        asked: Resolver as far as the request says.
        extra_hosts: Address and name.
        link_local: Further addresses of the link.
        options: Of the driver.
        interface: Name of the container's link; empty means the next one.
        links: Names of its own, with the names that they stand for.
        priority: Among the owner's networks, for the default route.
    """

    owner: str
    name: str
    network: Network
    capabilities: Capabilities
    netns_path: str
    netns_id: str
    hostname: str
    ports: tuple[PortRequest, ...]
    mac: str
    addresses: tuple[str, ...]
    aliases: tuple[str, ...]
    asked: Resolver
    extra_hosts: tuple[tuple[str, str], ...]
    link_local: tuple[Interface, ...]
    options: dict[str, str]
    interface: str
    priority: int
    links: dict[str, str]

    def names(self) -> list[str]:
        """Return what the container's address is called in its own hosts file."""
        return host_names(self.hostname, self.aliases)


def host_names(hostname: str, aliases: Sequence[str]) -> list[str]:
    """Return what a container's address is called in its own hosts file.

    Args:
        hostname: With the domain behind a dot, if there is one.
        aliases: Further names in the network.
    """
    short = hostname.partition(".")[0]
    own = [hostname, short] if short != hostname else [hostname]
    return [*own, *(alias for alias in aliases if alias not in own)]


def check(
    request: pb.AttachRequest,
    network: Network,
    capabilities: Capabilities,
    gateway: str,
    publish_ip: str = "",
) -> Wish:
    """Return the checked request.

    Args:
        request: As it came.
        network: That it names.
        capabilities: Of the network's driver.
        gateway: The host's address on the default bridge.
        publish_ip: Where ports are published that name no address; empty means on all of the host's.

    Raises:
        InvalidArgument: Something cannot be meant.
        InvalidPort: A published port is invalid.
    """
    check_owner(request.owner)
    if capabilities.namespace and not request.netns_path.startswith("/"):
        raise InvalidArgument(
            f"{request.netns_path!r} is no path of a network namespace",
            what="network namespace",
            which=request.netns_path,
            do="give an absolute path such as /proc/PID/ns/net",
        )
    files.check_servers(request.dns)
    hostname = request.hostname or socket.gethostname()
    return Wish(
        owner=request.owner,
        name=request.name,
        network=network,
        capabilities=capabilities,
        netns_path=request.netns_path,
        netns_id=netns.current_identity(request.netns_path) if request.netns_path else "",
        hostname=f"{hostname}.{request.domainname}" if request.domainname else hostname,
        # On "host" ports are open as they are, on "none" nothing can reach them: as docker, ask for none.
        ports=tuple(port_mapping.check(p, publish_ip) for p in request.ports)
        if capabilities.ports
        else (),
        mac=_mac(request.mac_address),
        addresses=tuple(a for a in (request.ipv4_address, request.ipv6_address) if a),
        aliases=tuple(request.aliases),
        asked=Resolver(tuple(request.dns), tuple(request.dns_search), tuple(request.dns_options)),
        extra_hosts=tuple(files.extra_hosts(request.extra_hosts, gateway)),
        link_local=tuple(_link_local(text) for text in request.link_local_ips),
        options=_options(request.driver_opts),
        interface=options.interface(request.driver_opts),
        priority=request.gw_priority,
        links=dict(request.links),
    )


def _options(given: Mapping[str, str]) -> dict[str, str]:
    options.settings(given)
    options.rates(given)
    return dict(given)


def _link_local(text: str) -> Interface:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        address = None
    if address is None or not address.is_link_local or address == LINK_LOCAL.ip:
        raise InvalidArgument(
            f"invalid link-local IP address: {text}",
            what="address",
            which=text,
            do="give an address of 169.254.0.0/16 or fe80::/10",
        )
    return ipaddress.ip_interface(f"{address}/{16 if address.version == 4 else 64}")


def check_owner(owner: str) -> None:
    """Check an owner.

    Raises:
        InvalidArgument: It is not "kind/id".
    """
    if not _OWNER.fullmatch(owner):
        raise InvalidArgument(
            f"invalid owner {owner!r}", what="owner", which=owner, do='give "container/<id>"'
        )


def _mac(text: str) -> str:
    mac = text.lower().replace("-", ":")
    if not mac:
        return ""
    # The lowest bit of the first byte marks a group.
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or not int(mac.replace(":", ""), 16):
        raise InvalidArgument(
            f"{text!r} is no MAC address of a link",
            what="MAC address",
            which=text,
            do="give one such as 02:42:ac:11:00:02",
        )
    return mac
