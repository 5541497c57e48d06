"""The inside of a container's namespace, as far as it is the same with every driver that plugs a link."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from scow.network import options
from scow.network.ipam.addresses import IPV6, of_family
from scow.network.kernel import links, netns, sysctls
from scow.network.kernel.links import Inside
from scow.network.kernel.netlink import Netlink
from scow.network.store import Endpoint


def set_up(descriptor: int, endpoint: Endpoint) -> None:
    """Give a link that was put into a namespace its settings, addresses and routes, and bring it up.

    Args:
        descriptor: Open on the namespace.
        endpoint: Whose link it is.

    Raises:
        LinkFailed: There is no such link, or the kernel refuses.
        KernelUnsupported: The kernel lacks what is needed.
    """
    addresses = [*endpoint.addresses, *endpoint.link_local]
    settings = dict(sysctls.WITHOUT_IPV6)
    if of_family(addresses, IPV6) is not None:
        settings = dict(sysctls.INSIDE)
    settings.update(options.settings(endpoint.options))
    inside, index = netns.netlink_inside(descriptor, endpoint.interface, settings)
    with inside:
        wanted = Inside(endpoint.interface, index, addresses, endpoint.routers)
        links.set_up_inside(inside, wanted)
        inside.settle(endpoint.interface)


def route(endpoint: Endpoint) -> None:
    """Have a namespace's default routes lead by an endpoint.

    Raises:
        LinkFailed: The namespace is gone, or the kernel refuses.
    """
    with netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor:
        inside, index = netns.netlink_inside(descriptor, endpoint.interface)
        with inside:
            links.set_default_routes(inside, index, endpoint.routers)


def has_link(endpoint: Endpoint, kind: str) -> bool:
    """Tell whether an endpoint's link, which is of a kind, is in its namespace."""
    if netns.current_identity(endpoint.netns_path) != endpoint.netns_id:
        return False
    with _netlink(endpoint) as netlink:
        found = links.find_link(netlink, endpoint.interface)
        return found is not None and found.kind == kind


def has_interface(endpoint: Endpoint) -> bool:
    """Tell whether a link of an endpoint's name is in its namespace, of whatever kind."""
    if netns.current_identity(endpoint.netns_path) != endpoint.netns_id:
        return False
    with _netlink(endpoint) as netlink:
        return links.find_link(netlink, endpoint.interface) is not None


def set_lo_up(endpoint: Endpoint) -> None:
    """Bring lo of an endpoint's namespace up.

    Raises:
        LinkFailed: The namespace is gone.
    """
    with _netlink(endpoint) as netlink:
        links.set_lo_up(netlink)


def delete_link(endpoint: Endpoint, kind: str) -> None:
    """Delete an endpoint's link, which is of a kind, in its namespace, if both are there."""
    if has_link(endpoint, kind):
        with _netlink(endpoint) as netlink:
            links.delete_links(netlink, [endpoint.interface])


@contextlib.contextmanager
def _netlink(endpoint: Endpoint) -> Iterator[Netlink]:
    with (
        netns.opened_as(endpoint.netns_path, endpoint.netns_id) as descriptor,
        netns.inside(descriptor, Netlink) as netlink,
    ):
        yield netlink
