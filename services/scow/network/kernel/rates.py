"""Bandwidth limits of links: a token bucket at a link's end (tc-tbf(8), linux/pkt_sched.h)."""

from __future__ import annotations

import errno
import struct

from scow.network.kernel.netlink import CREATE, REPLACE, Netlink, Request

_NEW, _DELETE = 36, 37  # RTM_NEWQDISC, RTM_DELQDISC
_ROOT = 0xFFFFFFFF
_ETHERNET = 1
_MAX_RATE = 0xFFFFFFFF
# What may be sent at once: 10 milliseconds' worth, and the largest packet that the kernel hands on in one piece.
_BURST_SECONDS, _LEAST_BURST = 0.01, 64 << 10
# How long a packet may wait, at most.
_WAIT_SECONDS = 0.05
# Cell size, link layer, overhead, alignment, least packet, bytes a second.
_RATE = struct.Struct("=BBHhHI")
_LIMITS = struct.Struct("=III")


def limit(netlink: Netlink, index: int, bits: int, what: str) -> None:
    """Limit what leaves by a link.

    Args:
        netlink: Of the link's namespace.
        index: The link.
        bits: A second; 0 means no limit.
        what: Names the link in errors.

    Raises:
        KernelUnsupported: The kernel has no token buckets.
        LinkFailed: It refuses.
    """
    fields = {"index": index, "parent": _ROOT}
    if not bits:
        nothing = (errno.ENOENT, errno.EINVAL)  # none of ours is there
        netlink.send([Request(_DELETE, fields, tolerate=nothing, what=what)])
        return
    rate = bits // 8
    burst = max(int(rate * _BURST_SECONDS), _LEAST_BURST)
    bounded = _RATE.pack(0, _ETHERNET, 0, 0, 0, min(rate, _MAX_RATE))
    queue = min(burst + int(rate * _WAIT_SECONDS), _MAX_RATE)
    options = [
        ("TCA_TBF_PARMS", bounded + bytes(_RATE.size) + _LIMITS.pack(queue, 0, 0)),
        ("TCA_TBF_BURST", min(burst, _MAX_RATE)),
        ("TCA_TBF_RATE64", rate),
    ]
    attributes = [("TCA_KIND", "tbf"), ("TCA_OPTIONS", {"attrs": options})]
    netlink.send([Request(_NEW, fields, attributes, CREATE | REPLACE, what=what)])
