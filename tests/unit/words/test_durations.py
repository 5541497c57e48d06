"""Go's durations."""

import pytest

from scow.words.durations import nanoseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1m30s", 90 * 10**9),
        ("1.5s", 1_500_000_000),
        (".5s", 500_000_000),
        ("1.s", 10**9),
        ("1h0.25us", 3600 * 10**9 + 250),
        ("5µs", 5000),
        ("0.9ns", 0),
        ("0.1s", 100_000_000),
    ],
)
def test_durations_are_exact(text: str, expected: int) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "s", ".s", "-1s", "1s ", "1 s", "1x", "9999999999h", "1" * 19 + "ns", "٣s"]
)
def test_other_texts_are_none(text: str) -> None:
    assert nanoseconds(text) is None
