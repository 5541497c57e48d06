"""Points in time as filters give them."""

from __future__ import annotations

import time

import pytest

from scow.contract.errors import InvalidFilter
from scow.core.times import now_ns, parse_moment

_SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1700000000", 1_700_000_000 * _SECOND),
        ("1700000000.5", 1_700_000_000 * _SECOND + _SECOND // 2),
        ("2026-01-02T15:04:05Z", 1_767_366_245 * _SECOND),
        ("2026-01-02T15:04:05+01:00", 1_767_362_645 * _SECOND),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert parse_moment(text, "until") == expected


def test_a_date_is_local() -> None:
    expected = time.mktime((2026, 1, 2, 0, 0, 0, 0, 0, -1))
    assert parse_moment("2026-01-02", "until") == int(expected) * _SECOND


def test_durations_go_back_from_now() -> None:
    before = now_ns()
    found = parse_moment("1h30m", "until")
    assert before - 5400 * _SECOND <= found <= now_ns() - 5400 * _SECOND


@pytest.mark.parametrize("text", ["", "soon", "1h30", "-1", "99999-01-01", "1" * 40])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_moment(text, "until")
    assert caught.value.which == "until"
