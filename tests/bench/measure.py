"""How things are measured: the engines take turns, so that a disturbance of the machine meets all of them."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from scow.client import Client
from tests.bench.content import Content
from tests.support import processes
from tests.support.engine import Engine
from tests.support.peers import Docker, Podman

IMAGE = "busybox"
_SAMPLE_SECONDS = 0.02

Peer = Docker | Podman
Action = Callable[[], object]


@dataclass
class Bench:
    """The engines side by side.

    Attributes:
        engine: scow.
        client: A client of it.
        peers: Docker and Podman, those that are there.
        rounds: How often each thing is done; those that take seconds, `few` times.
        content: Images in registries.
        large_mb: Size of the large layer.
        folder: For files.
        sizes: Numbers of containers at which the costs of one more are measured.
    """

    engine: Engine
    client: Client
    peers: Mapping[str, Peer]
    rounds: int
    content: Content
    large_mb: int
    folder: Path
    sizes: tuple[int, ...]

    @property
    def few(self) -> int:
        """Rounds of what takes seconds."""
        return max(2, self.rounds // 5)


def take_turns(actions: Mapping[str, Action], rounds: int) -> dict[str, float]:
    """Return the median milliseconds of each action; each is done once before it counts."""
    for action in actions.values():
        action()
    return take_turns_between(actions, rounds, {})


def take_turns_between(
    actions: Mapping[str, Action], rounds: int, after: Mapping[str, Action]
) -> dict[str, float]:
    """Return the median milliseconds of each action; what comes after it does not count."""
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            times[name].append(time.perf_counter() - start)
            if name in after:
                after[name]()
    return {name: statistics.median(taken) * 1000 for name, taken in times.items()}


def command(arguments: list[str]) -> Action:
    """Return an action that is a command."""
    return lambda: run_command(arguments)


def run_command(arguments: list[str], environment: Mapping[str, str] | None = None) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(
        arguments, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr.decode()}"


class Peak:
    """Measures the largest memory of the image service with its workers, as the sum of what each had at most.

    Attributes:
        mib: The result.
    """

    def __init__(self, bench: Bench) -> None:
        self._service = bench.engine.service_pid("image")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.mib = 0.0

    def __enter__(self) -> Peak:
        for pid in self._pids():
            # Resets the high water mark (proc(5)).
            Path(f"/proc/{pid}/clear_refs").write_text("5")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _pids(self) -> list[int]:
        return [self._service, *processes.children(self._service)]

    def _sample(self) -> None:
        while not self._stop.wait(_SAMPLE_SECONDS):
            self.mib = max(self.mib, sum(map(_high_water_kib, self._pids())) / 1024)


def _high_water_kib(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1])
    return 0


@contextlib.contextmanager
def containers(bench: Bench, count: int, arguments: list[str]) -> Iterator[dict[str, list[str]]]:
    """Run containers of a command in every engine; give their ids by engine."""
    made = bench.client.containers
    ids = {"scow": [made.run(IMAGE, arguments, detach=True).id for _ in range(count)]}
    for name, peer in bench.peers.items():
        ids[name] = [peer.cli("run", "-d", IMAGE, *arguments) for _ in range(count)]
    try:
        time.sleep(1)  # what starting them stirred up settles
        yield ids
    finally:
        for container in ids["scow"]:
            made.remove(container, force=True)
        for name, peer in bench.peers.items():
            peer.cli("rm", "-f", *ids[name])
