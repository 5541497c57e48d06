"""`python -m tests.bench`: scow beside docker and podman, as tests/bench/README.md describes."""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import shutil
import sys
import tarfile

from tests.bench.rows import ROWS, Bench, Peer
from tests.bench.table import render
from tests.support.busybox import import_busybox, rootfs_tar
from tests.support.engine import Engine
from tests.support.peers import Docker, Net, Podman
from tests.support.registry import Registry

_FILES = 10_000
_BYTES = 73_000_000


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.bench")
    parser.add_argument("--rounds", type=int, default=20, help="how often each thing is done")
    parser.add_argument("--only", default="", help="rows, separated by commas")
    parser.add_argument("--without", default="", help="peers to leave out, separated by commas")
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    unknown = set(wanted) - {row.__name__ for row in ROWS}
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}: {', '.join(r.__name__ for r in ROWS)}")
    rows = []
    with contextlib.ExitStack() as stack:
        bench = _start(stack, options.rounds, options.without.split(","))
        for row in ROWS:
            if not wanted or row.__name__ in wanted:
                print(f"measuring {row.__name__} ...", file=sys.stderr, flush=True)
                rows.append(row(bench))
    print(render(rows, ["scow", *bench.peers]))
    return 0


def _start(stack: contextlib.ExitStack, rounds: int, without: list[str]) -> Bench:
    """Start the engines, give all of them the image, and fill a registry."""
    net = Net()
    stack.callback(net.close)
    registry = stack.enter_context(Registry())
    engine = stack.enter_context(Engine())
    import_busybox(engine)
    near = stack.enter_context(Registry(storage=registry.storage, prefix=net.prefix))
    layer = {"peers": f"{near.address}/bench/files:1", "scow": f"{registry.address}/bench/files:1"}
    peers: dict[str, Peer] = {}
    kinds: tuple[tuple[type[Docker] | type[Podman], str], ...] = (
        (Docker, "dockerd"),
        (Podman, "podman"),
    )
    for kind, program in kinds:
        if kind.name in without or not shutil.which(program):
            continue
        peer: Peer = kind(net, insecure=[near.address])
        stack.enter_context(peer)
        peer.cli("import", "-", "busybox", stdin=rootfs_tar())
        peers[kind.name] = peer
    if not peers:
        sys.exit(
            "neither dockerd nor podman is there to compare with: see deploy/packages/test.txt"
        )
    first = next(iter(peers.values()))
    first.cli("import", "-", layer["peers"], stdin=_files_tar())
    first.cli("push", layer["peers"])
    first.cli("rmi", layer["peers"])
    client = stack.enter_context(engine.client())
    return Bench(engine, client, peers, rounds, layer)


def _files_tar() -> bytes:
    """Return a tar of 10,000 files, 73 MB together, that compresses about as programs do."""
    chance = random.Random(1)
    half = chance.randbytes(4096)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for index in range(_FILES):
            entry = tarfile.TarInfo(f"usr/share/d{index // 100}/f{index}")
            entry.size = int(chance.expovariate(_FILES / _BYTES))
            pattern = half[: chance.randrange(64, 4096)] + bytes(chance.randrange(64, 2048))
            data = (pattern * (entry.size // len(pattern) + 1))[: entry.size]
            tar.addfile(entry, io.BytesIO(data))
    return stream.getvalue()


if __name__ == "__main__":
    sys.exit(main())
