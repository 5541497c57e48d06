"""Rows about names, published ports and what passes through networks."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import dns.message

from tests.bench.measure import IMAGE, Action, Bench, command, run_command, take_turns
from tests.bench.table import Row
from tests.integration.network.machines import Namespace
from tests.support.engine import BIN
from tests.support.peers import Docker

_T = TypeVar("_T")
# Namespaces of who sends and who gets, and the address of the latter.
_Measure = Callable[[str, str, str], float]
_CLONE_NEWNET = 0x40000000
_NETWORK = "benchnet"
_QUESTIONS, _AT_ONCE, _ROUNDS = 10_000, 32, 5
_TRIES = 3
_GIB = 1 << 30
_PORT = 9000
_FIRST = 20_000
_libc = ctypes.CDLL(None, use_errno=True)


def name_latency(bench: Bench) -> Row:
    """A question for another container's name, from the container and back."""
    row = Row("DNS question for a container, median", "us", budget=1)
    with _on_a_network(bench) as pids:
        for engine, (asker, _) in pids.items():
            row.values[engine] = _inside(asker, _ask_one_by_one)
    return row


def name_rate(bench: Bench) -> Row:
    """Many questions, some of them at once; the best of some rounds, since two processes share the processors."""
    row = Row(f"{_QUESTIONS:,} DNS questions, {_AT_ONCE} at once", "ms", budget=1)
    with _on_a_network(bench) as pids:
        for _ in range(_ROUNDS):
            for engine, (asker, _) in pids.items():
                took = _inside(asker, _ask_many)
                row.values[engine] = min(took, row.values.get(engine, took))
    return row


def _question() -> bytes:
    return dns.message.make_query("other", "A").to_wire()


def _asking() -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.connect(("127.0.0.11", 53))
    one.settimeout(5)
    return one


def _ask_one_by_one() -> float:
    question, times = _question(), []
    with _asking() as one:
        for _ in range(2000):
            start = time.perf_counter()
            one.send(question)
            assert one.recv(512)[3] & 0xF == 0
            times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def _ask_many() -> float:
    question = _question()
    with _asking() as one:
        start = time.perf_counter()
        for _ in range(_AT_ONCE):
            one.send(question)
        for _ in range(_QUESTIONS - _AT_ONCE):
            one.recv(512)
            one.send(question)
        for _ in range(_AT_ONCE):
            one.recv(512)
        return (time.perf_counter() - start) * 1000


def published_ports(bench: Bench) -> Row:
    """Run and remove a container with 100 published ports, each a flag of its own."""
    flags = [word for n in range(100) for word in ("-p", f"127.0.0.1:{_FIRST + n}:{1000 + n}")]
    row = Row("run --rm with 100 published ports, whole command", "ms", budget=1 / 4)
    row.values = take_turns(_runs(bench, flags), bench.few)
    return row


def published_range(bench: Bench) -> Row:
    """The same with a range of 10,000, which takes docker minutes and thousands of processes: scow alone."""
    flags = ["-p", f"127.0.0.1:{_FIRST}-{_FIRST + 9999}:{_FIRST}-{_FIRST + 9999}"]
    actions = {"scow": _runs(bench, flags)["scow"]}
    row = Row("run --rm with a range of 10,000 ports, whole command", "ms", limit=2000)
    row.values = take_turns(actions, bench.few)
    return row


def _runs(bench: Bench, flags: list[str]) -> dict[str, Action]:
    words = ["run", "--rm", *flags, IMAGE, "true"]
    arguments, environment = [str(BIN / "scow"), *words], bench.engine.env
    actions: dict[str, Action] = {"scow": lambda: run_command(arguments, environment)}
    for name, peer in bench.peers.items():
        if isinstance(peer, Docker):
            actions[name] = command(peer.command(*words))
    return actions


def transfer(bench: Bench) -> list[Row]:
    """A gibibyte by TCP to a container, from another one and from the host."""
    return _beside_bare(bench, "1 GiB", "ms", _transfer)


def round_trip(bench: Bench) -> list[Row]:
    """A byte by TCP to a container and back, from another one and from the host."""
    return _beside_bare(bench, "a byte and back", "us", _round_trip)


def _beside_bare(bench: Bench, what: str, unit: str, measure: _Measure) -> list[Row]:
    """Measure between containers and from the host; beside it the same between namespaces on a bare bridge."""
    rows = []
    for number, way in enumerate(("container to container", "host to container")):
        with _bare_bridge() as (host, left, right):
            bare = min(measure((left, host)[number], right, "10.99.0.2") for _ in range(_TRIES))
        row = Row(f"{what}, {way}; bare bridge {bare:.0f} {unit}", unit, budget=1.1)
        with _on_a_network(bench) as pids:
            for _ in range(_TRIES):
                for engine, (asker, other) in pids.items():
                    source = (asker, _host_of(bench, engine))[number]
                    took = measure(source, other, _inside(other, _own_address))
                    row.values[engine] = min(took, row.values.get(engine, took))
        rows.append(row)
    return rows


def _host_of(bench: Bench, engine: str) -> str:
    """Return the network namespace that is an engine's host."""
    peer = bench.peers.get(engine)
    return "/proc/self/ns/net" if peer is None else f"/proc/{peer.daemons()[0]}/ns/net"


def _round_trip(sender: str, receiver: str, address: str) -> float:
    """Return the microseconds that a byte takes there and back, at the median."""
    listener = _inside(receiver, lambda: socket.create_server(("0.0.0.0", _PORT)))

    def echo() -> None:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection:
            while data := connection.recv(1):
                connection.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    times = []
    with _inside(sender, lambda: socket.create_connection((address, _PORT), 10)) as one, listener:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(3000):
            start = time.perf_counter()
            one.sendall(b"?")
            one.recv(1)
            times.append(time.perf_counter() - start)
    thread.join()
    return statistics.median(times) * 1e6


def _transfer(sender: str, receiver: str, address: str) -> float:
    """Return the milliseconds that a gibibyte takes."""
    listener = _inside(receiver, lambda: socket.create_server(("0.0.0.0", _PORT)))

    def drain() -> None:
        connection, _ = listener.accept()
        buffer = bytearray(1 << 20)
        with connection:
            while connection.recv_into(buffer):
                pass

    thread = threading.Thread(target=drain)
    thread.start()
    data = memoryview(bytes(1 << 20))
    with _inside(sender, lambda: socket.create_connection((address, _PORT), 10)) as one, listener:
        start = time.perf_counter()
        for _ in range(_GIB // len(data)):
            one.sendall(data)
        one.shutdown(socket.SHUT_WR)
        thread.join()
        return (time.perf_counter() - start) * 1000


@contextlib.contextmanager
def _bare_bridge() -> Iterator[tuple[str, str, str]]:
    with Namespace() as host, Namespace() as left, Namespace() as right:
        host.run("ip link add bare0 type bridge && ip link set bare0 up")
        host.run("ip addr add 10.99.0.9/24 dev bare0")
        for number, one in enumerate((left, right), 1):
            host.run(f"ip link add v{number} type veth peer name eth0 netns {one.pid}")
            host.run(f"ip link set v{number} master bare0 up")
            one.run(f"ip addr add 10.99.0.{number}/24 dev eth0 && ip link set eth0 up")
        yield host.path, left.path, right.path


@contextlib.contextmanager
def _on_a_network(bench: Bench) -> Iterator[Mapping[str, tuple[str, str]]]:
    """Give, by engine, the namespaces of two containers on a network of the user's; the second is called "other"."""

    def scow(*words: str) -> str:
        return bench.engine.cli(*words).stdout.strip()

    calls: dict[str, Callable[..., str]] = {"scow": scow}
    for name, peer in bench.peers.items():
        if isinstance(peer, Docker):  # podman of Debian has no names
            calls[name] = peer.cli
    found = {}
    try:
        for engine, call in calls.items():
            call("network", "create", _NETWORK)
            for name in ("asker", "other"):
                flags = ("--name", name, "--network", _NETWORK)
                call("run", "-d", *flags, IMAGE, "sleep", "10000")
            pids = [call("inspect", "-f", "{{.State.Pid}}", n) for n in ("asker", "other")]
            found[engine] = (f"/proc/{pids[0]}/ns/net", f"/proc/{pids[1]}/ns/net")
        yield found
    finally:
        for call in calls.values():
            call("rm", "-f", "asker", "other")
            call("network", "rm", _NETWORK)


def _own_address() -> str:
    shown = subprocess.run(
        ["ip", "-4", "-o", "addr", "show", "dev", "eth0"],
        capture_output=True,
        text=True,
        check=True,
    )
    return shown.stdout.split()[3].partition("/")[0]


def _inside(path: str, call: Callable[[], _T]) -> _T:
    """Return what a function returns in a network namespace."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def enter() -> None:
        try:
            with open(path) as namespace:
                assert _libc.setns(namespace.fileno(), _CLONE_NEWNET) == 0
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]
