"""Rows about the life of containers."""

from __future__ import annotations

from tests.bench.measure import (
    IMAGE,
    Action,
    Bench,
    command,
    containers,
    run_command,
    take_turns,
)
from tests.bench.table import Row
from tests.support.engine import BIN

LISTED = 1000


def life(bench: Bench) -> Row:
    """Create, start, wait and remove on the bridge network."""
    return _life(bench, "bridge", 1 / 10)


def life_without_network(bench: Bench) -> Row:
    """The same without a network."""
    return _life(bench, "none", 1 / 15)


def _life(bench: Bench, network: str, budget: float) -> Row:
    def scow() -> None:
        made = bench.client.containers
        created = made.create(IMAGE, ["true"], network=network)
        made.start(created.id)
        made.wait(created.id)
        made.remove(created.id)

    actions: dict[str, Action] = {"scow": scow}
    for name, peer in bench.peers.items():
        actions[name] = command(peer.command("run", "--rm", f"--network={network}", IMAGE, "true"))
    what = "create+start+wait+remove, library"
    if network == "none":
        what += ", network none"
    row = Row(what, "ms", budget=budget)
    row.values = take_turns(actions, bench.rounds)
    return row


def execute(bench: Bench) -> Row:
    """Exec of `true`."""
    with containers(bench, 1, ["sleep", "10000"]) as ids:
        actions: dict[str, Action] = {
            "scow": lambda: _expect_zero(
                bench.client.containers.exec(ids["scow"][0], ["true"]).exit_code
            )
        }
        for name, peer in bench.peers.items():
            actions[name] = command(peer.command("exec", ids[name][0], "true"))
        row = Row("exec of true, library", "ms", budget=1 / 10)
        row.values = take_turns(actions, bench.rounds)
    return row


def run(bench: Bench) -> Row:
    """The whole command `run --rm busybox true`."""
    environment = bench.engine.env
    arguments = [str(BIN / "scow"), "run", "--rm", IMAGE, "true"]
    actions: dict[str, Action] = {"scow": lambda: run_command(arguments, environment)}
    for name, peer in bench.peers.items():
        actions[name] = command(peer.command("run", "--rm", IMAGE, "true"))
    row = Row("run --rm busybox true, whole command", "ms", budget=1 / 4)
    row.values = take_turns(actions, bench.rounds)
    return row


def listing(bench: Bench) -> Row:
    """List of 1,000 containers through the library."""
    row = Row(f"list of {LISTED:,} containers, library", "ms", limit=50)
    made = bench.client.containers
    ids = [made.create(IMAGE, ["true"]).id for _ in range(LISTED)]
    try:
        assert len(made.list(all=True)) == LISTED
        row.values = take_turns({"scow": lambda: made.list(all=True)}, bench.rounds)
    finally:
        for container in ids:
            made.remove(container)
    return row


def _expect_zero(code: int) -> None:
    assert code == 0, f"exit code {code}"
