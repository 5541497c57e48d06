"""The network service's tables.

::

    networks   id (key) | name (unique) | driver | bridge | created_ns | labels | options | internal | attachable |
               ipv6 | ipam_options
    pools      network_id, subnet (key) | gateway | last_address | ip_range | aux | gateway_chosen
    endpoints  id (key) | owner, network_id (unique) | name | mac | link (unique) | interface | netns_path | netns_id |
               ports | aliases | ready | created_ns | routers | options | priority | link_local
    policies   owner (key) | policy
    resolvers  owner (key) | hostname | servers | qualified | links | served
    leases     network_id, address (key) | prefix | endpoint_id

A pool is a subnet of a network, of either family; a lease is an address that an endpoint has. An endpoint's row and its
leases are written in one transaction, before anything else of it exists, and `ready` is set when all of it does. A row
that is not ready after a restart belongs to an Attach that was cut short, and is released. Endpoints without a link of
their own ("host", "none") have no leases, and mac, link and interface are NULL or empty. `netns_id` is the device and
inode of the namespace, which tells whether `netns_path` still leads to the same one. `routers` are the gateways of the
namespace's default routes that lead by the endpoint: among an owner's endpoints one has that of each family. A resolver
is what the name server of an owner has to know beside its endpoints; it goes with the last of them.
"""

from __future__ import annotations

import functools
import ipaddress
import json
import sqlite3
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from scow.core.store import Store
from scow.network.ipam.addresses import Address, Interface, Pool
from scow.network.policy import model as policies
from scow.network.policy.model import Policy
from scow.network.ports.port_mapping import Publish, from_json, to_json

MIGRATIONS = (
    """
    CREATE TABLE networks (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        driver TEXT NOT NULL,
        subnet TEXT NOT NULL,
        bridge TEXT NOT NULL,
        last_address TEXT NOT NULL,
        created_ns INTEGER NOT NULL,
        labels TEXT NOT NULL,
        options TEXT NOT NULL
    );
    CREATE TABLE endpoints (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        network_id TEXT NOT NULL REFERENCES networks(id),
        name TEXT NOT NULL,
        address TEXT,
        mac TEXT NOT NULL,
        link TEXT UNIQUE,
        interface TEXT NOT NULL,
        netns_path TEXT NOT NULL,
        netns_id TEXT NOT NULL,
        ports TEXT NOT NULL,
        aliases TEXT NOT NULL,
        ready INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        UNIQUE (owner, network_id),
        UNIQUE (network_id, address)
    );
    """,
    # Ports name their address; those of before were published on IPv4 alone.
    """
    UPDATE endpoints SET ports = (
        SELECT json_group_array(json_array(
            CASE json_extract(value, '$[0]') WHEN '' THEN '0.0.0.0' ELSE json_extract(value, '$[0]') END,
            json_extract(value, '$[1]'), json_extract(value, '$[2]'),
            json_extract(value, '$[3]'), json_extract(value, '$[4]')
        )) FROM json_each(endpoints.ports)
    );
    """,
    # Subnets and addresses of both families: a network has pools, an endpoint leases of them.
    """
    CREATE TABLE pools (
        network_id TEXT NOT NULL REFERENCES networks(id) ON DELETE CASCADE,
        subnet TEXT NOT NULL,
        gateway TEXT NOT NULL,
        last_address TEXT NOT NULL,
        PRIMARY KEY (network_id, subnet)
    );
    INSERT INTO pools
        SELECT id, subnet, head || (CAST(substr(base, length(head) + 1) AS INTEGER) + 1), last_address FROM (
            SELECT *, rtrim(base, '0123456789') AS head FROM (
                SELECT *, substr(subnet, 1, instr(subnet, '/') - 1) AS base FROM networks WHERE subnet != ''
            )
        );
    CREATE TABLE given AS
        SELECT network_id, address, CAST(substr(subnet, instr(subnet, '/') + 1) AS INTEGER) AS prefix,
            endpoints.id AS endpoint_id
        FROM endpoints JOIN networks ON networks.id = network_id WHERE address IS NOT NULL;
    CREATE TABLE new_endpoints (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        network_id TEXT NOT NULL REFERENCES networks(id),
        name TEXT NOT NULL,
        mac TEXT NOT NULL,
        link TEXT UNIQUE,
        interface TEXT NOT NULL,
        netns_path TEXT NOT NULL,
        netns_id TEXT NOT NULL,
        ports TEXT NOT NULL,
        aliases TEXT NOT NULL,
        ready INTEGER NOT NULL,
        created_ns INTEGER NOT NULL,
        UNIQUE (owner, network_id)
    );
    INSERT INTO new_endpoints
        SELECT id, owner, network_id, name, mac, link, interface, netns_path, netns_id, ports, aliases, ready,
            created_ns
        FROM endpoints;
    DROP TABLE endpoints;
    ALTER TABLE new_endpoints RENAME TO endpoints;
    CREATE TABLE leases (
        network_id TEXT NOT NULL REFERENCES networks(id),
        address TEXT NOT NULL,
        prefix INTEGER NOT NULL,
        endpoint_id TEXT NOT NULL REFERENCES endpoints(id) ON DELETE CASCADE,
        PRIMARY KEY (network_id, address)
    );
    CREATE INDEX leases_endpoint ON leases(endpoint_id);
    INSERT INTO leases SELECT * FROM given;
    DROP TABLE given;
    ALTER TABLE networks DROP COLUMN subnet;
    ALTER TABLE networks DROP COLUMN last_address;
    """,
    # Networks of the user, several for one owner.
    """
    ALTER TABLE networks ADD COLUMN internal INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE networks ADD COLUMN attachable INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE networks ADD COLUMN ipv6 INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE networks ADD COLUMN ipam_options TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE pools ADD COLUMN ip_range TEXT NOT NULL DEFAULT '';
    ALTER TABLE pools ADD COLUMN aux TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE pools ADD COLUMN gateway_chosen INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE endpoints ADD COLUMN routers TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE endpoints ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE endpoints ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE endpoints ADD COLUMN link_local TEXT NOT NULL DEFAULT '[]';
    UPDATE endpoints SET routers = (
        SELECT json_group_array(gateway) FROM pools WHERE pools.network_id = endpoints.network_id
    ) WHERE interface = 'eth0';
    """,
    # Name servers of containers on networks with names.
    """
    CREATE TABLE resolvers (
        owner TEXT PRIMARY KEY,
        hostname TEXT NOT NULL,
        servers TEXT NOT NULL,
        qualified INTEGER NOT NULL,
        links TEXT NOT NULL,
        served INTEGER NOT NULL
    );
    """,
    # Egress policies, by owner.
    """
    CREATE TABLE policies (
        owner TEXT PRIMARY KEY,
        policy TEXT NOT NULL
    );
    """,
    # CNI plugins that are to attach no more containers: see scow.network.cni.catalogue.
    """
    CREATE TABLE disabled_cni_plugins (
        name TEXT PRIMARY KEY
    );
    """,
)


_ENDPOINTS = (
    "SELECT endpoints.*, group_concat(leases.address || '/' || leases.prefix) AS addresses "
    "FROM endpoints LEFT JOIN leases ON leases.endpoint_id = endpoints.id"
)
_IN_ORDER = "GROUP BY endpoints.id ORDER BY created_ns, endpoints.id"


@dataclass(frozen=True)
class Network:
    """A network as it is recorded.

    Attributes:
        driver: Its name, in `drivers`.
        bridge: The host's link; empty without one.
        options: Of the driver.
        internal: There is no way out of it.
        attachable: Kept for those who ask.
        ipv6: A subnet of IPv6 was asked for.
        ipam_options: Kept for those who ask.
        pools: Its subnets, IPv4 first; empty when endpoints have no addresses, or none was chosen yet.
    """

    id: str
    name: str
    driver: str
    bridge: str
    created_ns: int
    pools: tuple[Pool, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    internal: bool = False
    attachable: bool = False
    ipv6: bool = False
    ipam_options: dict[str, str] = field(default_factory=dict)

    def gateways(self) -> list[Address]:
        """Return the host's addresses on it."""
        return [pool.gateway for pool in self.pools]


@dataclass(frozen=True)
class Endpoint:
    """An owner's part in a network as it is recorded.

    Attributes:
        addresses: One of each pool of the network, IPv4 first; empty without a link.
        mac: Of the container's link; empty without one, as are link and interface.
        link: The host's end.
        interface: The container's.
        routers: Gateways of the default routes that lead by it.
        options: Of the driver.
        priority: Among an owner's endpoints, the highest has the default routes.
        link_local: Further addresses of the container's link.
    """

    id: str
    owner: str
    network_id: str
    name: str
    addresses: tuple[Interface, ...]
    mac: str
    link: str
    interface: str
    netns_path: str
    netns_id: str
    ports: tuple[Publish, ...]
    aliases: tuple[str, ...]
    ready: bool
    created_ns: int
    routers: tuple[Address, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    priority: int = 0
    link_local: tuple[Interface, ...] = ()


@dataclass(frozen=True)
class Resolving:
    """What the name server of an owner has to know beside its endpoints.

    Attributes:
        hostname: Its own name, one of those that others find it by.
        servers: Name servers that it asked for.
        qualified: Names without a dot are not asked for elsewhere.
        links: Names of its own, and the names that they stand for.
        served: Its resolv.conf names our server.
    """

    hostname: str
    servers: tuple[str, ...] = ()
    qualified: bool = False
    links: dict[str, str] = field(default_factory=dict)
    served: bool = False


class NetworkStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def networks(self) -> list[Network]:
        """Return all networks by name."""
        pools = defaultdict(list)
        for row in self._store.all("SELECT * FROM pools"):
            pools[row["network_id"]].append(_pool(row))
        rows = self._store.all("SELECT * FROM networks ORDER BY name")
        return [_network(row, tuple(pools[row["id"]])) for row in rows]

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints, the oldest first."""
        return self._endpoints("", ())

    def endpoints_of(self, owner: str) -> list[Endpoint]:
        """Return an owner's endpoints, the oldest first."""
        return self._endpoints("WHERE owner = ?", (owner,))

    def endpoints_in(self, network_id: str) -> list[Endpoint]:
        """Return a network's endpoints, the oldest first."""
        return self._endpoints("WHERE endpoints.network_id = ?", (network_id,))

    def _endpoints(self, condition: str, parameters: Sequence[str]) -> list[Endpoint]:
        rows = self._store.all(f"{_ENDPOINTS} {condition} {_IN_ORDER}", parameters)
        return [_endpoint(row) for row in rows]

    def leased(self, network_id: str) -> set[Address]:
        """Return the addresses that are given in a network."""
        rows = self._store.all("SELECT address FROM leases WHERE network_id = ?", (network_id,))
        return {ipaddress.ip_address(row["address"]) for row in rows}

    def links(self) -> set[str]:
        """Return the names of all endpoints' links in the host."""
        rows = self._store.all("SELECT link FROM endpoints WHERE link IS NOT NULL")
        return {row["link"] for row in rows}

    def policy(self, owner: str) -> Policy | None:
        """Return an owner's policy."""
        rows = self._store.all("SELECT policy FROM policies WHERE owner = ?", (owner,))
        return policies.from_json(rows[0]["policy"]) if rows else None

    def policy_owners(self) -> set[str]:
        """Return the owners that have policies."""
        return {row["owner"] for row in self._store.all("SELECT owner FROM policies")}

    def forget_policy(self, owner: str) -> None:
        """Forget the policy of an owner that is gone."""
        with self._store.transaction() as tx:
            self.set_policy(tx, owner, None)

    @staticmethod
    def set_policy(tx: sqlite3.Connection, owner: str, policy: Policy | None) -> None:
        """Record an owner's policy, or that it has none."""
        tx.execute("DELETE FROM policies WHERE owner = ?", (owner,))
        if policy is not None:
            tx.execute("INSERT INTO policies VALUES (?,?)", (owner, policies.to_json(policy)))

    def resolving(self, owner: str) -> Resolving | None:
        """Return what the name server of an owner has to know."""
        rows = self._store.all("SELECT * FROM resolvers WHERE owner = ?", (owner,))
        return _resolving(rows[0]) if rows else None

    @staticmethod
    def set_resolving(tx: sqlite3.Connection, owner: str, resolving: Resolving) -> None:
        """Record what the name server of an owner has to know."""
        tx.execute(
            "INSERT OR REPLACE INTO resolvers VALUES (?,?,?,?,?,?)",
            (
                owner,
                resolving.hostname,
                json.dumps(resolving.servers),
                resolving.qualified,
                json.dumps(resolving.links),
                resolving.served,
            ),
        )

    @staticmethod
    def insert_network(tx: sqlite3.Connection, network: Network) -> None:
        """Record a network and its pools."""
        tx.execute(
            "INSERT INTO networks (id, name, driver, bridge, created_ns, labels, options, internal, attachable, "
            "ipv6, ipam_options) VALUES (?,?,?,?,?,?,?,?,?,?,?)",
            (
                network.id,
                network.name,
                network.driver,
                network.bridge,
                network.created_ns,
                json.dumps(network.labels),
                json.dumps(network.options),
                network.internal,
                network.attachable,
                network.ipv6,
                json.dumps(network.ipam_options),
            ),
        )
        NetworkStore.set_pools(tx, network.id, network.pools)

    @staticmethod
    def set_options(tx: sqlite3.Connection, name: str, options: Mapping[str, str]) -> None:
        """Record the options of a network, if there is one of this name."""
        tx.execute("UPDATE networks SET options = ? WHERE name = ?", (json.dumps(options), name))

    @staticmethod
    def set_pools(tx: sqlite3.Connection, network_id: str, pools: Sequence[Pool]) -> None:
        """Record the pools of a network in place of those that it had; none of them has leases that would be lost."""
        tx.execute("DELETE FROM pools WHERE network_id = ?", (network_id,))
        for pool in pools:
            last = str(pool.last) if pool.last is not None else ""
            tx.execute(
                "INSERT INTO pools VALUES (?,?,?,?,?,?,?)",
                (
                    network_id,
                    str(pool.subnet),
                    str(pool.gateway),
                    last,
                    str(pool.ip_range or ""),
                    json.dumps({name: str(address) for name, address in pool.aux}),
                    pool.gateway_chosen,
                ),
            )

    @staticmethod
    def delete_network(tx: sqlite3.Connection, network_id: str) -> None:
        """Forget a network and its pools; it has no endpoints."""
        tx.execute("DELETE FROM networks WHERE id = ?", (network_id,))

    @staticmethod
    def insert_endpoint(tx: sqlite3.Connection, endpoint: Endpoint, network: Network) -> None:
        """Record an endpoint with its leases and, in its network, that these addresses were given last."""
        tx.execute(
            "INSERT INTO endpoints VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                endpoint.id,
                endpoint.owner,
                endpoint.network_id,
                endpoint.name,
                endpoint.mac,
                endpoint.link or None,
                endpoint.interface,
                endpoint.netns_path,
                endpoint.netns_id,
                json.dumps(to_json(endpoint.ports)),
                json.dumps(endpoint.aliases),
                endpoint.ready,
                endpoint.created_ns,
                json.dumps([str(router) for router in endpoint.routers]),
                json.dumps(endpoint.options),
                endpoint.priority,
                json.dumps([str(address) for address in endpoint.link_local]),
            ),
        )
        for pool, address in zip(network.pools, endpoint.addresses, strict=False):
            tx.execute(
                "INSERT INTO leases VALUES (?,?,?,?)",
                (network.id, str(address.ip), address.network.prefixlen, endpoint.id),
            )
            tx.execute(
                "UPDATE pools SET last_address = ? WHERE network_id = ? AND subnet = ?",
                (str(address.ip), network.id, str(pool.subnet)),
            )

    @staticmethod
    def set_plugged(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record into which namespace an endpoint is plugged, its name, and whether all of it is there."""
        tx.execute(
            "UPDATE endpoints SET name = ?, netns_path = ?, netns_id = ?, ready = ? WHERE id = ?",
            (
                endpoint.name,
                endpoint.netns_path,
                endpoint.netns_id,
                endpoint.ready,
                endpoint.id,
            ),
        )

    @staticmethod
    def set_routers(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record which default routes lead by an endpoint."""
        routers = json.dumps([str(router) for router in endpoint.routers])
        tx.execute("UPDATE endpoints SET routers = ? WHERE id = ?", (routers, endpoint.id))

    @staticmethod
    def set_endpoint_options(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record an endpoint's options."""
        text = json.dumps(endpoint.options)
        tx.execute("UPDATE endpoints SET options = ? WHERE id = ?", (text, endpoint.id))

    @staticmethod
    def set_ports(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record which ports lead to an endpoint."""
        ports = json.dumps(to_json(endpoint.ports))
        tx.execute("UPDATE endpoints SET ports = ? WHERE id = ?", (ports, endpoint.id))

    @staticmethod
    def set_addresses(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record the addresses that a driver chose for an endpoint.

        Raises:
            sqlite3.IntegrityError: Another one has one of them.
        """
        tx.execute("UPDATE endpoints SET mac = ? WHERE id = ?", (endpoint.mac, endpoint.id))
        tx.execute("DELETE FROM leases WHERE endpoint_id = ?", (endpoint.id,))
        tx.executemany(
            "INSERT INTO leases VALUES (?,?,?,?)",
            [
                (endpoint.network_id, str(each.ip), each.network.prefixlen, endpoint.id)
                for each in endpoint.addresses
            ],
        )

    @staticmethod
    def delete_endpoint(tx: sqlite3.Connection, endpoint_id: str) -> None:
        """Forget an endpoint and its leases, and the owner's resolver with the last one."""
        tx.execute("DELETE FROM endpoints WHERE id = ?", (endpoint_id,))
        tx.execute("DELETE FROM resolvers WHERE owner NOT IN (SELECT owner FROM endpoints)")


# Read several times for each container and seldom changed, while addresses take long to parse.
@functools.lru_cache(maxsize=1024)
def _pool(row: sqlite3.Row) -> Pool:
    return Pool(
        subnet=ipaddress.ip_network(row["subnet"]),
        gateway=ipaddress.ip_address(row["gateway"]),
        last=ipaddress.ip_address(row["last_address"]) if row["last_address"] else None,
        ip_range=ipaddress.ip_network(row["ip_range"]) if row["ip_range"] else None,
        aux=tuple(
            (name, ipaddress.ip_address(address))
            for name, address in json.loads(row["aux"]).items()
        ),
        gateway_chosen=bool(row["gateway_chosen"]),
    )


@functools.lru_cache(maxsize=1024)
def _network(row: sqlite3.Row, pools: tuple[Pool, ...]) -> Network:
    return Network(
        id=row["id"],
        name=row["name"],
        driver=row["driver"],
        bridge=row["bridge"],
        created_ns=row["created_ns"],
        pools=tuple(sorted(pools, key=lambda pool: pool.subnet.version)),
        labels=json.loads(row["labels"]),
        options=json.loads(row["options"]),
        internal=bool(row["internal"]),
        attachable=bool(row["attachable"]),
        ipv6=bool(row["ipv6"]),
        ipam_options=json.loads(row["ipam_options"]),
    )


def _resolving(row: sqlite3.Row) -> Resolving:
    return Resolving(
        hostname=row["hostname"],
        servers=tuple(json.loads(row["servers"])),
        qualified=bool(row["qualified"]),
        links=json.loads(row["links"]),
        served=bool(row["served"]),
    )


def _endpoint(row: sqlite3.Row) -> Endpoint:
    addresses = [
        ipaddress.ip_interface(text) for text in (row["addresses"] or "").split(",") if text
    ]
    return Endpoint(
        id=row["id"],
        owner=row["owner"],
        network_id=row["network_id"],
        name=row["name"],
        addresses=tuple(sorted(addresses, key=lambda address: address.version)),
        mac=row["mac"],
        link=row["link"] or "",
        interface=row["interface"],
        netns_path=row["netns_path"],
        netns_id=row["netns_id"],
        ports=tuple(from_json(json.loads(row["ports"]))),
        aliases=tuple(json.loads(row["aliases"])),
        ready=bool(row["ready"]),
        created_ns=row["created_ns"],
        routers=tuple(map(ipaddress.ip_address, json.loads(row["routers"]))),
        options=json.loads(row["options"]),
        priority=row["priority"],
        link_local=tuple(map(ipaddress.ip_interface, json.loads(row["link_local"]))),
    )


def find(networks: Sequence[Network], wanted: str) -> list[Network]:
    """Return the networks of a name or id; without one, those whose id begins like that."""
    exact = [n for n in networks if wanted in (n.name, n.id)]
    return exact or [n for n in networks if wanted and n.id.startswith(wanted)]
