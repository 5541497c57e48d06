"""Rows about images that leave an engine or come in a file: push, save and load, of an image of eight layers."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Mapping
from functools import partial

from tests.bench.measure import Action, Bench, Peak, take_turns_between
from tests.bench.pulls import eight, here
from tests.bench.table import Row
from tests.support.registry import Registry

_WHAT = "8 layers of 25 MB"


def push(bench: Bench) -> Row:
    """Push to a registry that is empty each time."""
    row = Row(f"push, {_WHAT}", "ms", budget=1.0)
    with here(bench, eight(bench)), targets(bench) as (names, storage):
        bench.client.images.tag(eight(bench)["scow"], names["scow"])
        actions: dict[str, Action] = {"scow": lambda: bench.client.images.push(names["scow"])}
        for name, peer in bench.peers.items():
            peer.cli("tag", eight(bench)["peers"], names["peers"])
            actions[name] = partial(peer.cli, "push", "-q", names["peers"])
        after = {name: partial(empty, storage) for name in actions}
        with Peak(bench) as peak:
            row.values = take_turns_between(actions, bench.few, after)
        row.peak = peak.mib
        bench.client.images.remove(names["scow"])
        for peer in bench.peers.values():
            peer.cli("rmi", names["peers"])
    return row


@contextlib.contextmanager
def targets(bench: Bench) -> Iterator[tuple[Mapping[str, str], Registry]]:
    """Run a registry of its own; give a name in it, as scow and as the peers reach it."""
    with Registry() as registry, bench.content.beside(registry) as near:
        yield (
            {
                "scow": f"{registry.address}/bench/pushed:1",
                "peers": f"{near.address}/bench/pushed:1",
            },
            registry,
        )


def empty(registry: Registry) -> None:
    """Delete what a registry has; it keeps nothing in memory."""
    for folder in registry.storage.iterdir():
        shutil.rmtree(folder)


def save(bench: Bench) -> Row:
    """Save to a file, as a Docker archive."""
    row = Row(f"save, {_WHAT}", "ms", budget=1.0)
    names = eight(bench)
    target = bench.folder / "saved.tar"
    with here(bench, names):
        actions: dict[str, Action] = {
            "scow": lambda: bench.client.images.save(names["scow"], target)
        }
        for name, peer in bench.peers.items():
            actions[name] = partial(peer.cli, "save", "-o", str(target), names["peers"])
        after = dict.fromkeys(actions, target.unlink)
        with Peak(bench) as peak:
            row.values = take_turns_between(actions, bench.few, after)
        row.peak = peak.mib
    return row


def load(bench: Bench) -> Row:
    """Load of a Docker archive, which Docker saved, or else the first peer."""
    row = Row(f"load, {_WHAT}", "ms", budget=1.0)
    names = eight(bench)
    source = bench.folder / "to-load.tar"
    with here(bench, names):
        saver = bench.peers.get("docker") or next(iter(bench.peers.values()))
        saver.cli("save", "-o", str(source), names["peers"])
    images = bench.client.images
    actions: dict[str, Action] = {"scow": lambda: images.load(source)}
    after: dict[str, Action] = {"scow": lambda: images.remove(names["peers"])}
    for name, peer in bench.peers.items():
        actions[name] = partial(peer.cli, "load", "-q", "-i", str(source))
        after[name] = partial(peer.cli, "rmi", names["peers"])
    with Peak(bench) as peak:
        row.values = take_turns_between(actions, bench.few, after)
    row.peak = peak.mib
    source.unlink()
    return row
