"""SIGKILL of talker, builder, keeper and spawner at every moment of a start, an exec, an attach and the log's writing.

The moments are spread over the time that the same takes undisturbed. What must hold after each: either it was done, or
whoever asked was told and nothing is left; and who was not killed goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from scow.api.shim.v1 import shim_pb2 as pb
from scow.api.shim.v1 import spawner_pb2 as spawner_pb
from scow.contract.errors import ExecNotFound, ScowError
from scow.contract.log_record import decode
from tests.integration.shim.bundles import config
from tests.integration.shim.drive import NOT_YET, Box, Spawner, Unanswered
from tests.support import processes
from tests.support.processes import alive, name, wait_for

MOMENTS = 10
_REFUSED = (Unanswered, ScowError, ScowError, OSError)


@pytest.fixture(scope="module")
def killed_spawner() -> Iterator[Spawner]:
    """One spawner for the tests that kill its children."""
    made = Spawner()
    yield made
    assert made.process.poll() is None
    made.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """A thread for what is disturbed."""
    with ThreadPoolExecutor(1) as made:
        yield made


def children(pid: int) -> list[int]:
    """Return the children of a process, as quickly as can be; some may be missing while others end (proc(5))."""
    try:
        return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def moments(act: Callable[[], object]) -> list[float]:
    """Return delays in seconds, spread over the time that `act` takes."""
    began = time.monotonic()
    act()
    span = time.monotonic() - began
    return [span * number / MOMENTS for number in range(MOMENTS)]


def kill(find: Callable[[], int], delay: float, work: Future[Any]) -> None:
    """Kill a process some time after it has appeared, unless the work is done before it does."""
    while not (pid := find()) and not work.done():
        pass
    time.sleep(delay)
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), "the end of what was killed")


def outcome(work: Future[Any]) -> Any:
    """Return the result; None when whoever asked was told that there is none."""
    try:
        return work.result()
    except _REFUSED:
        return None


def keeper(spawner: Spawner) -> int:
    return named(spawner.process.pid, "scow-shim")


def named(parent: int, wanted: str) -> int:
    return next((pid for pid in children(parent) if name(pid) == wanted), 0)


def waiting(spawner: Spawner) -> int:
    """Return the shim that was forked ahead, once it waits with its builder."""
    found: list[int] = []

    def ready() -> bool:
        found[:] = [named(spawner.process.pid, "scow-waiting")]
        return bool(found[0]) and bool(children(found[0]))

    wait_for(ready, "a shim that waits")
    return found[0]


def alone(spawner: Spawner) -> None:
    """Wait until there is no shim but one that waits."""
    known = ("scow-waiting", "scow-spawner")
    wait_for(
        lambda: all(name(pid) in known for pid in processes.children(spawner.process.pid)),
        "the end of all shims",
    )


def gone(container: Box) -> None:
    wait_for(lambda: not container.cgroups(), "the end of the cgroup")
    alone(container.spawner)


def given_up(container: Box) -> None:
    """End what was perhaps executed just before its builder was killed, as whoever asked for it does."""
    with contextlib.suppress(OSError, ScowError):
        container.stub.Shutdown(pb.ShutdownRequest())
    gone(container)


def lives_a_moment(spawner: Spawner) -> None:
    made = spawner.box()
    made.run()
    made.end()


def test_builders_killed_at_any_moment_of_a_start(
    killed_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    spawner = killed_spawner
    for delay in moments(lambda: lives_a_moment(spawner)):
        container = spawner.box(config(args=["sleep", "1000"]))
        alone(spawner)
        start = pool.submit(container.start)
        kill(lambda: named(keeper(spawner), "scow-builder"), delay, start)
        if outcome(start) is None:
            container.forget()
            given_up(container)
            container.ids = NOT_YET
            assert not container.state.joinpath("state.json").exists() or container.recorded().code
        else:
            assert container.output("echo", "here") == "here"
            container.end()


def test_builders_killed_at_any_moment_of_a_start_by_a_shim_that_waited(
    killed_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    spawner = killed_spawner
    lives_a_moment(spawner)
    waiting(spawner)
    for delay in moments(lambda: lives_a_moment(spawner)):
        container = spawner.box(config(args=["sleep", "1000"]))
        lives_a_moment(spawner)
        shim = waiting(spawner)
        start = pool.submit(container.start)
        kill(lambda shim=shim: named(shim, "scow-builder"), delay, start)  # type: ignore[misc]
        if outcome(start) is None:
            container.forget()
            given_up(container)
            container.ids = NOT_YET
            assert not container.state.joinpath("state.json").exists() or container.recorded().code
        else:
            assert container.ids.shim_pid == shim
            assert container.output("echo", "here") == "here"
            container.end()


@pytest.mark.parametrize("whom", ["keeper", "builder"])
def test_a_shim_that_was_killed_while_it_waited_keeps_no_start(
    killed_spawner: Spawner, whom: str
) -> None:
    spawner = killed_spawner
    for _ in range(5):
        lives_a_moment(spawner)
        shim = waiting(spawner)
        victim = shim if whom == "keeper" else children(shim)[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda victim=victim: not alive(victim), "the end of what was killed")  # type: ignore[misc]
        # Without its keeper the builder ends.
        wait_for(lambda shim=shim: not children(shim), "the end of the builder")  # type: ignore[misc]
        lives_a_moment(spawner)
    alone(spawner)


def test_nothing_waits_without_its_spawner(own_spawner: Spawner) -> None:
    lives_a_moment(own_spawner)
    shim = waiting(own_spawner)
    builder = children(shim)[0]
    own_spawner.process.kill()
    own_spawner.process.wait()
    wait_for(lambda: not alive(shim) and not alive(builder), "the end of what waited")


def test_keepers_killed_at_any_moment_of_a_start(
    killed_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    spawner = killed_spawner
    for delay in moments(lambda: lives_a_moment(spawner)):
        container = spawner.box(config(args=["sleep", "1000"]))
        alone(spawner)
        start = pool.submit(container.start)
        kill(lambda: keeper(spawner), delay, start)
        outcome(start)
        container.forget()
        record = spawner.reap(container.state)
        assert record.code == 137
        gone(container)
        container.ids = NOT_YET


def test_spawners_killed_at_any_moment_of_a_start(
    own_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    for delay in moments(lambda: lives_a_moment(own_spawner))[::2]:
        container = own_spawner.box(config(args=["sleep", "1000"]))
        start = pool.submit(container.start)
        time.sleep(delay)
        own_spawner.process.kill()
        own_spawner.process.wait()
        done = outcome(start)
        own_spawner.start()
        if done is None:
            container.forget()
            with contextlib.suppress(ScowError):
                own_spawner.reap(container.state, force=True)
            gone(container)
            container.ids = NOT_YET
        else:
            assert container.output("echo", "here") == "here"
            container.end()


def test_talkers_killed_at_any_moment_of_an_exec(
    killed_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    container = killed_spawner.box(config(args=["sleep", "1000"])).start()
    shim, init = container.ids.shim_pid, container.ids.pid

    def execute(number: int) -> Any:
        session = container.execute("sh", "-c", "echo a; sleep 0.02; echo b", exec_id=f"x{number}")
        return session.finish()

    for number, delay in enumerate(moments(lambda: execute(MOMENTS))):
        session = pool.submit(execute, number)
        kill(lambda: named(shim, "scow-talker"), delay, session)
        result = outcome(session)
        assert result is None or (result.code, result.out) == (0, b"a\nb\n")
        assert container.output("echo", "here") == "here"
        wait_for(
            lambda: {pid for pid in children(shim) if name(pid) != "scow-talker"} == {init},
            "the end of the session's process",
        )
        with contextlib.suppress(ExecNotFound):  # killed before it was begun
            state = container.stub.ExecState(pb.ExecStateRequest(exec_id=f"x{number}"))
            assert not state.running
            assert state.exit.code in (0, 137)
    container.end()


def test_talkers_and_the_builder_killed_while_the_log_is_written(
    killed_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    """The container and its log go on, through rotations; only who was attached is cut off."""
    lines = 20_000
    made = config(args=["sh", "-c", f"seq {lines}; read x; seq {lines}"])
    container = killed_spawner.box(made)
    log = spawner_pb.ShimLog(path=str(container.log), max_size=200_000, max_files=99)
    container.start(stdin=True, log=log)
    shim = container.ids.shim_pid
    for _ in range(MOMENTS):
        attached = container.attach(stdin=True)
        os.kill(named(shim, "scow-talker"), signal.SIGKILL)
        with pytest.raises(ConnectionError):
            attached.finish()
    last = container.attach(stdin=True)
    last.send(b"\n")
    assert last.finish().code == 0
    files = [container.log, *(Path(f"{container.log}.{n}") for n in range(1, 99))]
    written = b"".join(
        found.data for f in reversed(files) if f.exists() for found in decode(f.read_bytes())
    )
    once = b"".join(b"%d\n" % number for number in range(1, lines + 1))
    assert written == once * 2
    container.end()


def test_keepers_killed_while_the_log_is_written(killed_spawner: Spawner) -> None:
    """What is in the log then is whole lines in order, and the next start goes on behind them."""
    container = killed_spawner.box(config(args=["sh", "-c", "yes 0123456789 | head -n 900000"]))
    container.start()
    wait_for(lambda: container.log.exists() and container.log.stat().st_size, "the log")
    container.kill_shim()
    killed_spawner.reap(container.state)
    container.end()
    lines = container.log.read_bytes()
    before = b"".join(found.data for found in decode(lines))
    assert before == b"0123456789\n" * (len(before) // 11)
    again = killed_spawner.box(config(args=["echo", "again"]))
    again.run(log=spawner_pb.ShimLog(path=str(container.log)))
    again.end()
    assert b"".join(found.data for found in decode(container.log.read_bytes()))[-6:] == b"again\n"


def test_a_session_that_was_never_recorded_leaves_no_process(
    killed_spawner: Spawner, pool: ThreadPoolExecutor
) -> None:
    """Between fork and record nobody could find it: it waits until it is on record, and ends with its talker."""
    container = killed_spawner.box(config(args=["sleep", "1000"])).start()
    shim, init = container.ids.shim_pid, container.ids.pid
    container.output("true")
    talker = named(shim, "scow-talker")
    execs = container.state / "execs.jsonl"
    execs.unlink()
    os.mkfifo(
        execs
    )  # opening it for writing waits for a reader: the talker stands where it records
    session = pool.submit(container.execute, "sleep", "1000")
    wait_for(lambda: len(children(shim)) == 3, "the session's process")
    os.kill(talker, signal.SIGKILL)
    execs.unlink(missing_ok=True)
    assert outcome(session) is None
    assert container.output("echo", "here") == "here"
    wait_for(
        lambda: {pid for pid in children(shim) if name(pid) != "scow-talker"} == {init},
        "the end of the session's process",
    )
    assert alive(init)
    container.end()
