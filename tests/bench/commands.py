"""Rows about whole commands that do little: how long a user waits for the command line itself."""

from __future__ import annotations

from tests.bench.measure import Action, Bench, command, containers, run_command, take_turns
from tests.bench.table import Row
from tests.support import resident
from tests.support.engine import BIN

_CONTAINERS = 8
# The command line takes longer than docker's where nothing is to be done, by the start of an interpreter.
_BUDGET = 1.3


def ps(bench: Bench) -> Row:
    """List the ids of running containers."""
    return _row(bench, "ps -q", "ps", "-q")


def images(bench: Bench) -> Row:
    """List images."""
    return _row(bench, "images", "images")


def inspect(bench: Bench) -> Row:
    """Tell all of a container."""
    return _row(bench, "inspect", "inspect")


def ps_alone(bench: Bench) -> Row:
    """List the ids of running containers without the resident server: no budget, to compare."""
    row = _row(bench, "ps -q", "ps", "-q", variables={"SCOW_RESIDENT": "0"})
    row.what += ", SCOW_RESIDENT=0"
    row.budget = None
    return row


def _row(bench: Bench, what: str, *words: str, variables: dict[str, str] | None = None) -> Row:
    environment = {**bench.engine.env, **(variables or {})}
    with containers(bench, _CONTAINERS, ["sleep", "10000"]) as ids:

        def arguments(engine: str) -> list[str]:
            return [*words, ids[engine][0]] if words[0] == "inspect" else [*words]

        resident.start([str(BIN / "scow"), "--version"], bench.engine.env)
        ours = [str(BIN / "scow"), *arguments("scow")]
        actions: dict[str, Action] = {"scow": lambda: run_command(ours, environment)}
        for name, peer in bench.peers.items():
            actions[name] = command(peer.command(*arguments(name)))
        row = Row(f"{what}, whole command", "ms", budget=_BUDGET)
        row.values = take_turns(actions, bench.rounds)
    return row
