"""Rows about logs: long ones, written and read back. No engine rotates them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.bench.measure import IMAGE, Action, Bench, take_turns, take_turns_between
from tests.bench.table import Row
from tests.support.engine import BIN

_RUN = ("run", "-d", "--network", "none", "--log-opt", "max-size=1g")
# What docker and podman have that is next to a driver of scow's; theirs by name.
_DRIVERS = {
    "local": {"docker": "local"},
    "cri": {"podman": "k8s-file"},
}

Call = Callable[..., list[str]]


def write_log(bench: Bench) -> Row:
    """Run a container that prints 100,000 lines, and wait for its end."""
    return _written(bench, 100_000)


def write_long_log(bench: Bench) -> Row:
    """Run a container that prints 1,000,000 lines, and wait for its end."""
    return _written(bench, 1_000_000)


def read_log(bench: Bench) -> Row:
    """Print a log of 100,000 lines."""
    return _read(bench, 100_000)


def read_long_log(bench: Bench) -> Row:
    """Print a log of 1,000,000 lines."""
    return _read(bench, 1_000_000)


def write_local_log(bench: Bench) -> Row:
    """Run a container that prints 100,000 lines, with the log driver local."""
    return _written(bench, 100_000, "local")


def read_local_log(bench: Bench) -> Row:
    """Print a log of 100,000 lines of the driver local."""
    return _read(bench, 100_000, "local")


def write_cri_log(bench: Bench) -> Row:
    """Run a container that prints 100,000 lines, with the log driver cri."""
    return _written(bench, 100_000, "cri")


def read_cri_log(bench: Bench) -> Row:
    """Print a log of 100,000 lines of the driver cri."""
    return _read(bench, 100_000, "cri")


def _written(bench: Bench, lines: int, driver: str = "") -> Row:
    row = Row(f"log of {lines:,} lines, written{_by(driver)}", "ms", budget=1)
    made: dict[str, str] = {}
    actions: dict[str, Action] = {}
    after: dict[str, Action] = {}
    for name, call in _calls(bench, driver).items():

        def write(name: str = name, call: Call = call) -> None:
            made[name] = _printing(bench, name, call, lines, driver)

        def remove(name: str = name, call: Call = call) -> None:
            _run(bench, name, call("rm", made[name]))

        write()
        remove()
        actions[name], after[name] = write, remove
    row.values = take_turns_between(actions, bench.few, after)
    return row


def _by(driver: str) -> str:
    return f" by {driver}" if driver else ""


def _read(bench: Bench, lines: int, driver: str = "") -> Row:
    row = Row(f"log of {lines:,} lines, read{_by(driver)}", "ms", budget=1)
    with _logs(bench, lines, driver) as made:
        actions: dict[str, Action] = {}
        for name, call in _calls(bench, driver).items():
            command = call("logs", made[name])
            actions[name] = lambda name=name, command=command: _run(bench, name, command)  # type: ignore[misc]
        row.values = take_turns(actions, bench.few)
    return row


@contextmanager
def _logs(bench: Bench, lines: int, driver: str) -> Iterator[Mapping[str, str]]:
    """Give a container with a log in every engine that has the driver, or one next to it."""
    calls = _calls(bench, driver)
    made = {name: _printing(bench, name, call, lines, driver) for name, call in calls.items()}
    try:
        yield made
    finally:
        for name, container in made.items():
            _run(bench, name, calls[name]("rm", container))


def _calls(bench: Bench, driver: str) -> dict[str, Call]:
    """Return what makes a whole command, for each engine."""
    peers: dict[str, Call] = {
        name: peer.command
        for name, peer in bench.peers.items()
        if not driver or name in _DRIVERS[driver]
    }
    return {"scow": lambda *arguments: [str(BIN / "scow"), *arguments], **peers}


def _printing(bench: Bench, name: str, call: Call, lines: int, driver: str) -> str:
    """Run a container to its end; return its id."""
    own = _DRIVERS[driver].get(name, driver) if driver else ""
    flags = (*_RUN, *(("--log-driver", own) if own else ()))
    container = _run(bench, name, call(*flags, IMAGE, "seq", str(lines)), subprocess.PIPE).strip()
    _run(bench, name, call("wait", container))
    return container


def _run(bench: Bench, name: str, command: list[str], out: int = subprocess.DEVNULL) -> str:
    environment = bench.engine.env if name == "scow" else None
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=out, check=True
    )
    return (done.stdout or b"").decode()
