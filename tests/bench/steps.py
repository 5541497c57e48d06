"""Rows about single steps of a container's life, and about copies and measurements."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.bench.measure import (
    IMAGE,
    Action,
    Bench,
    command,
    containers,
    run_command,
    take_turns_between,
)
from tests.bench.table import Row
from tests.support.engine import BIN

_SLEEP = ["sleep", "100000"]
_FILES = 10_000
_MEASURED = 100
_ROUNDS = 3


def _cli(bench: Bench) -> dict[str, Callable[..., Action]]:
    """Return for each engine what makes an action of a command line."""
    environment = bench.engine.env
    found: dict[str, Callable[..., Action]] = {
        "scow": lambda *words: lambda: run_command([str(BIN / "scow"), *words], environment)
    }
    for name, peer in bench.peers.items():
        found[name] = lambda *words, peer=peer: command(peer.command(*words))
    return found


def _step(
    bench: Bench, what: str, step: list[str], before: list[list[str]], after: list[list[str]]
) -> Row:
    """Measure one command about a container "stepped", with others around it."""
    made = _cli(bench)

    def all_of(name: str, commands: list[list[str]]) -> Action:
        actions = [made[name](*words) for words in commands]
        return lambda: [action() for action in actions]

    for name in made:
        all_of(name, before)()
    row = Row(f"{what}, whole command", "ms", budget=1)
    row.values = take_turns_between(
        {name: made[name](*step) for name in made},
        bench.rounds,
        {name: all_of(name, [*after, *before]) for name in made},
    )
    for name in made:
        all_of(name, [["rm", "-f", "stepped"]])()
    return row


_CREATE = ["create", "--name=stepped", "--stop-signal=KILL", IMAGE, *_SLEEP]
_RUN = ["run", "-d", *_CREATE[1:]]
_REMOVE = ["rm", "-f", "stepped"]


def create(bench: Bench) -> Row:
    """The whole command `create`."""
    return _step(bench, "create", _CREATE, [], [_REMOVE])


def start(bench: Bench) -> Row:
    """The whole command `start`."""
    return _step(bench, "start", ["start", "stepped"], [_CREATE], [_REMOVE])


def run_detached(bench: Bench) -> Row:
    """The whole command `run -d`."""
    return _step(bench, "run -d", _RUN, [], [_REMOVE])


def stop(bench: Bench) -> Row:
    """The whole command `stop`, of a container that ends at once."""
    return _step(bench, "stop", ["stop", "stepped"], [_RUN], [_REMOVE])


def remove(bench: Bench) -> Row:
    """The whole command `rm`, of a container that has ended."""
    return _step(bench, "rm", ["rm", "stepped"], [_CREATE], [])


def copy_in(bench: Bench) -> Row:
    """`cp` of many files into a container that runs."""
    return _copied(bench, into=True)


def copy_out(bench: Bench) -> Row:
    """`cp` of many files out of a container that runs."""
    return _copied(bench, into=False)


def _copied(bench: Bench, *, into: bool) -> Row:
    made = _cli(bench)
    folder = Path(tempfile.mkdtemp(prefix="scow-bench-cp-", dir="/var/tmp"))
    try:
        files = folder / "files"
        files.mkdir()
        for number in range(_FILES):
            (files / str(number)).write_text(f"content {number}\n")
        with containers(bench, 1, _SLEEP) as ids:
            actions: dict[str, Action] = {}
            after: dict[str, Action] = {}
            for name in made:
                container = ids[name][0]
                if into:
                    actions[name] = made[name]("cp", str(files), f"{container}:/tmp")
                    after[name] = made[name]("exec", container, "rm", "-r", "/tmp/files")
                else:
                    made[name]("cp", str(files), f"{container}:/tmp")()
                    target = folder / name
                    actions[name] = made[name]("cp", f"{container}:/tmp/files", str(target))
                    after[name] = partial(shutil.rmtree, target)
            row = Row(f"cp of {_FILES:,} files {'in' if into else 'out'}", "ms", budget=1)
            row.values = take_turns_between(actions, min(bench.rounds, _ROUNDS), after)
            return row
    finally:
        shutil.rmtree(folder)


def stats(bench: Bench) -> Row:
    """`stats --no-stream` of many containers."""
    made = _cli(bench)
    with containers(bench, _MEASURED, _SLEEP):
        row = Row(f"stats --no-stream of {_MEASURED} containers", "ms", budget=1)
        actions = {name: made[name]("stats", "--no-stream") for name in made}
        row.values = take_turns_between(actions, min(bench.rounds, _ROUNDS), {})
    return row
