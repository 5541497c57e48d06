"""Links, addresses and routes (rtnetlink(7)), as the network service needs them."""

from __future__ import annotations

import errno
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scow.network.ipam.addresses import FAMILIES, Address, Interface, Subnet, family_of
from scow.network.kernel import sysctls
from scow.network.kernel.netlink import CREATE, EXCL, REPLACE, Netlink, Request, refusal, rtnl

_UP = 1
_LOOPBACK_INDEX = 1
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_PROTOCOL_BOOT, _TYPE_UNICAST = 3, 1
# IFA_F_NODAD: an address that was leased is nobody else's, and is used at once.
_NO_DETECTION = 2

# IN6_ADDR_GEN_MODE_NONE: no link-local address, which would only cost multicast traffic.
_NO_ADDRESS_GENERATED = 1
# A kernel or namespace without IPv6.
_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EINVAL, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Link:
    """A link of a namespace."""

    index: int
    name: str
    # "bridge", "veth" ..., empty for hardware.
    kind: str
    # Index of the bridge that it is a port of, or 0.
    master: int
    mtu: int
    up: bool
    mac: str
    # What its maker wrote on it.
    alias: str = ""
    # Index of the link that it is a part of, for VLANs and the like, or of its peer.
    parent: int = 0


@dataclass(frozen=True)
class Route:
    """A route of either family."""

    destination: Subnet
    # Index of its link, 0 for routes without one (blackhole, several next hops).
    link: int


@dataclass(frozen=True)
class Veth:
    """A pair of links: one in the host, one in a container."""

    name: str
    # In the container.
    peer: str
    peer_mac: str
    mtu: int
    # Whether it reaches the bridge's other ports.
    isolated: bool = False


def list_links(netlink: Netlink) -> list[Link]:
    """Return all links of the socket's namespace."""
    return [_link(message) for message in netlink.dump(Request(rtnl.RTM_GETLINK, what="links"))]


def find_link(netlink: Netlink, name: str) -> Link | None:
    """Return the link of this name, or None."""
    message = netlink.get(Request(rtnl.RTM_GETLINK, {}, [("IFLA_IFNAME", name)], what=name))
    return _link(message) if message is not None else None


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        kind=(info.get_attr("IFLA_INFO_KIND") if info else "") or "",
        master=message.get_attr("IFLA_MASTER") or 0,
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _UP),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        parent=message.get_attr("IFLA_LINK") or 0,
    )


def list_addresses(netlink: Netlink) -> list[tuple[int, Interface]]:
    """Return the index of the link and the address, for all addresses."""
    request = Request(rtnl.RTM_GETADDR, what="addresses")
    found = []
    for message in netlink.dump(request):
        local = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if local:
            address = ipaddress.ip_interface(f"{local}/{message['prefixlen']}")
            found.append((message["index"], address))
    return found


def list_routes(netlink: Netlink) -> list[Route]:
    """Return the routes of both families, of all tables but the local one."""
    found = []
    for family in FAMILIES:
        request = Request(rtnl.RTM_GETROUTE, {"family": family.socket}, what="routes")
        for message in netlink.dump(request):
            table = message.get_attr("RTA_TABLE") or message["table"]
            if message["family"] == family.socket and table != _TABLE_LOCAL:
                target = message.get_attr("RTA_DST") or family.unspecified
                destination = ipaddress.ip_network(f"{target}/{message['dst_len']}")
                found.append(Route(destination, message.get_attr("RTA_OIF") or 0))
    return found


@dataclass(frozen=True)
class Bridge:
    """A bridge to be made; with a MAC address of its own it does not change as ports come and go."""

    name: str
    mac: str
    mtu: int
    with_ipv6: bool
    alias: str


def make_bridge(netlink: Netlink, wanted: Bridge) -> Link:
    """Make a bridge unless it is there, bring it up and return it."""
    name = wanted.name
    what = f"bridge {name}"
    if find_link(netlink, name) is None:
        attributes = [
            ("IFLA_IFNAME", name),
            ("IFLA_ADDRESS", wanted.mac),
            ("IFLA_MTU", wanted.mtu),
            ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", "bridge")]}),
        ]
        making = Request(rtnl.RTM_NEWLINK, {}, attributes, CREATE | EXCL, what=what)
        netlink.send([making, _marking(name, wanted.alias)])
    netlink.send([_without_link_local(name)])
    bridge = find_link(netlink, name)
    if bridge is None or bridge.kind != "bridge":
        raise refusal(what, errno.EEXIST if bridge else errno.ENODEV)
    guard(name, wanted.with_ipv6)
    if not bridge.up:
        netlink.send([_up(name)])
    return bridge


def _marking(name: str, alias: str) -> Request:
    """Return the request that writes on a link who made it.

    The kernel takes no alias with the request that makes a link. It handles all messages of one send(2) also when the
    sender is killed, so that no link is left without.
    """
    named = [("IFLA_IFNAME", name), ("IFLA_IFALIAS", alias)]
    return Request(rtnl.RTM_SETLINK, {}, named, what=f"alias of {name}")


def add_address(netlink: Netlink, index: int, address: Interface) -> None:
    """Give a link an address, if it has not got it."""
    netlink.send([_address(rtnl.RTM_NEWADDR, index, address, CREATE, (errno.EEXIST,))])


def delete_address(netlink: Netlink, index: int, address: Interface) -> None:
    """Take an address from a link, if it has it."""
    gone = (errno.EADDRNOTAVAIL, errno.ENODEV)
    netlink.send([_address(rtnl.RTM_DELADDR, index, address, 0, gone)])


def set_down(netlink: Netlink, names: Iterable[str]) -> None:
    """Take links down, those that exist. Takes 0.1 ms each, where deleting takes 15 to 30."""
    netlink.send(
        [
            Request(
                rtnl.RTM_SETLINK,
                {"flags": 0, "change": _UP},
                [("IFLA_IFNAME", name)],
                tolerate=(errno.ENODEV,),
                what=f"link {name}",
            )
            for name in names
        ]
    )


def delete_links(netlink: Netlink, names: Iterable[str]) -> None:
    """Delete links, those that exist. Takes 15 to 30 ms each."""
    for name in names:
        named = [("IFLA_IFNAME", name)]
        gone = (errno.ENODEV,)
        netlink.send([Request(rtnl.RTM_DELLINK, {}, named, tolerate=gone, what=f"link {name}")])


@dataclass(frozen=True)
class Sublink:
    """A link that shares another one's hardware: a VLAN, macvlan or ipvlan.

    Attributes:
        kind: As ip-link(8) calls it.
        parent: Index of the other link.
        data: Attributes of the kind.
        mac: Empty means the kernel's choice.
        mtu: 0 means the parent's.
        alias: What its maker writes on it.
    """

    name: str
    kind: str
    parent: int
    data: tuple[tuple[str, int], ...] = ()
    mac: str = ""
    mtu: int = 0
    alias: str = ""


def add_sublink(netlink: Netlink, wanted: Sublink, netns: int | None = None) -> None:
    """Make a link.

    Args:
        netlink: Of the namespace that the parent is in.
        wanted: The link.
        netns: Open on the namespace that it is to be in; None means the parent's.

    Raises:
        LinkFailed: There is a link of that name, or no such parent.
        KernelUnsupported: The kernel lacks the kind.
    """
    info: list[tuple[str, Any]] = [("IFLA_INFO_KIND", wanted.kind)]
    if wanted.data:
        info.append(("IFLA_INFO_DATA", {"attrs": list(wanted.data)}))
    attributes: list[tuple[str, Any]] = [("IFLA_IFNAME", wanted.name)]
    for name, value in (
        ("IFLA_LINK", wanted.parent),
        ("IFLA_ADDRESS", wanted.mac),
        ("IFLA_MTU", wanted.mtu),
    ):
        if value:
            attributes.append((name, value))
    attributes.append(("IFLA_LINKINFO", {"attrs": info}))
    if netns is not None:
        attributes.append(("IFLA_NET_NS_FD", netns))
    what = f"{wanted.kind} {wanted.name}"
    requests = [Request(rtnl.RTM_NEWLINK, {}, attributes, CREATE | EXCL, what=what)]
    if wanted.alias:
        requests.append(_marking(wanted.name, wanted.alias))
    netlink.send(requests)


def add_cable(netlink: Netlink, name: str, peer: str, alias: str) -> None:
    """Make a pair of links in the socket's namespace, both up, that leads nowhere else.

    Raises:
        LinkFailed: There is a link of that name.
    """
    data = [("VETH_INFO_PEER", {"attrs": [("IFLA_IFNAME", peer)]})]
    info = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": data})]
    attributes = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": info})]
    making = Request(rtnl.RTM_NEWLINK, {}, attributes, CREATE | EXCL, what=f"link {name}")
    netlink.send([making, _marking(name, alias), _marking(peer, alias)])
    for end in (name, peer):
        guard(end)
    netlink.send([_up(name), _up(peer)])


def set_up(netlink: Netlink, name: str) -> None:
    """Bring a link up."""
    netlink.send([_up(name)])


def plug_veth(netlink: Netlink, veth: Veth, bridge: int, netns: int) -> None:
    """Make a pair of links: one a port of a bridge, the peer in the namespace that `netns` is open on.

    Raises:
        LinkFailed: With errno ENODEV or EINVAL when the bridge is not there.
    """
    peer = [
        ("IFLA_IFNAME", veth.peer),
        ("IFLA_ADDRESS", veth.peer_mac),
        ("IFLA_MTU", veth.mtu),
        ("IFLA_NET_NS_FD", netns),
    ]
    pair = [
        ("IFLA_INFO_KIND", "veth"),
        ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", {"attrs": peer})]}),
    ]
    netlink.send(
        [
            Request(
                rtnl.RTM_NEWLINK,
                {},
                [
                    ("IFLA_IFNAME", veth.name),
                    ("IFLA_MTU", veth.mtu),
                    ("IFLA_MASTER", bridge),
                    ("IFLA_LINKINFO", {"attrs": pair}),
                ],
                CREATE | EXCL,
                what=f"link {veth.name}",
            )
        ]
    )
    guard(veth.name)
    netlink.send([_port(veth.name, veth.isolated)])


def guard(name: str, with_ipv6: bool = False) -> bool:
    """Have a link of the host believe nothing that a container sends; return whether it did before.

    Args:
        name: A bridge, or the host's end of a link.
        with_ipv6: Whether it has an address of IPv6; a port of a bridge has none.
    """
    spoken = sysctls.WITH_IPV6 if with_ipv6 else sysctls.WITHOUT_IPV6
    return sysctls.set_link(name, {**sysctls.GUARDED, **spoken})


def join_bridge(netlink: Netlink, name: str, bridge: int, isolated: bool) -> None:
    """Make a link a port of a bridge and bring it up."""
    guard(name)
    master = [("IFLA_IFNAME", name), ("IFLA_MASTER", bridge)]
    joining = Request(rtnl.RTM_SETLINK, {}, master, what=f"link {name} on the bridge")
    netlink.send([joining, _port(name, isolated)])


def _port(name: str, isolated: bool) -> Request:
    """Return the request that brings a port up in hairpin mode, which reaches other ports unless it is isolated.

    Hairpin mode, because where br_netfilter is on, a container's packet to its own published port leaves by the
    port it came in by.
    """
    hairpin = [
        ("IFLA_INFO_SLAVE_KIND", "bridge"),
        (
            "IFLA_INFO_SLAVE_DATA",
            {"attrs": [("IFLA_BRPORT_MODE", 1), ("IFLA_BRPORT_ISOLATED", int(isolated))]},
        ),
    ]
    port = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": hairpin})]
    return Request(rtnl.RTM_NEWLINK, {"flags": _UP, "change": _UP}, port, what=f"link {name}")


@dataclass(frozen=True)
class Inside:
    """What a container's link gets.

    Attributes:
        name: The link.
        index: Of the link.
        addresses: With their subnets' prefix lengths.
        gateways: Of the default routes; empty for none.
    """

    name: str
    index: int
    addresses: Sequence[Interface]
    gateways: Sequence[Address]


def set_up_inside(netlink: Netlink, wanted: Inside) -> None:
    """Set up a container's namespace in one go: lo, the addresses, the link, the default routes.

    Args:
        netlink: Opened inside the namespace.
        wanted: What to set up.
    """
    requests = [
        _up("lo"),
        *(_address(rtnl.RTM_NEWADDR, wanted.index, a, CREATE | EXCL, ()) for a in wanted.addresses),
        _up(wanted.name),
        *(_default_route(wanted.index, gateway) for gateway in wanted.gateways),
    ]
    netlink.send(requests)


def set_default_routes(netlink: Netlink, index: int, gateways: Sequence[Address]) -> None:
    """Have a namespace's default routes lead by a link, in place of those that it has."""
    netlink.send([_default_route(index, gateway) for gateway in gateways])


def set_lo_up(netlink: Netlink) -> None:
    """Bring lo up."""
    netlink.send([_up("lo")])


def _up(name: str) -> Request:
    named = [("IFLA_IFNAME", name)]
    return Request(rtnl.RTM_SETLINK, {"flags": _UP, "change": _UP}, named, what=f"link {name}")


def _without_link_local(name: str) -> Request:
    mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", _NO_ADDRESS_GENERATED)]}
    attributes = [("IFLA_IFNAME", name), ("IFLA_AF_SPEC", {"attrs": [("AF_INET6", mode)]})]
    return Request(
        rtnl.RTM_SETLINK,
        {},
        attributes,
        tolerate=_NO_IPV6,
        what=f"link {name} without a link-local address",
    )


def _default_route(index: int, gateway: Address) -> Request:
    fields = {
        "family": family_of(gateway).socket,
        "dst_len": 0,
        "table": _TABLE_MAIN,
        "proto": _PROTOCOL_BOOT,
        "scope": 0,
        "type": _TYPE_UNICAST,
    }
    attributes = [("RTA_GATEWAY", str(gateway)), ("RTA_OIF", index)]
    what = "the default route"
    return Request(rtnl.RTM_NEWROUTE, fields, attributes, CREATE | REPLACE, what=what)


def _address(
    kind: int,
    index: int,
    address: Interface,
    flags: int,
    tolerate: Sequence[int],
) -> Request:
    fields = {
        "family": family_of(address).socket,
        "prefixlen": address.network.prefixlen,
        "index": index,
    }
    attributes = [("IFA_LOCAL", str(address.ip)), ("IFA_ADDRESS", str(address.ip))]
    if address.version == 4:
        attributes.append(("IFA_BROADCAST", str(address.network.broadcast_address)))
    else:
        fields["flags"] = _NO_DETECTION
    return Request(kind, fields, attributes, flags, tuple(tolerate), f"address {address}")
