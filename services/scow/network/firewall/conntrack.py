"""Connection tracking: forgetting the flows of UDP that a change of published ports makes wrong.

Only the first packet of a flow meets nftables' maps. A sender that never pauses would keep its flow to the host, or
to a container that is gone, for ever; TCP connections end by themselves.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Iterable
from functools import cache
from typing import Any

from scow.network.ipam.addresses import Address, Family
from scow.network.kernel.netlink import Netlink, Request, bare_package
from scow.network.ports.port_mapping import Publish

_NETFILTER = 12  # NETLINK_NETFILTER, which the socket module lacks
_NEW, _GET, _DELETE = 0x100, 0x101, 0x102


@cache
def _module() -> Any:
    """Return pyroute2's module, imported on first use: 30 ms and 3.5 MiB that only UDP needs."""
    with bare_package():
        from pyroute2.netlink.nfnetlink import nfctsocket
    return nfctsocket


def forget_udp(family: Family, published: Iterable[Publish], addresses: Collection[Address]) -> int:
    """Forget the flows to published UDP ports; return how many there were.

    Args:
        family: Of the flows.
        published: The ports; those that are not UDP are passed over.
        addresses: What the flows go to: addresses of the host, of the container.
    """
    ports = {p.host_port + n for p in published if p.protocol == "udp" for n in range(p.count)}
    if not ports:
        return 0
    message = _module().nfct_msg
    with Netlink(_NETFILTER, dict.fromkeys((_NEW, _GET, _DELETE), message)) as netlink:
        flows = _flows_to(family, netlink, ports, {str(address) for address in addresses})
        gone = (errno.ENOENT,)
        netlink.send(
            [
                Request(
                    _DELETE,
                    {"nfgen_family": family.socket},
                    [("CTA_TUPLE_ORIG", original), ("CTA_ID", identity)],
                    tolerate=gone,
                    what="a tracked flow",
                )
                for original, identity in flows
            ]
        )
    return len(flows)


def _flows_to(
    family: Family, netlink: Netlink, ports: Collection[int], addresses: Collection[str]
) -> list[tuple[Any, int]]:
    """Return original tuple and id of the flows whose first packet went to one of the ports.

    The kernel picks UDP and, of a single port, the port. One question costs it 9 ms, so it is asked once.
    """
    module = _module()
    flags = module.FILTER_FLAG_CTA_PROTO_NUM
    protocol = [("CTA_PROTO_NUM", socket.IPPROTO_UDP)]
    if len(ports) == 1:
        flags |= module.FILTER_FLAG_CTA_PROTO_DST_PORT
        protocol += [("CTA_PROTO_DST_PORT", port) for port in ports]
    request = Request(
        _GET,
        {"nfgen_family": family.socket},
        [
            ("CTA_TUPLE_ORIG", {"attrs": [("CTA_TUPLE_PROTO", {"attrs": protocol})]}),
            ("CTA_FILTER", {"attrs": [("CTA_FILTER_ORIG_FLAGS", flags)]}),
        ],
        what="tracked flows",
    )
    address = f"CTA_IP_V{family.version}"
    found = []
    for flow in netlink.dump(request):
        original, reply = flow.get_attr("CTA_TUPLE_ORIG"), flow.get_attr("CTA_TUPLE_REPLY")
        to = original.get_attr("CTA_TUPLE_IP").get_attr(f"{address}_DST")
        answered_by = reply.get_attr("CTA_TUPLE_IP").get_attr(f"{address}_SRC")
        port = original.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_DST_PORT")
        if port in ports and (to in addresses or answered_by in addresses):
            found.append((_tuple(address, original), flow.get_attr("CTA_ID")))
    return found


def _tuple(address: str, original: Any) -> Any:
    ip, protocol = original.get_attr("CTA_TUPLE_IP"), original.get_attr("CTA_TUPLE_PROTO")
    ends = [(name, ip.get_attr(name)) for name in (f"{address}_SRC", f"{address}_DST")]
    numbers = ("CTA_PROTO_NUM", "CTA_PROTO_SRC_PORT", "CTA_PROTO_DST_PORT")
    ports = [(name, protocol.get_attr(name)) for name in numbers]
    return {
        "attrs": [
            ("CTA_TUPLE_IP", {"attrs": ends}),
            ("CTA_TUPLE_PROTO", {"attrs": ports}),
        ]
    }
