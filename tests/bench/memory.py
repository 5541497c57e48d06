"""Rows about memory."""

from __future__ import annotations

from tests.bench.measure import Bench, containers
from tests.bench.table import Row
from tests.support import processes

CONTAINERS = 8


def memory_of_containers(bench: Bench) -> Row:
    """PSS beside each of several running containers: shim, or what the peer has."""
    with containers(bench, CONTAINERS, ["sleep", "10000"]):
        row = Row(f"PSS beside a container, of {CONTAINERS}", "MiB", limit=3.0)
        row.values["scow"] = pss_mib(bench.engine.shim_pids()) / CONTAINERS
        for name, peer in bench.peers.items():
            row.values[name] = pss_mib(peer.monitors()) / CONTAINERS
    return row


def memory_at_rest(bench: Bench) -> Row:
    """PSS of everything that runs when no container does."""
    row = Row("PSS of the services at rest", "MiB", budget=1.0)
    row.values["scow"] = pss_mib(bench.engine.daemons())
    for name, peer in bench.peers.items():
        if daemons := peer.daemons():
            row.values[name] = pss_mib(daemons)
    return row


def pss_mib(pids: set[int] | list[int]) -> float:
    """Return the proportional set size of processes together."""
    return sum(processes.pss_kib(pid) for pid in pids) / 1024
