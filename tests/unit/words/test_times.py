"""Times of flags, and times as Docker prints them."""

from __future__ import annotations

import time

import pytest

from scow.words.times import format_time, local_date, moment, parse_time

_NANO = 1_000_000_000


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1136073845", 1136073845 * _NANO),
        ("1136073845.5", 1136073845 * _NANO + 500_000_000),
        ("1136073845.000000001", 1136073845 * _NANO + 1),
        ("2006-01-02T15:04:05Z", 1136214245 * _NANO),
        ("2006-01-02T15:04:05.25Z", 1136214245 * _NANO + 250_000_000),
        ("2006-01-02T15:04:05+01:00", 1136210645 * _NANO),
        ("2006-01-02T15:04Z", 1136214240 * _NANO),
        ("2006-01-02Z", 1136160000 * _NANO),
    ],
)
def test_parse_time(text: str, expected: int) -> None:
    assert parse_time(text) == expected


def test_a_time_without_offset_is_local(berlin: None) -> None:
    assert parse_time("2006-01-02T16:04:05") == 1136214245 * _NANO


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("1h30m", 5400), ("1.5s", 1.5)])
def test_a_duration_is_how_long_ago(text: str, seconds: float) -> None:
    assert abs(time.time_ns() - seconds * _NANO - parse_time(text)) < _NANO


@pytest.mark.parametrize("text", ["", "yesterday", "10x", "2006-13-02", "1m x"])
def test_refuses_other_texts(text: str) -> None:
    with pytest.raises(ValueError, match=r"failed to parse|month must be|invalid"):
        parse_time(text)


def test_logs_have_nine_decimals() -> None:
    assert format_time(1136214245 * _NANO + 5) == "2006-01-02T15:04:05.000000005Z"


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0001-01-01T00:00:00Z"),
        (1136214245 * _NANO, "2006-01-02T15:04:05Z"),
        (1136214245 * _NANO + 120_000_000, "2006-01-02T15:04:05.12Z"),
    ],
)
def test_inspect_has_no_more_decimals_than_needed(nanoseconds: int, expected: str) -> None:
    assert moment(nanoseconds) == expected


def test_tables_have_local_time(berlin: None) -> None:
    assert local_date(1136214245 * _NANO) == "2006-01-02 16:04:05 +0100 CET"
