"""`python -m scow.network.teardown --instance NAME`: remove an engine's bridge, links and nftables table.

For uninstalling, and for engines under test. The service must not run. Containers that run lose their network.
"""

from __future__ import annotations

import argparse

from scow.network.firewall import rules, spoofing
from scow.network.firewall.nftables import Nftables
from scow.network.ipam.addresses import FAMILIES
from scow.network.kernel import links, names
from scow.network.kernel.netlink import Netlink


def teardown(instance: str) -> list[str]:
    """Remove what is there; return the names of the links that were removed."""
    nftables = Nftables()
    for family in FAMILIES:
        nftables.run(rules.remove(family, instance))
    nftables.run(spoofing.remove(instance))
    for kind, name in nftables.list_tables():
        if name.startswith(f"{instance}-policy-"):
            nftables.run([{"delete": {"table": {"family": kind, "name": name}}}])
    nftables.close()
    bridge = names.bridge(instance)
    with Netlink() as netlink:
        present = [
            link.name
            for link in links.list_links(netlink)
            if names.is_link_of(instance, link.name)
            or names.is_marked(instance, link.alias)
            or (link.name == bridge and link.kind == "bridge")
        ]
        links.delete_links(netlink, present)
    return present


def main() -> None:
    """Read the arguments and do it."""
    parser = argparse.ArgumentParser(prog="scow.network.teardown")
    parser.add_argument("--instance", required=True, help="name of the engine")
    for name in teardown(parser.parse_args().instance):
        print(f"removed {name}")  # noqa: T201  a command's output


if __name__ == "__main__":
    main()
