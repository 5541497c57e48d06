"""Rows about memory."""

from __future__ import annotations

from tests.bench.measure import Bench, containers
from tests.bench.table import Row
from tests.support import processes

CONTAINERS = 8


def memory_of_containers(bench: Bench) -> Row:
    """PSS beside each of several running containers: shim, or what the peer has."""
    with containers(bench, CONTAINERS, ["sleep", "10000"]) as ids:
        row = Row(f"PSS beside a container, of {CONTAINERS}", "MiB", limit=4.6)
        shims = [bench.engine.shim_pid(container) for container in ids["scow"]]
        row.values["scow"] = _pss_mib(shims) / CONTAINERS
        for name, peer in bench.peers.items():
            row.values[name] = _pss_mib(peer.monitors()) / CONTAINERS
    return row


def memory_at_rest(bench: Bench) -> Row:
    """PSS of everything that runs when no container does."""
    row = Row("PSS of the services at rest", "MiB", budget=1.0)
    scowd = bench.engine.pid
    pids = {scowd, *processes.children(scowd), bench.engine.spawner_pid()}
    row.values["scow"] = _pss_mib(pids)
    for name, peer in bench.peers.items():
        if daemons := peer.daemons():
            row.values[name] = _pss_mib(daemons)
    return row


def _pss_mib(pids: set[int] | list[int]) -> float:
    return sum(processes.pss_kib(pid) for pid in pids) / 1024
