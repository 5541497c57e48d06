"""Rows about networks of the user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tests.bench.measure import IMAGE, Action, Bench, command, containers, run_command, take_turns
from tests.bench.table import Row
from tests.support.engine import BIN

_NETWORK = "bench"
# What a start on a user's network may cost over one on the default network.
_OVER_DEFAULT = 1.2
_MANY = 25


def _each(bench: Bench, *words: str) -> dict[str, Action]:
    """Return a command of every engine."""
    ours = [str(BIN / "scow"), *words]
    actions: dict[str, Action] = {"scow": lambda: run_command(ours, bench.engine.env)}
    for name, peer in bench.peers.items():
        actions[name] = command(peer.command(*words))
    return actions


def _both(first: Action, second: Action) -> Action:
    def act() -> None:
        first()
        second()

    return act


def _in_turn(firsts: dict[str, Action], seconds: dict[str, Action]) -> dict[str, Action]:
    return {name: _both(first, seconds[name]) for name, first in firsts.items()}


def _do(actions: dict[str, Action]) -> None:
    for action in actions.values():
        action()


def network_life(bench: Bench) -> Row:
    """Create and remove a network."""
    made = _each(bench, "network", "create", _NETWORK)
    gone = _each(bench, "network", "rm", _NETWORK)
    row = Row("network create+rm, whole commands", "ms", budget=1.0)
    row.values = take_turns(_in_turn(made, gone), bench.rounds)
    return row


def network_start(bench: Bench) -> list[Row]:
    """Create, start, wait and remove on a network of the user; and the same over the default network."""

    def life(network: str) -> Action:
        def act() -> None:
            made = bench.client.containers
            created = made.create(IMAGE, ["true"], network=network)
            made.start(created.id)
            made.wait(created.id)
            made.remove(created.id)

        return act

    _do(_each(bench, "network", "create", _NETWORK))
    try:
        actions = _each(bench, "run", "--rm", "--network", _NETWORK, IMAGE, "true")
        actions["scow"] = life(_NETWORK)
        row = Row("create+start+wait+remove on a user's network, library", "ms", budget=1 / 6)
        row.values = take_turns(actions, bench.rounds)
        own = take_turns({"user": life(_NETWORK), "default": life("bridge")}, bench.rounds * 2)
    finally:
        _do(_each(bench, "network", "rm", _NETWORK))
    over = Row("the same over the default network", "ratio", limit=_OVER_DEFAULT)
    over.values = {"scow": own["user"] / own["default"]}
    return [row, over]


def attach(bench: Bench) -> Row:
    """Connect a running container to a network and disconnect it."""
    _do(_each(bench, "network", "create", _NETWORK))
    try:
        with containers(bench, 1, ["sleep", "10000"]) as ids:

            def of(words: Sequence[str]) -> dict[str, Action]:
                return {
                    name: _each(bench, *words, ids[name][0])[name]
                    for name in ("scow", *bench.peers)
                }

            connect = of(("network", "connect", _NETWORK))
            disconnect = of(("network", "disconnect", _NETWORK))
            row = Row("network connect+disconnect, whole commands", "ms", budget=1.0)
            row.values = take_turns(_in_turn(connect, disconnect), bench.rounds)
    finally:
        _do(_each(bench, "network", "rm", _NETWORK))
    return row


def attach_among_many(bench: Bench) -> Row:
    """The same with as many containers as the largest of `--sizes` attached; without podman, which takes too long."""
    size = bench.sizes[-1]
    engines = {name: peer for name, peer in bench.peers.items() if name == "docker"}
    few = replace(bench, peers=engines)
    _do(_each(few, "network", "create", _NETWORK))
    try:
        with containers(few, size, ["sleep", "10000"]) as ids:
            connect, disconnect = (
                {n: _each(few, "network", verb, _NETWORK, ids[n][0])[n] for n in ("scow", *engines)}
                for verb in ("connect", "disconnect")
            )
            title = f"network connect+disconnect with {size} endpoints, whole commands"
            row = Row(title, "ms", budget=1.0)
            row.values = take_turns(_in_turn(connect, disconnect), bench.rounds)
    finally:
        _do(_each(few, "network", "rm", _NETWORK))
    return row


def network_life_among_many(bench: Bench) -> Row:
    """Create and remove a network where there are many: their rules must not count."""
    engines = {name: peer for name, peer in bench.peers.items() if name == "docker"}
    few = replace(bench, peers=engines)
    # Docker's address pools have no more.
    others = [f"{_NETWORK}{number}" for number in range(_MANY)]
    for name in others:
        _do(_each(few, "network", "create", name))
    try:
        made, gone = (_each(few, "network", verb, _NETWORK) for verb in ("create", "rm"))
        row = Row(f"network create+rm beside {_MANY} others, whole commands", "ms", budget=1.0)
        row.values = take_turns(_in_turn(made, gone), bench.rounds)
    finally:
        for name in others:
            _do(_each(few, "network", "rm", name))
    return row
