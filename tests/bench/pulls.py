"""Rows about pulls, from a registry on this machine. Each engine has forgotten the image before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.bench.content import files
from tests.bench.measure import Action, Bench, Peak, take_turns_between
from tests.bench.table import Row

_MB = 1_000_000
Files = Iterator[tuple[str, bytes]]


def pull(bench: Bench) -> Row:
    """One layer of 73 MB and 10,000 files."""
    names = bench.content.references("files:1", [files(1, 10_000, 7_300)])
    return _pull(bench, "pull, 73 MB in 10,000 files", names)


def pull_large(bench: Bench) -> Row:
    """One large layer."""
    size = bench.large_mb
    names = bench.content.references(f"large:{size}", [files(2, size // 10, 10 * _MB)])
    return _pull(bench, f"pull, one layer of {size} MB", names)


def pull_eight(bench: Bench) -> Row:
    """Eight layers."""
    return _pull(bench, "pull, 8 layers of 25 MB", eight(bench))


def pull_small(bench: Bench) -> Row:
    """One layer of 50,000 small files."""
    names = bench.content.references("small:1", [files(3, 50_000, 1_000)])
    return _pull(bench, "pull, 50,000 files of 1 kB", names)


def pull_changed(bench: Bench) -> Row:
    """An image of eight layers of which seven are here."""
    before = eight(bench)
    after = bench.content.references("eight:2", [*_eight()[:-1], files(99, 100, 250_000, "opt/h")])
    with here(bench, before):
        return _pull(bench, "pull, one of 8 layers of 25 MB changed", after)


def eight(bench: Bench) -> dict[str, str]:
    """Return the references of an image of eight layers."""
    return bench.content.references("eight:1", _eight())


def _eight() -> list[Files]:
    return [files(10 + number, 100, 250_000, f"opt/{'abcdefgh'[number]}") for number in range(8)]


class here:  # noqa: N801  a context manager
    """Every engine has an image for the length of a block."""

    def __init__(self, bench: Bench, names: Mapping[str, str]) -> None:
        self._bench = bench
        self._names = names

    def __enter__(self) -> None:
        self._bench.client.images.pull(self._names["scow"])
        for peer in self._bench.peers.values():
            peer.cli("pull", "-q", self._names["peers"])

    def __exit__(self, *_: object) -> None:
        self._bench.client.images.remove(self._names["scow"])
        for peer in self._bench.peers.values():
            peer.cli("rmi", self._names["peers"])


def _pull(bench: Bench, what: str, names: Mapping[str, str]) -> Row:
    images = bench.client.images
    actions: dict[str, Action] = {"scow": lambda: images.pull(names["scow"])}
    after: dict[str, Action] = {"scow": lambda: images.remove(names["scow"])}
    for name, peer in bench.peers.items():
        actions[name] = lambda peer=peer: peer.cli("pull", "-q", names["peers"])  # type: ignore[misc]
        after[name] = lambda peer=peer: peer.cli("rmi", names["peers"])  # type: ignore[misc]
    row = Row(what, "ms", budget=1.0)
    with Peak(bench) as peak:
        row.values = take_turns_between(actions, bench.few, after)
    row.peak = peak.mib
    return row
