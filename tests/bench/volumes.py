"""Rows about volumes and mounts."""

from __future__ import annotations

import io
import itertools
import statistics
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from functools import partial

from tests.bench.measure import IMAGE, Action, Bench, take_turns, take_turns_between
from tests.bench.table import Row
from tests.support.busybox import rootfs_tar

_Cli = Callable[..., str]

_FILES = 10_000
_MOUNTS = 20
_WRITTEN_MB = 128
_FULL = "bench-full"


def copy_up(bench: Bench) -> Row:
    """Create a container with a new volume where the image has many files."""
    row = Row(f"create with a new volume, {_FILES:,} files copied", "ms", budget=1.0)
    _give_image(bench)
    made = bench.client.containers
    actions: dict[str, Action] = {
        "scow": lambda: made.create(_FULL, ["true"], name="full", mounts=["full:/data"])
    }

    def remove() -> None:
        made.remove("full")
        bench.client.volumes.remove("full")

    after: dict[str, Action] = {"scow": remove}
    for name, peer in bench.peers.items():
        actions[name] = partial(
            peer.cli, "create", "--name", "full", "-v", "full:/data", _FULL, "true"
        )
        after[name] = partial(_remove, peer.cli)
    row.values = take_turns_between(actions, bench.few, after)
    for peer in bench.peers.values():
        peer.cli("rmi", _FULL)
    bench.client.images.remove(_FULL)
    return row


def _remove(cli: _Cli) -> None:
    cli("rm", "full")
    cli("volume", "rm", "full")


def _give_image(bench: Bench) -> None:
    """Give every engine an image with many files at /data."""
    stream = io.BytesIO(rootfs_tar())
    with tarfile.open(fileobj=stream, mode="a") as tar:
        for number in range(_FILES):
            content = f"file {number}\n".encode() * 20
            entry = tarfile.TarInfo(f"data/{number % 100:02}/{number:05}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    raw = stream.getvalue()
    bench.engine.cli("import", "-", _FULL, stdin=raw)
    for peer in bench.peers.values():
        peer.cli("import", "-", _FULL, stdin=raw)


def volume_life(bench: Bench) -> Row:
    """Create and remove a volume, by the library."""
    row = Row("volume create+rm, library", "ms", budget=0.5)
    volumes, numbers = bench.client.volumes, itertools.count()

    def scow() -> None:
        name = f"v{next(numbers)}"
        volumes.create(name)
        volumes.remove(name)

    actions: dict[str, Action] = {"scow": scow}
    for name, peer in bench.peers.items():
        actions[name] = partial(_life_of_volume, peer.cli, numbers)
    row.values = take_turns(actions, bench.rounds)
    return row


def _life_of_volume(cli: _Cli, numbers: Iterator[int]) -> None:
    name = f"v{next(numbers)}"
    cli("volume", "create", name)
    cli("volume", "rm", name)


def start_with_mounts(bench: Bench) -> Row:
    """Run a container with many binds and volumes, whole command."""
    row = Row(f"run --rm with {_MOUNTS} mounts, whole command", "ms", budget=0.5)
    flags: list[str] = []
    for number in range(_MOUNTS // 2):
        source = bench.folder / f"bound{number}"
        source.mkdir(exist_ok=True)
        flags += ["-v", f"{source}:/bound{number}", "-v", f"vol{number}:/vol{number}:nocopy"]
    arguments = ["run", "--rm", *flags, IMAGE, "true"]
    actions: dict[str, Action] = {"scow": partial(bench.engine.cli, *arguments)}
    for name, peer in bench.peers.items():
        actions[name] = partial(peer.cli, *arguments)
    row.values = take_turns(actions, bench.rounds)
    names = [f"vol{number}" for number in range(_MOUNTS // 2)]
    bench.engine.cli("volume", "rm", *names)
    for peer in bench.peers.values():
        peer.cli("volume", "rm", *names)
    return row


def volume_writes(bench: Bench) -> Row:
    """Write to a volume from a container; how many times longer that takes than in the same place without."""
    row = Row(f"{_WRITTEN_MB} MB written to a volume, to the bare disk", "x", budget=1.1)
    clis: dict[str, _Cli] = {"scow": lambda *words: bench.engine.cli(*words).stdout.strip()}
    clis |= {name: peer.cli for name, peer in bench.peers.items()}
    for name, cli in clis.items():
        cli("volume", "create", "written")
        cli("run", "-d", "--name", "writer", "-v", "written:/w", IMAGE, "sleep", "600")
        place = cli("volume", "inspect", "-f", "{{.Mountpoint}}", "written")
        times: dict[str, list[float]] = {"inside": [], "outside": []}
        for _ in range(max(3, bench.few)):
            start = time.perf_counter()
            cli("exec", "writer", *_dd("/w/file"))
            middle = time.perf_counter()
            subprocess.run(_dd(f"{place}/file"), check=True, capture_output=True)
            times["inside"].append(middle - start)
            times["outside"].append(time.perf_counter() - middle)
        row.values[name] = statistics.median(times["inside"]) / statistics.median(times["outside"])
        cli("rm", "-f", "writer")
        cli("volume", "rm", "written")
    return row


def _dd(target: str) -> list[str]:
    return ["dd", "if=/dev/zero", f"of={target}", "bs=1M", f"count={_WRITTEN_MB}", "conv=fsync"]
