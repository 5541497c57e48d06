from pathlib import Path

import pytest

from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import AmbiguousId, InvalidFilter, NetworkNotFound
from scow.core.config import NetworkSection
from scow.core.journal import Journal
from scow.core.store import Store
from scow.network import drivers
from scow.network.kernel.worker import Worker
from scow.network.networks import Networks
from scow.network.store import MIGRATIONS


@pytest.fixture
async def networks(tmp_path: Path) -> Networks:
    store = Store.open(tmp_path / "network.db", MIGRATIONS)
    journal = Journal(store, "scow-network")
    every = drivers.make(Worker(), "tunit", 0)
    made = Networks(store, journal, every, NetworkSection(), "tunit")
    made.record()
    return made


async def test_every_engine_has_three(networks: Networks) -> None:
    networks.record()  # a second time changes nothing
    described = [(n.name, n.driver, n.scope, n.bridge) for n in networks.select([])]
    assert described == [
        ("bridge", "bridge", "local", "tunit0"),
        ("host", "host", "local", ""),
        ("none", "null", "local", ""),
    ]


@pytest.mark.parametrize(
    ("key", "values", "names"),
    [
        ("name", ["o"], ["host", "none"]),
        ("name", ["bridge"], ["bridge"]),
        ("driver", ["null", "host"], ["host", "none"]),
        ("label", ["a=b"], []),
    ],
)
async def test_filters(networks: Networks, key: str, values: list[str], names: list[str]) -> None:
    found = networks.select([Filter(key=key, values=values)])
    assert [n.name for n in found] == names


async def test_a_filter_by_id(networks: Networks) -> None:
    wanted = networks.get("host").id
    [found] = networks.select([Filter(key="id", values=[wanted[:12]])])
    assert found.name == "host"


async def test_an_unknown_filter_is_named(networks: Networks) -> None:
    with pytest.raises(InvalidFilter, match="drive"):
        networks.select([Filter(key="drive", values=["host"])])


async def test_finding(networks: Networks) -> None:
    bridge = networks.get("")
    assert bridge == networks.get("bridge") == networks.get(bridge.id[:20])
    with pytest.raises(NetworkNotFound) as caught:
        networks.get("nonesuch")
    assert caught.value.which == "nonesuch"


async def test_an_ambiguous_beginning_of_an_id(networks: Networks, tmp_path: Path) -> None:
    with Store.open(tmp_path / "network.db", MIGRATIONS).transaction() as tx:
        tx.execute("UPDATE networks SET id = 'ab' || name")
    assert networks.get("abh").name == "host"
    with pytest.raises(AmbiguousId) as caught:
        networks.get("ab")
    assert caught.value.which == "ab"
