"""Rows about copies of volumes: snapshots, clones, archives.

Docker and podman have neither: beside scow stands how it is done with them, a container that runs cp or tar. They do
not wait for the disk; scow's copies are on it when the command ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from tests.bench.measure import IMAGE, Action, Bench, take_turns_between
from tests.bench.table import Row

_Cli = Callable[..., str]

_FILES = 10_000
_LARGE_MB = 1000
_SOURCE, _TARGET = "source", "target"
_MANY = (
    f"mkdir -p $(seq {_FILES // 100}) && for d in $(seq {_FILES // 100}); do for f in $(seq 100);"
    " do echo $d $f some text > $d/$f; done; done"
)
_LARGE = f"head -c {_LARGE_MB}000000 /dev/urandom > large"
_IN_SOURCE = ("-v", f"{_SOURCE}:/{_SOURCE}")


def snapshot(bench: Bench) -> Row:
    """A snapshot of many files."""
    return _copied(bench, f"snapshot of a volume, {_FILES:,} files", _MANY, _snapshot)


def snapshot_large(bench: Bench) -> Row:
    """A snapshot of one large file."""
    return _copied(bench, f"snapshot of a volume, one file of {_LARGE_MB} MB", _LARGE, _snapshot)


def clone(bench: Bench) -> Row:
    """A clone of many files."""
    return _copied(bench, f"clone of a volume, {_FILES:,} files", _MANY, _clone)


def clone_large(bench: Bench) -> Row:
    """A clone of one large file."""
    return _copied(bench, f"clone of a volume, one file of {_LARGE_MB} MB", _LARGE, _clone)


def _snapshot(bench: Bench) -> tuple[Action, Action]:
    snapshots = bench.client.snapshots
    return (
        lambda: snapshots.create(_SOURCE, "bench"),
        lambda: snapshots.remove(_SOURCE, "bench"),
    )


def _clone(bench: Bench) -> tuple[Action, Action]:
    return (
        lambda: bench.client.snapshots.clone(_SOURCE, _TARGET),
        lambda: bench.client.volumes.remove(_TARGET),
    )


def _copied(
    bench: Bench, what: str, content: str, own: Callable[[Bench], tuple[Action, Action]]
) -> Row:
    row = Row(what, "ms", budget=1.0)
    with _filled(bench, content) as peers:
        act, forget = own(bench)
        actions: dict[str, Action] = {"scow": act}
        after: dict[str, Action] = {"scow": forget}
        for name, cli in peers.items():
            mounts = (*_IN_SOURCE, "-v", f"{_TARGET}:/{_TARGET}")
            copy = ("cp", "-a", f"/{_SOURCE}/.", f"/{_TARGET}")
            actions[name] = partial(cli, "run", "--rm", *mounts, IMAGE, *copy)
            after[name] = partial(cli, "volume", "rm", _TARGET)
        row.values = take_turns_between(actions, bench.few, after)
    return row


def volume_export(bench: Bench) -> Row:
    """Export of many files to a tar, whole command."""
    row = Row(f"export of a volume, {_FILES:,} files, whole command", "ms", budget=1.0)
    folder = bench.folder
    with _filled(bench, _MANY) as peers:
        actions: dict[str, Action] = {
            "scow": lambda: bench.engine.cli("volume", "export", "-o", f"{folder}/own.tar", _SOURCE)
        }
        for name, cli in peers.items():
            mounts = (*_IN_SOURCE, "-v", f"{folder}:/out")
            pack = ("/bin/busybox", "tar", "-C", f"/{_SOURCE}", "-cf", "/out/peer.tar", ".")
            actions[name] = partial(cli, "run", "--rm", *mounts, IMAGE, *pack)
        row.values = take_turns_between(actions, bench.few, {})
    return row


def volume_import(bench: Bench) -> Row:
    """Import of many files from a tar, whole command."""
    row = Row(f"import of a volume, {_FILES:,} files, whole command", "ms", budget=1.0)
    tar = f"{bench.folder}/own.tar"
    with _filled(bench, _MANY) as peers:
        bench.engine.cli("volume", "export", "-o", tar, _SOURCE)
        actions: dict[str, Action] = {
            "scow": lambda: bench.engine.cli("volume", "import", _TARGET, tar)
        }
        after: dict[str, Action] = {"scow": lambda: bench.client.volumes.remove(_TARGET)}
        for name, cli in peers.items():
            mounts = ("-v", f"{_TARGET}:/{_TARGET}", "-v", f"{bench.folder}:/in")
            unpack = ("/bin/busybox", "tar", "-C", f"/{_TARGET}", "-xf", "/in/own.tar")
            actions[name] = partial(cli, "run", "--rm", *mounts, IMAGE, *unpack)
            after[name] = partial(cli, "volume", "rm", _TARGET)
        row.values = take_turns_between(actions, bench.few, after)
    return row


@contextmanager
def _filled(bench: Bench, content: str) -> Iterator[dict[str, _Cli]]:
    """Give each engine a volume with content; the block gets the peers' commands."""
    peers: dict[str, _Cli] = {name: peer.cli for name, peer in bench.peers.items()}

    def own(*words: str) -> str:
        return bench.engine.cli(*words).stdout

    clis: list[_Cli] = [own, *peers.values()]
    for cli in clis:
        cli("run", "--rm", *_IN_SOURCE, IMAGE, "sh", "-c", f"cd /{_SOURCE} && {content}")
    try:
        yield peers
    finally:
        for cli in clis:
            cli("volume", "rm", _SOURCE)
