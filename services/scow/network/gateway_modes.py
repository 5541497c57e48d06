"""How a bridge is the gateway of its containers, for each family: Docker's `gateway_mode_ipv4` and `gateway_mode_ipv6`.

::

    nat              packets to elsewhere get the host's address; ports of the host lead to published ones
    nat-unprotected  the same, but whoever has a route to the containers reaches all of their ports
    routed           addresses stay; published ports are reached at the containers' own addresses, and ports of the host
                     do not matter
    isolated         of internal networks alone: the bridge has no address, so that not even the host is there
"""

from __future__ import annotations

NAT, UNPROTECTED, ROUTED, ISOLATED = "nat", "nat-unprotected", "routed", "isolated"
ALL = (NAT, UNPROTECTED, ROUTED, ISOLATED)
