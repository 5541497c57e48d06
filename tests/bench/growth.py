"""Rows about many containers: what the 10th, 100th and 300th cost, and many starts at once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.bench.measure import IMAGE, Action, Bench, command, take_turns
from tests.bench.memory import pss_mib
from tests.bench.table import Row
from tests.support import processes

_COMMAND = ["sleep", "10000"]
# Starts and execs of which the median counts as that at one size.
_SAMPLES = 10
_IDLE_SECONDS = 10.0
_STARTS = 40
_AT_ONCE = 8


def growth(bench: Bench) -> list[Row]:
    """Start, exec, memory and idle time with a growing number of containers.

    What the first ones cost is that of the tenth: the median of starts 1 to 10.
    """
    rows: list[Row] = []
    starts: dict[str, list[float]] = {}
    with _removed(bench) as ids:
        starters = _starters(bench, ids)
        for size in bench.sizes:
            for name, start in starters.items():
                starts[name] = _grown(start, ids[name], size)
            rows += _at(bench, size, ids, starts)
    for name, row in (("start", rows[-4]), ("exec", rows[-3])):
        first = rows[0 if name == "start" else 1]
        grown = Row(f"{name}, {bench.sizes[-1]}th over {bench.sizes[0]}th", "x", limit=1.3)
        grown.values = {engine: row.values[engine] / first.values[engine] for engine in row.values}
        rows.append(grown)
    return rows


def starts_at_once(bench: Bench) -> Row:
    """Forty starts, eight at once: the time until the last one runs."""
    with _removed(bench) as ids:

        def all_of(start: Callable[[], str], made: list[str]) -> Action:
            def act() -> None:
                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    made.extend(pool.map(lambda _: start(), range(_STARTS)))

            return act

        actions = {name: all_of(start, ids[name]) for name, start in _starters(bench, ids).items()}
        row = Row(f"{_STARTS} starts, {_AT_ONCE} at once", "ms", budget=1 / 4)
        row.values = take_turns(actions, 1)
    return row


@contextmanager
def _removed(bench: Bench) -> Iterator[dict[str, list[str]]]:
    """Give lists for the ids of containers by engine; remove those at the end."""
    ids: dict[str, list[str]] = {name: [] for name in ("scow", *bench.peers)}
    try:
        yield ids
    finally:
        for container in ids["scow"]:
            bench.client.containers.remove(container, force=True)
        for name, peer in bench.peers.items():
            if ids[name]:
                peer.cli("rm", "-f", *ids[name])


def _starters(bench: Bench, ids: Mapping[str, object]) -> dict[str, Callable[[], str]]:
    """Return for each engine what runs one more container in the background and returns its id."""

    def scow() -> str:
        return bench.client.containers.run(IMAGE, _COMMAND, detach=True).id

    found: dict[str, Callable[[], str]] = {"scow": scow}
    for name, peer in bench.peers.items():
        if name in ids:
            found[name] = lambda peer=peer: peer.cli("run", "-d", IMAGE, *_COMMAND)  # type: ignore[misc]
    return found


def _grown(start: Callable[[], str], made: list[str], size: int) -> list[float]:
    """Start containers up to a number; return the milliseconds of the last starts."""
    taken = []
    while len(made) < size:
        began = time.perf_counter()
        made.append(start())
        taken.append((time.perf_counter() - began) * 1000)
    return taken[-_SAMPLES:]


def _at(
    bench: Bench, size: int, ids: Mapping[str, list[str]], starts: Mapping[str, list[float]]
) -> list[Row]:
    start = Row(f"start, {size}th container", "ms")
    start.values = {name: statistics.median(taken) for name, taken in starts.items()}
    last = ids["scow"][-1]
    actions: dict[str, Action] = {"scow": lambda: bench.client.containers.exec(last, ["true"])}
    for name, peer in bench.peers.items():
        actions[name] = command(peer.command("exec", ids[name][-1], "true"))
    execute = Row(f"exec of true, {size} containers", "ms")
    execute.values = take_turns(actions, _SAMPLES)
    bench.engine.wait_for_rest()
    beside = {"scow": bench.engine.shim_pids()}
    around = {"scow": bench.engine.daemons()}
    for name, peer in bench.peers.items():
        beside[name], around[name] = peer.monitors(), peer.daemons()
    memory = Row(f"PSS beside a container, of {size}", "MiB", limit=3.0)
    memory.values = {name: pss_mib(pids) / size for name, pids in beside.items()}
    idle = Row(f"idle, {size} containers, processor time a second", "ms")
    idle.values = _idle({name: [*beside[name], *around[name]] for name in beside})
    return [start, execute, memory, idle]


def _idle(pids: Mapping[str, list[int]]) -> dict[str, float]:
    """Return how many milliseconds of processor time processes take in a second in which nothing is asked of them."""
    before = {name: _milliseconds(all_) for name, all_ in pids.items()}
    time.sleep(_IDLE_SECONDS)
    return {
        name: (_milliseconds(all_) - before[name]) / _IDLE_SECONDS for name, all_ in pids.items()
    }


def _milliseconds(pids: list[int]) -> float:
    return sum(processes.cpu_seconds(pid) for pid in pids) * 1000
