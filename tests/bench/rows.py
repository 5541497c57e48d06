"""What is measured: the rows of the design's performance budget.

Each function takes the bench and returns a row. Engines take turns in every round, so that a disturbance
of the machine meets all of them.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from scow.client import Client
from tests.bench.table import Row
from tests.support import processes
from tests.support.engine import BIN, Engine
from tests.support.peers import Docker, Podman

IMAGE = "busybox"
CONTAINERS = 8
LISTED = 1000

Peer = Docker | Podman


@dataclass
class Bench:
    """The engines side by side.

    Attributes:
        engine: scow.
        client: A client of it.
        peers: Docker and Podman, those that are there.
        rounds: How often each thing is done.
        layer: Reference of the image for pulls, by engine.
    """

    engine: Engine
    client: Client
    peers: Mapping[str, Peer]
    rounds: int
    layer: Mapping[str, str]


def life(bench: Bench) -> Row:
    """Create, start, wait and remove on the bridge network."""

    def scow() -> None:
        containers = bench.client.containers
        created = containers.create(IMAGE, ["true"])
        containers.start(created.id)
        containers.wait(created.id)
        containers.remove(created.id)

    actions: dict[str, Callable[[], None]] = {"scow": scow}
    for name, peer in bench.peers.items():
        actions[name] = _command(peer.command("run", "--rm", IMAGE, "true"))
    row = Row("create+start+wait+remove, library", "ms", budget=1 / 6)
    row.values = _take_turns(actions, bench.rounds)
    return row


def execute(bench: Bench) -> Row:
    """Exec of `true`."""
    with _sleepers(bench, 1) as ids:
        actions: dict[str, Callable[[], None]] = {
            "scow": lambda: _expect_zero(
                bench.client.containers.exec(ids["scow"][0], ["true"]).exit_code
            )
        }
        for name, peer in bench.peers.items():
            actions[name] = _command(peer.command("exec", ids[name][0], "true"))
        row = Row("exec of true, library", "ms", budget=1 / 5)
        row.values = _take_turns(actions, bench.rounds)
    return row


def run(bench: Bench) -> Row:
    """The whole command `run --rm busybox true`."""
    environment = bench.engine.env
    command = [str(BIN / "scow"), "run", "--rm", IMAGE, "true"]
    actions = {"scow": lambda: _run(command, environment)}
    for name, peer in bench.peers.items():
        actions[name] = _command(peer.command("run", "--rm", IMAGE, "true"))
    row = Row("run --rm busybox true, whole command", "ms", budget=1 / 2)
    row.values = _take_turns(actions, bench.rounds)
    return row


def memory_of_containers(bench: Bench) -> Row:
    """PSS beside each of several running containers: shim, or what the peer has."""
    with _sleepers(bench, CONTAINERS) as ids:
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


def pull(bench: Bench) -> Row:
    """Pull of one layer of 73 MB and 10,000 files from a registry on this machine."""
    row = Row("pull, 73 MB in 10,000 files", "ms", budget=1.0)
    times: dict[str, list[float]] = {"scow": [], **{name: [] for name in bench.peers}}
    for _ in range(max(3, bench.rounds // 5)):
        start = time.perf_counter()
        bench.client.images.pull(bench.layer["scow"])
        times["scow"].append(time.perf_counter() - start)
        bench.client.images.remove(bench.layer["scow"])
        for name, peer in bench.peers.items():
            start = time.perf_counter()
            peer.cli("pull", "-q", bench.layer["peers"])
            times[name].append(time.perf_counter() - start)
            peer.cli("rmi", bench.layer["peers"])
    row.values = {name: statistics.median(taken) * 1000 for name, taken in times.items()}
    return row


def listing(bench: Bench) -> Row:
    """List of 1,000 containers through the library."""
    row = Row(f"list of {LISTED:,} containers, library", "ms", limit=50)
    containers = bench.client.containers
    made = [containers.create(IMAGE, ["true"]).id for _ in range(LISTED)]
    try:
        assert len(containers.list(all=True)) == LISTED
        row.values = _take_turns({"scow": lambda: containers.list(all=True)}, bench.rounds)
    finally:
        for container in made:
            containers.remove(container)
    return row


ROWS = (life, execute, run, memory_of_containers, memory_at_rest, pull, listing)


def _take_turns(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each action; each is done once before it counts."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for action in actions.values():
        action()
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) * 1000 for name, taken in times.items()}


def _command(command: list[str]) -> Callable[[], None]:
    return lambda: _run(command)


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr.decode()}"


def _expect_zero(code: int) -> None:
    assert code == 0, f"exit code {code}"


@contextlib.contextmanager
def _sleepers(bench: Bench, count: int) -> Iterator[dict[str, list[str]]]:
    """Run containers that sleep in every engine; give their ids by engine."""
    containers = bench.client.containers
    command = ["sleep", "10000"]
    ids = {"scow": [containers.run(IMAGE, command, detach=True).id for _ in range(count)]}
    for name, peer in bench.peers.items():
        ids[name] = [peer.cli("run", "-d", IMAGE, *command) for _ in range(count)]
    try:
        time.sleep(1)  # what starting them stirred up settles
        yield ids
    finally:
        for container in ids["scow"]:
            containers.remove(container, force=True)
        for name, peer in bench.peers.items():
            peer.cli("rm", "-f", *ids[name])


def _pss_mib(pids: set[int] | list[int]) -> float:
    return sum(processes.pss_kib(pid) for pid in pids) / 1024
