"""`python -m tests.bench`: scow beside docker and podman, as tests/bench/README.md describes."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from tests.bench.content import Content
from tests.bench.measure import Bench, Peer
from tests.bench.rows import ROWS
from tests.bench.table import Row, render
from tests.support.busybox import import_busybox, rootfs_tar
from tests.support.engine import Engine
from tests.support.peers import Docker, Net, Podman
from tests.support.registry import Registry


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="tests.bench")
    parser.add_argument("--rounds", type=int, default=20, help="how often each thing is done")
    parser.add_argument("--only", default="", help="rows, separated by commas")
    parser.add_argument("--without", default="", help="peers to leave out, separated by commas")
    parser.add_argument("--large", type=int, default=300, help="megabytes of the large layer")
    parser.add_argument(
        "--sizes", default="10,100,300", help="numbers of containers, for the row growth"
    )
    options = parser.parse_args()
    wanted = [name for name in options.only.split(",") if name]
    unknown = set(wanted) - {row.__name__ for row in ROWS}
    if unknown:
        parser.error(f"no row {', '.join(sorted(unknown))}: {', '.join(r.__name__ for r in ROWS)}")
    os.environ.pop(
        "PYTHONDONTWRITEBYTECODE", None
    )  # whoever sets it waits for the compiler each time
    rows: list[Row] = []
    with contextlib.ExitStack() as stack:
        bench = _start(stack, options)
        for row in ROWS:
            if not wanted or row.__name__ in wanted:
                print(f"measuring {row.__name__} ...", file=sys.stderr, flush=True)
                found = row(bench)
                rows += found if isinstance(found, list) else [found]
    print(render(rows, ["scow", *bench.peers]))
    return 0


def _start(stack: contextlib.ExitStack, options: argparse.Namespace) -> Bench:
    """Start the engines and a registry, and give all of them the image that containers are made of."""
    folder = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="scow-bench-", dir="/var/tmp"))
    )
    net = Net()
    stack.callback(net.close)
    registry = stack.enter_context(Registry())
    # Where /run is: on a tmpfs.
    runs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="scow-", dir="/dev/shm")))
    engine = stack.enter_context(Engine(run_base=runs))
    import_busybox(engine)
    near = stack.enter_context(Registry(storage=registry.storage, prefix=net.prefix))
    content = Content(folder, registry, near, net.prefix)
    peers: dict[str, Peer] = {}
    kinds: tuple[tuple[type[Docker] | type[Podman], str], ...] = (
        (Docker, "dockerd"),
        (Podman, "podman"),
    )
    for kind, program in kinds:
        if kind.name in options.without.split(",") or not shutil.which(program):
            continue
        peer: Peer = kind(net, insecure=[near.address], run_base=runs)
        stack.enter_context(peer)
        peer.cli("import", "-", "busybox", stdin=rootfs_tar())
        peers[kind.name] = peer
    if not peers:
        sys.exit(
            "neither dockerd nor podman is there to compare with: see deploy/packages/test.txt"
        )
    client = stack.enter_context(engine.client())
    sizes = tuple(map(int, options.sizes.split(",")))
    return Bench(engine, client, peers, options.rounds, content, options.large, folder, sizes)


if __name__ == "__main__":
    sys.exit(main())
