"""Bandwidth limits of endpoints: what leaves the host's end of a link goes into the container, and the other way round.

They are among an endpoint's options, are set when it is attached, and set again by reconciliation, for links that were
made anew.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable

import structlog

from scow.contract.errors import LinkFailed
from scow.network import options
from scow.network.kernel import netns, rates
from scow.network.kernel.netlink import Netlink
from scow.network.store import Endpoint

_log = structlog.get_logger()


def are_limited(endpoint: Endpoint) -> bool:
    """Tell whether an endpoint has limits, and a link that can have some."""
    return bool(endpoint.link) and options.rates(endpoint.options) != options.Rates()


def apply(endpoint: Endpoint) -> None:
    """Set an endpoint's limits, or that it has none. It blocks, if only for a moment.

    Raises:
        LinkFailed: A link is gone, or the kernel refuses.
        KernelUnsupported: The kernel cannot limit.
    """
    wanted = options.rates(endpoint.options)
    with Netlink() as netlink:
        rates.limit(netlink, _index(endpoint.link), wanted.into, endpoint.link)
    with netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor:
        inside, index = netns.netlink_inside(descriptor, endpoint.interface)
        with inside:
            rates.limit(inside, index, wanted.out, endpoint.interface)


def apply_all(endpoints: Iterable[Endpoint]) -> None:
    """Set the limits of all endpoints that have some."""
    for endpoint in endpoints:
        if are_limited(endpoint):
            try:
                apply(endpoint)
            except LinkFailed as error:
                _log.info("no limits for what has ended", link=endpoint.link, error=error.message)


def _index(link: str) -> int:
    try:
        return socket.if_nametoindex(link)
    except OSError as error:
        raise LinkFailed(
            f"the link {link} is gone", what="link", which=link, do="attach its container again"
        ) from error
