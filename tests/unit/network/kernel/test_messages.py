import struct
from typing import Any

import pytest

from scow.network.kernel import messages
from scow.network.kernel.netlink import _CLASSES, CREATE, EXCL, Netlink, Request, rtnl

_PEER = [("IFLA_IFNAME", "eth0"), ("IFLA_ADDRESS", "0a:5c:0a:c8:00:02"), ("IFLA_NET_NS_FD", 7)]
_PAIR = [
    ("IFLA_INFO_KIND", "veth"),
    ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", {"attrs": _PEER})]}),
]
_PORT = [
    ("IFLA_INFO_SLAVE_KIND", "bridge"),
    ("IFLA_INFO_SLAVE_DATA", {"attrs": [("IFLA_BRPORT_MODE", 1)]}),
]
_MODE = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", 1)]})]}
_UP = {"flags": 1, "change": 1}
_ROUTE = {"family": 10, "dst_len": 0, "table": 254, "proto": 3, "scope": 0, "type": 1}


@pytest.mark.parametrize(
    ("kind", "fields", "attributes"),
    [
        (rtnl.RTM_GETLINK, {}, []),
        (rtnl.RTM_SETLINK, _UP, [("IFLA_IFNAME", "lo")]),
        (
            rtnl.RTM_NEWLINK,
            {},
            [("IFLA_IFNAME", "x-12"), ("IFLA_MASTER", 5), ("IFLA_LINKINFO", {"attrs": _PAIR})],
        ),
        (rtnl.RTM_NEWLINK, _UP, [("IFLA_IFNAME", "x"), ("IFLA_LINKINFO", {"attrs": _PORT})]),
        (rtnl.RTM_SETLINK, {}, [("IFLA_IFNAME", "x"), ("IFLA_MTU", 9000), ("IFLA_AF_SPEC", _MODE)]),
        (
            rtnl.RTM_NEWADDR,
            {"family": 2, "prefixlen": 16, "index": 3},
            [
                ("IFA_LOCAL", "10.1.0.2"),
                ("IFA_ADDRESS", "10.1.0.2"),
                ("IFA_BROADCAST", "10.1.255.255"),
            ],
        ),
        (rtnl.RTM_NEWADDR, {"family": 10, "flags": 2, "index": 3}, [("IFA_LOCAL", "fd00::2")]),
        (rtnl.RTM_NEWROUTE, _ROUTE, [("RTA_GATEWAY", "fd00::1"), ("RTA_OIF", 3)]),
    ],
)
def test_messages_are_the_ones_of_pyroute2(
    kind: int, fields: dict[str, int], attributes: Any
) -> None:
    """Byte for byte; a mapping that is another object has pyroute2 encode."""
    request = Request(kind, fields, attributes, CREATE | EXCL)
    ours = request.encode(_CLASSES, 4, 77)
    assert ours == request.encode(dict(_CLASSES), 4, 77)


def test_answers_are_read() -> None:
    done = struct.pack("=IHHIIi", 36, 2, 0, 5, 0, 0) + bytes(16)
    refused = struct.pack("=IHHIIi", 36, 2, 0, 6, 0, -17) + bytes(16)
    other = struct.pack("=IHHII", 16, 16, 0, 7, 0)
    assert list(messages.answers(done + other + refused)) == [(5, 0), (6, 17)]
    assert list(messages.answers(bytes(40))) == []


def test_listed_objects_are_read_as_pyroute2_reads_them() -> None:
    """What the kernel lists here and now."""
    names = {
        rtnl.RTM_GETLINK: (
            "IFLA_IFNAME",
            "IFLA_MTU",
            "IFLA_ADDRESS",
            "IFLA_MASTER",
            "IFLA_IFALIAS",
        ),
        rtnl.RTM_GETADDR: ("IFA_LOCAL", "IFA_ADDRESS"),
        rtnl.RTM_GETROUTE: ("RTA_DST", "RTA_OIF", "RTA_TABLE", "RTA_GATEWAY"),
    }
    for kind, attributes in names.items():
        with Netlink() as netlink:
            netlink._socket.send(Request(kind).encode(_CLASSES, 0x300, 1))
            data = netlink._socket.recv(1 << 18)
            theirs = [each for each in netlink._marshal.parse(data) if "family" in each]
        ours = [each.content for each in messages.parse(data) if each.content is not None]
        assert len(ours) == len(theirs) > 0
        for one, other in zip(ours, theirs, strict=True):
            assert [one.get_attr(n) for n in attributes] == [other.get_attr(n) for n in attributes]
            assert one["family"] == other["family"]


@pytest.mark.parametrize("length", [0, 3, 0xFFFF])
def test_damaged_attributes_end(length: int) -> None:
    data = struct.pack("=IHHII", 16 + 16 + 8, rtnl.RTM_NEWLINK, 0, 1, 0) + bytes(16)
    [received] = messages.parse(data + struct.pack("=HHI", length, 3, 0x41414141))
    assert received.content.get_attr("IFLA_MTU") is None
    assert received.content.get_attr("IFLA_IFNAME") in ("", "AAAA", None)
