import errno
import socket
import subprocess
import sys

import pytest

from scow.contract.errors import KernelUnsupported, LinkFailed
from scow.network.kernel import links
from scow.network.kernel.netlink import Netlink, Request, refusal, rtnl


def test_pyroute2_is_not_loaded_whole() -> None:
    code = (
        "import sys, scow.network.kernel.netlink as n; "
        "loaded = [m for m in sys.modules if m.startswith('pyroute2')]; "
        "assert 'pyroute2' not in loaded and 'pyroute2.iproute' not in loaded, loaded; "
        "import pyroute2; pyroute2.IPRoute"  # and who wants it whole gets it whole
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_loopback_link_is_read() -> None:
    with Netlink() as netlink:
        lo = links.find_link(netlink, "lo")
        assert lo is not None
        assert (lo.index, lo.name, lo.master) == (socket.if_nametoindex("lo"), "lo", 0)
        assert lo in links.list_links(netlink)
        assert links.find_link(netlink, "nonesuch") is None


def test_addresses_and_routes_are_read() -> None:
    with Netlink() as netlink:
        addresses = [(index, str(a)) for index, a in links.list_addresses(netlink)]
        assert (1, "127.0.0.1/8") in addresses
        routes = links.list_routes(netlink)
        assert not any(r.destination.is_loopback for r in routes), "the local table is left out"


def test_a_refusal_names_link_and_reason() -> None:
    with Netlink() as netlink:
        request = Request(rtnl.RTM_DELLINK, {}, [("IFLA_IFNAME", "nonesuch")], what="link nonesuch")
        with pytest.raises(LinkFailed) as caught:
            netlink.send([request])
    assert caught.value.which == "link nonesuch"
    assert caught.value.metadata["errno"] in ("ENODEV", "EPERM")


def test_later_requests_are_done_and_the_first_refusal_is_raised() -> None:
    with Netlink() as netlink:
        requests = [
            Request(rtnl.RTM_GETLINK, {}, [("IFLA_IFNAME", name)], what=name)
            for name in ("first", "second")
        ]
        with pytest.raises(LinkFailed) as caught:
            netlink.send(requests)
        assert caught.value.which == "first"
        assert links.find_link(netlink, "lo") is not None, "no answer is left over"


def test_tolerated_refusals() -> None:
    with Netlink() as netlink:
        named = [("IFLA_IFNAME", "nonesuch")]
        netlink.send([Request(rtnl.RTM_GETLINK, {}, named, tolerate=(errno.ENODEV,))])
        netlink.send([])


def test_what_the_kernel_lacks_is_another_class() -> None:
    assert isinstance(refusal("x", errno.EOPNOTSUPP), KernelUnsupported)
    assert isinstance(refusal("x", errno.EEXIST), LinkFailed)


def test_settling_tells_of_the_carrier() -> None:
    with Netlink() as netlink:
        assert netlink.settle("lo")
        assert not netlink.settle("nonesuch")
