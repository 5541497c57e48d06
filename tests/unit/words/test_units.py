"""Sizes and durations read as Docker's."""

from __future__ import annotations

import pytest

from scow.words.units import binary_size, human_duration, human_size, parse_size

_DAY = 86400


@pytest.mark.parametrize(
    ("size", "expected"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (4_270_000, "4.27MB"), (187_654_321, "187.7MB")],
)
def test_human_size(size: int, expected: str) -> None:
    assert human_size(size) == expected


def test_human_size_has_as_many_digits_as_asked_for() -> None:
    assert human_size(187_654_321, 3) == "188MB"


def test_binary_size() -> None:
    assert binary_size(8_329_871_360) == "7.758GiB"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, "Less than a second"),
        (-3, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (2 * 3600, "2 hours"),
        (47 * 3600, "47 hours"),
        (2 * _DAY, "2 days"),
        (13 * _DAY, "13 days"),
        (14 * _DAY, "2 weeks"),
        (60 * _DAY, "2 months"),
        (730 * _DAY, "2 years"),
    ],
)
def test_human_duration(seconds: float, expected: str) -> None:
    assert human_duration(seconds) == expected


@pytest.mark.parametrize("text", ["", "x", "-1", "1x", "nan", "inf", "1e308p", "1.5.2g"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        parse_size(text)
