"""The network service's tables.

::

    networks   id (key) | name (unique) | driver | subnet | bridge | last_address | created_ns | labels | options
    endpoints  id (key) | owner, network_id (unique) | name | network_id, address (unique) | mac | link (unique) |
               interface | netns_path | netns_id | ports | aliases | ready | created_ns

An endpoint's row is its lease: it is written before anything else of it exists, and `ready` is set when all of it
does. A row that is not ready after a restart belongs to an Attach that was cut short, and is released.
`address` and what follows it are NULL or empty for "host" and "none". `netns_id` is the device and inode of the
namespace, which tells whether `netns_path` still leads to the same one.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from scow.core.store import Store
from scow.network.ports.publish import Publish, from_json, to_json

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
)


@dataclass(frozen=True)
class Network:
    """A network as it is recorded."""

    id: str
    name: str
    # "bridge", "host" or "null".
    driver: str
    # CIDR and the host's link; empty unless the driver is "bridge".
    subnet: str
    bridge: str
    # The address that was given last.
    last_address: str
    created_ns: int
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Endpoint:
    """An owner's part in a network as it is recorded."""

    id: str
    owner: str
    network_id: str
    name: str
    # Empty on "host" and "none", as are mac, link and interface.
    address: str
    mac: str
    link: str
    interface: str
    netns_path: str
    netns_id: str
    ports: tuple[Publish, ...]
    aliases: tuple[str, ...]
    ready: bool
    created_ns: int


class NetworkStore:
    """Reads and writes the tables."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def networks(self) -> list[Network]:
        """Return all networks by name."""
        rows = self._store.all("SELECT * FROM networks ORDER BY name")
        return [_network(row) for row in rows]

    def endpoints(self) -> list[Endpoint]:
        """Return all endpoints, the oldest first."""
        rows = self._store.all("SELECT * FROM endpoints ORDER BY created_ns, id")
        return [_endpoint(row) for row in rows]

    def endpoints_of(self, owner: str) -> list[Endpoint]:
        """Return an owner's endpoints, the oldest first."""
        rows = self._store.all(
            "SELECT * FROM endpoints WHERE owner = ? ORDER BY created_ns, id", (owner,)
        )
        return [_endpoint(row) for row in rows]

    def endpoints_in(self, network_id: str) -> list[Endpoint]:
        """Return a network's endpoints, the oldest first."""
        rows = self._store.all(
            "SELECT * FROM endpoints WHERE network_id = ? ORDER BY created_ns, id", (network_id,)
        )
        return [_endpoint(row) for row in rows]

    def addresses(self, network_id: str) -> set[str]:
        """Return the addresses that are given in a network."""
        rows = self._store.all(
            "SELECT address FROM endpoints WHERE network_id = ? AND address IS NOT NULL",
            (network_id,),
        )
        return {row["address"] for row in rows}

    def links(self) -> set[str]:
        """Return the names of all endpoints' links in the host."""
        rows = self._store.all("SELECT link FROM endpoints WHERE link IS NOT NULL")
        return {row["link"] for row in rows}

    @staticmethod
    def put_network(tx: sqlite3.Connection, network: Network) -> None:
        """Record a network, or change what is recorded."""
        tx.execute(
            "INSERT INTO networks VALUES (?,?,?,?,?,?,?,?,?) ON CONFLICT (id) DO UPDATE SET "
            "subnet = excluded.subnet, bridge = excluded.bridge, last_address = excluded.last_address",
            (
                network.id,
                network.name,
                network.driver,
                network.subnet,
                network.bridge,
                network.last_address,
                network.created_ns,
                json.dumps(network.labels),
                json.dumps(network.options),
            ),
        )

    @staticmethod
    def insert_endpoint(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record an endpoint and, in its network, that its address was given last."""
        tx.execute(
            "INSERT INTO endpoints VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                endpoint.id,
                endpoint.owner,
                endpoint.network_id,
                endpoint.name,
                endpoint.address or None,
                endpoint.mac,
                endpoint.link or None,
                endpoint.interface,
                endpoint.netns_path,
                endpoint.netns_id,
                json.dumps(to_json(endpoint.ports)),
                json.dumps(endpoint.aliases),
                endpoint.ready,
                endpoint.created_ns,
            ),
        )
        if endpoint.address:
            tx.execute(
                "UPDATE networks SET last_address = ? WHERE id = ?",
                (endpoint.address, endpoint.network_id),
            )

    @staticmethod
    def set_plugged(tx: sqlite3.Connection, endpoint: Endpoint) -> None:
        """Record into which namespace an endpoint is plugged, and whether all of it is there."""
        tx.execute(
            "UPDATE endpoints SET netns_path = ?, netns_id = ?, ready = ? WHERE id = ?",
            (endpoint.netns_path, endpoint.netns_id, endpoint.ready, endpoint.id),
        )

    @staticmethod
    def delete_endpoint(tx: sqlite3.Connection, endpoint_id: str) -> None:
        """Forget an endpoint."""
        tx.execute("DELETE FROM endpoints WHERE id = ?", (endpoint_id,))


def _network(row: sqlite3.Row) -> Network:
    return Network(
        id=row["id"],
        name=row["name"],
        driver=row["driver"],
        subnet=row["subnet"],
        bridge=row["bridge"],
        last_address=row["last_address"],
        created_ns=row["created_ns"],
        labels=json.loads(row["labels"]),
        options=json.loads(row["options"]),
    )


def _endpoint(row: sqlite3.Row) -> Endpoint:
    return Endpoint(
        id=row["id"],
        owner=row["owner"],
        network_id=row["network_id"],
        name=row["name"],
        address=row["address"] or "",
        mac=row["mac"],
        link=row["link"] or "",
        interface=row["interface"],
        netns_path=row["netns_path"],
        netns_id=row["netns_id"],
        ports=tuple(from_json(json.loads(row["ports"]))),
        aliases=tuple(json.loads(row["aliases"])),
        ready=bool(row["ready"]),
        created_ns=row["created_ns"],
    )


def find(networks: Sequence[Network], wanted: str) -> list[Network]:
    """Return the networks of a name or id; without one, those whose id begins like that."""
    exact = [n for n in networks if wanted in (n.name, n.id)]
    return exact or [n for n in networks if wanted and n.id.startswith(wanted)]
