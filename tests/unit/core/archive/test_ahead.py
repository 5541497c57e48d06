"""Pieces that are made ahead, in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from scow.core.archive.read.ahead import Ahead
from tests.support.processes import wait_for


def test_all_pieces_come_in_order_through_several_stages() -> None:
    def doubled(pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            yield piece * 2

    pieces = [b"%d" % number for number in range(1000)]
    stages = Ahead(doubled(Ahead(iter(pieces))))
    assert list(stages) == [piece * 2 for piece in pieces]
    assert list(stages) == []


def test_an_error_is_raised_where_pieces_are_taken() -> None:
    def failing() -> Iterator[bytes]:
        yield b"one"
        raise OSError("two")

    stage = Ahead(failing())
    assert next(stage) == b"one"
    for _ in range(2):
        with pytest.raises(OSError, match="two"):
            next(stage)


def test_it_runs_ahead_by_a_few_pieces() -> None:
    made: list[int] = []

    def counted() -> Iterator[bytes]:
        for number in range(100):
            made.append(number)
            yield b"piece"

    stage = Ahead(counted())
    wait_for(lambda: len(made) >= 3, "pieces made ahead")
    time.sleep(0.05)
    assert len(made) <= 5
    stage.close()


def test_closing_ends_the_threads() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"piece"

    before = threading.active_count()
    inner = Ahead(endless())
    outer = Ahead(iter(inner))
    assert next(outer) == b"piece"
    outer.close()
    inner.close()
    assert threading.active_count() == before
