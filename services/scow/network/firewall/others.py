"""Other firewalls that drop what is forwarded: no verdict of ours can change that, so a person is told what to do.

docker
    where it made the host a router, the policy of `ip filter FORWARD` is "drop"; its chain DOCKER-USER is for others
firewalld
    rejects what comes from a link that is in none of its zones; what goes to a published port passes
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from scow.network.firewall.nftables import Nftables

_FIREWALLD = ("inet", "firewalld")


def advice(nftables: Nftables, bridges: Sequence[str]) -> list[str]:
    """Return the commands that let bridges pass; none where no firewall is in their way."""
    if not bridges:
        return []
    commands = []
    chains = [chain for chain in nftables.list_chains() if chain.get("hook") == "forward"]
    if any(chain["family"] == "ip" and chain.get("policy") == "drop" for chain in chains):
        commands += [f"iptables -I DOCKER-USER {way}" for name in bridges for way in _ways(name)]
    if any((chain["family"], chain["table"]) == _FIREWALLD for chain in chains):
        listed = json.dumps(nftables.list_table(*_FIREWALLD))
        strange = [name for name in bridges if f'"{name}"' not in listed]
        zone = "firewall-cmd --permanent --zone=trusted"
        commands += [f"{zone} --add-interface={name}" for name in strange]
        commands += ["firewall-cmd --reload"] if strange else []
    return commands


def _ways(bridge: str) -> list[str]:
    """Return rules that let a bridge's packets pass, but for those to docker's own bridges.

    Each is put before the one ahead of it.
    """
    own = [f"-i {bridge} -o {pattern} -j RETURN" for pattern in ("br-+", "docker+")]
    return [f"-o {bridge} -j ACCEPT", f"-i {bridge} -j ACCEPT", *own]
