import sqlite3
from dataclasses import replace
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

import pytest

from scow.core.store import Store
from scow.network.ipam.addresses import Pool
from scow.network.ports.port_mapping import Publish
from scow.network.store import MIGRATIONS, Endpoint, Network, NetworkStore, find

POOLS = tuple(Pool.of(ip_network(subnet)) for subnet in ("10.0.0.0/24", "fd00::/64"))
BRIDGE = Network("b" * 64, "bridge", "bridge", "x0", 1, POOLS, {"a": "b"}, {"c": "d"})
HOST = Network("f" * 64, "host", "host", "", 1)
ENDPOINT = Endpoint(
    id="e" * 64,
    owner="container/1",
    network_id=BRIDGE.id,
    name="web",
    addresses=(ip_interface("10.0.0.2/24"), ip_interface("fd00::2/64")),
    mac="0a:5c:0a:00:00:02",
    link="x-eeeeee",
    interface="eth0",
    netns_path="/proc/1/ns/net",
    netns_id="4:1",
    ports=(Publish("127.0.0.1", 8080, 80, "tcp", 3),),
    aliases=("www",),
    ready=False,
    created_ns=5,
)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    opened = Store.open(tmp_path / "network.db", MIGRATIONS)
    with opened.transaction() as tx:
        for network in (BRIDGE, HOST):
            NetworkStore.insert_network(tx, network)
    return opened


def insert(store: Store, *endpoints: Endpoint) -> None:
    with store.transaction() as tx:
        for endpoint in endpoints:
            network = BRIDGE if endpoint.network_id == BRIDGE.id else HOST
            NetworkStore.insert_endpoint(tx, endpoint, network)


def test_what_is_written_is_read(store: Store) -> None:
    insert(store, ENDPOINT)
    rows = NetworkStore(store)
    assert rows.endpoints() == rows.endpoints_of("container/1") == [ENDPOINT]
    assert rows.endpoints_in(BRIDGE.id) == [ENDPOINT]
    assert rows.endpoints_in(HOST.id) == []
    given = [replace(p, last=a.ip) for p, a in zip(POOLS, ENDPOINT.addresses, strict=True)]
    assert rows.networks() == [replace(BRIDGE, pools=tuple(given)), HOST]
    assert rows.leased(BRIDGE.id) == {address.ip for address in ENDPOINT.addresses}
    assert rows.links() == {"x-eeeeee"}


def test_a_networks_pools_are_changed(store: Store) -> None:
    other = (Pool.of(ip_network("10.1.0.0/24")),)
    with store.transaction() as tx:
        NetworkStore.set_pools(tx, BRIDGE.id, other)
    assert NetworkStore(store).networks()[0] == replace(BRIDGE, pools=other)


def test_plugged_and_deleted(store: Store) -> None:
    insert(store, ENDPOINT)
    moved = replace(ENDPOINT, netns_path="/proc/2/ns/net", netns_id="4:2", ready=True)
    with store.transaction() as tx:
        NetworkStore.set_plugged(tx, moved)
    assert NetworkStore(store).endpoints() == [moved]
    with store.transaction() as tx:
        NetworkStore.delete_endpoint(tx, moved.id)
    assert NetworkStore(store).endpoints() == []
    assert NetworkStore(store).leased(BRIDGE.id) == set()


def test_a_database_of_before_is_migrated(tmp_path: Path) -> None:
    old = Store.open(tmp_path / "old.db", MIGRATIONS[:1])
    ports = '[["", 8080, 80, "tcp", 1], ["127.0.0.1", 53, 53, "udp", 2]]'
    with old.transaction() as tx:
        tx.execute(
            "INSERT INTO networks VALUES ('n','bridge','bridge','10.0.0.0/24','','10.0.0.9',1,'{}','{}')"
        )
        for number, text in enumerate((ports, "[]")):
            tx.execute(
                "INSERT INTO endpoints VALUES (?,?,'n','','10.0.0.' || ?,'',?,'','','',?,'[]',1,?)",
                (f"e{number}", f"o{number}", number + 2, f"l{number}", text, number),
            )
    old.close()
    migrated = NetworkStore(Store.open(tmp_path / "old.db", MIGRATIONS))
    first, second = migrated.endpoints()
    assert first.addresses == (ip_interface("10.0.0.2/24"),)
    assert second.addresses == (ip_interface("10.0.0.3/24"),)
    [network] = migrated.networks()
    assert network.pools == (
        Pool(ip_network("10.0.0.0/24"), ip_address("10.0.0.1"), ip_address("10.0.0.9")),
    )
    assert first.ports == (
        Publish("0.0.0.0", 8080, 80, "tcp", 1),
        Publish("127.0.0.1", 53, 53, "udp", 2),
    )
    assert second.ports == ()


def test_no_two_endpoints_share_what_is_one_endpoints_own(store: Store) -> None:
    insert(store, ENDPOINT)
    free = (ip_interface("10.0.0.3/24"), ip_interface("fd00::3/64"))
    other = replace(ENDPOINT, id="d" * 64, owner="container/2", addresses=free, link="x-dd")
    for clash in (
        replace(other, addresses=ENDPOINT.addresses),
        replace(other, addresses=(free[0], ENDPOINT.addresses[1])),
        replace(other, link=ENDPOINT.link),
        replace(other, owner=ENDPOINT.owner),
    ):
        with pytest.raises(sqlite3.IntegrityError):
            insert(store, clash)
    insert(store, other)


def test_many_endpoints_have_no_address(store: Store) -> None:
    bare = replace(ENDPOINT, network_id=HOST.id, addresses=(), mac="", link="", ports=())
    second = replace(bare, id="d" * 64, owner="container/2")
    insert(store, bare, second)
    assert len(NetworkStore(store).endpoints_in(HOST.id)) == 2


def test_networks_are_found_by_name_id_and_beginning_of_an_id() -> None:
    networks = [BRIDGE, HOST]
    assert find(networks, "bridge") == find(networks, BRIDGE.id) == find(networks, "bb") == [BRIDGE]
    assert find(networks, "nonesuch") == find(networks, "") == []
