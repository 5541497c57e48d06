"""Going on in a log: wherever the client was cut off, each byte comes once, and what is missing is told."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from scow.container.logs.files import Cursor
from scow.container.streams.replay import Piece, Replay
from scow.contract.log_record import LogEncoder, with_position

BOTH = {"stdout", "stderr"}


def write(path: Path, *, run: int = 1, at: int = 0, lines: str = "abcdef") -> None:
    """Log lines of two characters on each stream, of which the first ones are at a position."""
    encoder = LogEncoder()
    with path.open("ab") as file:
        for stream in ("stdout", "stderr"):
            records = encoder.encode(stream, "".join(f"{line}\n" for line in lines).encode())
            file.write(with_position(records, at, run))


async def pieces(replay: Replay, path: Path) -> list[Piece]:
    with contextlib.closing(Cursor(path)) as cursor:
        return [piece async for piece in replay.logged(cursor)]


async def text(replay: Replay, path: Path, stream: str = "stdout") -> str:
    found = await pieces(replay, path)
    assert all(piece.missing == 0 for piece in found)
    return b"".join(piece.data for piece in found if piece.stream == stream).decode()


@pytest.mark.parametrize("known", range(13))
@pytest.mark.parametrize("limit", [0, 5, 12])
async def test_from_where_the_client_was_up_to_where_live_output_begins(
    tmp_path: Path, known: int, limit: int
) -> None:
    path = tmp_path / "log"
    write(path, run=1, lines="old")
    write(path, run=2)
    output = b"a\nb\nc\nd\ne\nf\n"
    replay = Replay(2, {"stdout": known}, {"stdout"})
    replay.limit({"stdout": limit, "stderr": 12})
    logged = await text(replay, path)
    assert logged.encode() == output[known:limit]
    live = replay.take("stdout", limit, output[limit:] + b"more")
    assert live == Piece("stdout", (output + b"more")[max(known, limit) :])


async def test_streams_that_are_not_wanted_do_not_come(tmp_path: Path) -> None:
    write(tmp_path / "log")
    found = await pieces(Replay(1, {"stderr": 4}, {"stderr"}), tmp_path / "log")
    assert {piece.stream for piece in found} == {"stderr"}


async def test_records_that_were_rotated_away_are_missing(tmp_path: Path) -> None:
    write(tmp_path / "log", at=100)
    replay = Replay(1, {"stdout": 40, "stderr": 105}, BOTH)
    first, second, *rest = await pieces(replay, tmp_path / "log")
    assert (first.stream, first.missing) == ("stdout", 60)
    assert all(piece.missing == 0 for piece in (second, *rest))
    assert [*replay.missing({"stdout": 112, "stderr": 120})] == [Piece("stderr", b"", 8)]
    assert [*replay.missing({"stdout": 112, "stderr": 120})] == []


async def test_another_run_is_not_this_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    write(path, run=1)
    assert await text(Replay(2, {}, BOTH), path) == ""
    write(path, run=2, lines="xy")
    assert await text(Replay(2, {}, BOTH), path) == "x\ny\n"
    assert await text(Replay(1, {"stdout": 8}, BOTH), path) == "e\nf\n"
    assert await text(Replay(2, {}, BOTH, older=True), path) == "a\nb\nc\nd\ne\nf\nx\ny\n"


async def test_records_without_a_position_are_of_an_older_run(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LogEncoder().encode("stdout", b"before\n"))
    write(path, run=1, lines="x")
    assert await text(Replay(1, {}, BOTH), path) == "x\n"
    assert await text(Replay(1, {}, BOTH, older=True), path) == "before\nx\n"
