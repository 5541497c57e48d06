"""Rows about health checks: processor time of those processes of the engine that have to do with them."""

from __future__ import annotations

import os
import time
from pathlib import Path

from tests.bench.measure import Bench
from tests.bench.table import Row
from tests.support import processes

# The load of 300 containers that are probed every ten seconds, with fewer containers that are probed more often.
_RATE = 30
CONTAINERS = 60
_SECONDS = 60.0
_WEB = ("sh", "-c", "mkdir /www; touch /www/ready; exec httpd -f -p 8080 -h /www")


def probes(bench: Bench) -> Row:
    """Processor time of 30 HTTP probes a second, as 300 containers have that are probed every 10 seconds."""
    row = Row("30 HTTP probes a second, of one processor", "%", limit=3.0)
    row.values["scow"] = 100 * _probing(bench, "http:8080/ready") / _SECONDS
    return row


def _probing(bench: Bench, probe: str) -> float:
    """Return the seconds of processor time beyond those that the same containers take at rest."""
    found = {}
    for interval in ("1h", f"{CONTAINERS / _RATE:g}s"):
        names = [f"probed-{number}" for number in range(CONTAINERS)]
        for name in names:
            health = ("--probe", probe, "--health-interval", interval)
            bench.engine.cli(
                "run", "-d", "--name", name, "--network", "none", *health, "busybox", *_WEB
            )
        time.sleep(5)
        before = processor_seconds(bench)
        time.sleep(_SECONDS)
        found[interval] = processor_seconds(bench) - before
        bench.engine.cli("rm", "-f", *names, seconds=300)
    idle, probed = found.values()
    return probed - idle


def processor_seconds(bench: Bench) -> float:
    """Return the processor time of the container service, spawner, prober and shims, and of those they waited for.

    Not of the network service, which looks at each change of a link on the machine, whoever made it.
    """
    spawner = bench.engine.spawner_pid()
    pids = {bench.engine.service_pid("container"), spawner, *processes.children(spawner)}
    return sum(_seconds(pid) for pid in pids)


def _seconds(pid: int) -> float:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
