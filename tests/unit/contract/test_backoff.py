"""Pauses between attempts, and when there is no further one."""

from __future__ import annotations

from scow.contract.backoff import Patience, Pauses


def test_pauses_grow_up_to_the_longest() -> None:
    pauses = Pauses(0.02, 0.5)
    assert [pauses.next() for _ in range(7)] == [0.02, 0.04, 0.08, 0.16, 0.32, 0.5, 0.5]
    pauses.reset()
    assert pauses.next() == 0.02


def test_pauses_are_spread() -> None:
    factors = iter((0.5, 1.5))
    pauses = Pauses(1.0, 8.0, lambda: next(factors))
    assert [pauses.next(), pauses.next()] == [0.5, 3.0]


def test_patience_ends() -> None:
    assert Patience(Pauses(0.02, 0.5), patience=10.0, timeout=None).next() == 0.02
    assert Patience(Pauses(0.02, 0.5), patience=0.0, timeout=None).next() is None


def test_patience_ends_with_the_timeout() -> None:
    patience = Patience(Pauses(0.02, 0.5), patience=10.0, timeout=0.01)
    assert patience.next() is None
    remaining = patience.remaining()
    assert remaining is not None
    assert 0 <= remaining <= 0.01
    assert Patience(Pauses(0.02, 0.5), patience=10.0, timeout=None).remaining() is None


def test_progress_makes_patient_again() -> None:
    patience = Patience(Pauses(0.02, 0.5), patience=10.0, timeout=None)
    patience.next()
    patience.next()
    patience.reset()
    assert patience.next() == 0.02
