"""Both sides of pipes in one process: order, slow sessions, input."""

from __future__ import annotations

import asyncio
import os
import tracemalloc

import pytest

from scow.contract.errors import ScowError
from scow.contract.log_lines import STREAMS
from scow.shim.talker import stdio as module
from scow.shim.talker.stdio import Session, Stdio


async def drain(session: Session) -> list[tuple[str, bytes]]:
    pieces = []
    while (piece := await session.next()) is not None:
        pieces.append(piece)
    return pieces


async def test_output_goes_to_every_session_that_wants_it() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    both, _ = stdio.attach(stdout=True, stderr=True)
    errors, _ = stdio.attach(stdout=False, stderr=True)
    stdio.start()
    os.write(stdio.child[1], b"out")
    os.write(stdio.child[2], b"err")
    stdio.close_child_side()
    await asyncio.sleep(0.05)
    stdio.finish()
    assert sorted(await drain(both)) == [("stderr", b"err"), ("stdout", b"out")]
    assert await drain(errors) == [("stderr", b"err")]
    late, _ = stdio.attach(stdout=True, stderr=True)
    assert await drain(late) == []


async def test_a_session_knows_how_much_came_before() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    stdio.start()
    os.write(stdio.child[1], b"line\nbegun")
    os.write(stdio.child[2], b"err")
    await asyncio.sleep(0.05)
    session, before = stdio.attach(stdout=True, stderr=True)
    os.write(stdio.child[1], b" and ended\n")
    stdio.close_child_side()
    await asyncio.sleep(0.05)
    stdio.finish()
    assert before == {"stdout": 10, "stderr": 3}
    assert await drain(session) == [("stdout", b" and ended\n")]
    assert stdio.written == {"stdout": 21, "stderr": 3}


async def test_who_comes_back_gets_what_is_kept() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    stdio.start()
    os.write(stdio.child[1], b"line\nbegun")
    os.write(stdio.child[2], b"err")
    await asyncio.sleep(0.05)
    known = {"stdout": 7, "stderr": 3}
    session, before = stdio.attach(stdout=True, stderr=True, known=known)
    stdio.close_child_side()
    stdio.finish()
    assert before == known
    assert await drain(session) == [("stdout", b"gun")]
    late, _ = stdio.attach(stdout=True, stderr=True, known={"stdout": 0, "stderr": 0})
    assert sorted(await drain(late)) == [("stderr", b"err"), ("stdout", b"line\nbegun")]


async def test_no_more_is_kept_than_the_bound() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    stdio.start()
    written = 0
    while written < 2 * module._KEPT:
        written += os.write(stdio.child[1], b"x" * 30_000)
        await asyncio.sleep(0.01)
    stdio.close_child_side()
    stdio.finish()
    session, before = stdio.attach(stdout=True, stderr=True, known={"stdout": 0, "stderr": 0})
    got = b"".join(data for _, data in await drain(session))
    assert module._KEPT - 32_768 <= len(got) <= module._KEPT
    assert before["stdout"] + len(got) == written


@pytest.mark.parametrize("streams", [("stdout",), ("stdout", "stderr")])
async def test_output_of_single_bytes_is_kept_within_the_bound(streams: tuple[str, ...]) -> None:
    stdio = Stdio(terminal=False, stdin=False)
    tracemalloc.start()
    try:
        for number in range(20_000):
            stream = streams[number % len(streams)]
            stdio._keep(stream, bytes((number % 256,)))
            stdio.written[stream] += 1
            if number % 500 == 0:
                await asyncio.sleep(0)
        assert tracemalloc.get_traced_memory()[0] < 2 * module._KEPT
    finally:
        tracemalloc.stop()
    session, before = stdio.attach(stdout=True, stderr=True, known=dict.fromkeys(STREAMS, 0))
    stdio.close_child_side()
    stdio.finish()
    got = b"".join(data for _, data in await drain(session))
    assert got == bytes(number % 256 for number in range(20_000))[-len(got) :]
    assert sum(before.values()) + len(got) == 20_000


async def test_what_is_left_in_the_pipe_is_delivered_at_the_end() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    session, _ = stdio.attach(stdout=True, stderr=True)
    os.write(stdio.child[1], b"x" * 60_000)
    stdio.close_child_side()
    stdio.finish()
    assert b"".join(data for _, data in await drain(session)) == b"x" * 60_000


async def test_a_slow_session_stops_the_reading_until_it_takes_some() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    slow, _ = stdio.attach(stdout=True, stderr=False)
    os.set_blocking(stdio.child[1], False)
    stdio.start()
    written = 0
    for _ in range(100):
        try:
            written += os.write(stdio.child[1], b"x" * 65536)
        except BlockingIOError:
            break
        await asyncio.sleep(0.001)
    assert slow.full
    assert written < 1 << 20
    taken = 0
    while slow.full:
        piece = await slow.next()
        assert piece is not None
        taken += len(piece[1])
    await asyncio.sleep(0.05)
    assert os.write(stdio.child[1], b"more") == 4
    stdio.close_child_side()
    stdio.finish()
    assert taken + sum(len(data) for _, data in await drain(slow)) == written + 4


async def test_a_session_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STALL_SECONDS", 0.05)
    resumed = []
    session = Session(frozenset({"stdout"}), lambda: resumed.append(True))
    session.feed("stdout", b"x" * 300_000)
    assert session.full
    await asyncio.sleep(0.1)
    assert not session.full
    assert resumed
    with pytest.raises(ScowError) as raised:
        await session.next()
    assert raised.value.reason == "LIMIT_EXCEEDED"


async def test_input_waits_for_the_reader_and_ends() -> None:
    stdio = Stdio(terminal=False, stdin=True)
    writing = asyncio.create_task(stdio.write_stdin(b"y" * 200_000))
    await asyncio.sleep(0.02)
    assert not writing.done()
    received = len(os.read(stdio.child[0], 65536))
    while received < 200_000:
        await asyncio.sleep(0.001)  # the writer goes on
        received += len(os.read(stdio.child[0], 65536))
    await writing
    await stdio.end_stdin()
    assert os.read(stdio.child[0], 1) == b""
    await stdio.write_stdin(b"after the end")
    stdio.close_child_side()
    stdio.finish()


async def test_input_to_a_process_that_closed_it_is_dropped() -> None:
    stdio = Stdio(terminal=False, stdin=True)
    stdio.close_child_side()
    await stdio.write_stdin(b"nobody reads")
    stdio.finish()


async def test_no_terminal_no_size() -> None:
    stdio = Stdio(terminal=False, stdin=False)
    with pytest.raises(ScowError):
        stdio.resize(1, 1)
    stdio.close_child_side()
    stdio.finish()
