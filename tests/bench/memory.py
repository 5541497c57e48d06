"""Rows about memory."""

from __future__ import annotations

import time

from tests.bench.measure import Bench, containers
from tests.bench.table import Row
from tests.support import processes

CONTAINERS = 8
LINES = 10_000
_LINGER_SECONDS = 3.0  # until the processes that served calls have ended


def memory_of_containers(bench: Bench) -> Row:
    """PSS beside each of several running containers: shim, or what the peer has."""
    with containers(bench, CONTAINERS, ["sleep", "10000"]):
        bench.engine.wait_for_rest()
        row = Row(f"PSS beside a container, of {CONTAINERS}", "MiB", limit=3.0)
        row.values["scow"] = pss_mib(bench.engine.shim_pids()) / CONTAINERS
        for name, peer in bench.peers.items():
            row.values[name] = pss_mib(peer.monitors()) / CONTAINERS
    return row


def memory_after_use(bench: Bench) -> Row:
    """The same after each has served an exec and an attach, and has logged 10,000 lines."""
    row = Row(f"PSS beside a container, of {CONTAINERS}, after use", "MiB", limit=3.0)
    script = f"seq {LINES}; exec sleep 10000"
    with containers(bench, CONTAINERS, ["sh", "-c", script]) as ids:
        made = bench.client.containers
        for container in ids["scow"]:
            assert made.exec(container, ["true"]).exit_code == 0
            made.attach(container).close()
        for name, peer in bench.peers.items():
            for container in ids[name]:
                peer.cli("exec", container, "true")
        time.sleep(_LINGER_SECONDS)
        bench.engine.wait_for_rest()
        row.values["scow"] = pss_mib(bench.engine.shim_pids()) / CONTAINERS
        for name, peer in bench.peers.items():
            row.values[name] = pss_mib(peer.monitors()) / CONTAINERS
    return row


def memory_at_rest(bench: Bench) -> Row:
    """PSS of everything that runs when no container does."""
    bench.engine.wait_for_rest()
    row = Row("PSS of the services at rest", "MiB", budget=1.0)
    row.values["scow"] = pss_mib(bench.engine.daemons())
    for name, peer in bench.peers.items():
        if daemons := peer.daemons():
            row.values[name] = pss_mib(daemons)
    return row


def pss_mib(pids: set[int] | list[int]) -> float:
    """Return the proportional set size of processes together."""
    return sum(processes.pss_kib(pid) for pid in pids) / 1024
