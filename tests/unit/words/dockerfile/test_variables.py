"""Words of Dockerfile instructions."""

from __future__ import annotations

import pytest

from scow.words.dockerfile import variables

ENVIRONMENT = {"A": "a", "SPACED": "two words", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two\tthree", ["one", "two", "three"]),
        ("X=$A:b Y=${A}b Z=$NONE", ["X=a:b", "Y=ab", "Z="]),
        ("X=$SPACED", ["X=two words"]),
        ("'$A' \"$A b\" \\$A", ["$A", "a b", "$A"]),
        ("${A:-x} ${NONE:-x y} ${EMPTY:-'$A'} ${NONE:-$A}", ["a", "x y", "$A", "a"]),
        ("${A:+x} ${EMPTY:+x}", ["x", ""]),
        ('a\\ b \'c d\'e "\\"\\n"', ["a b", "c de", '"\\n']),
        ("$ $1 a$", ["$", "$1", "a$"]),
        ("  ", []),
        ("''", [""]),
    ],
)
def test_split(text: str, expected: list[str]) -> None:
    assert variables.split(text, ENVIRONMENT) == expected


def test_whole() -> None:
    assert variables.whole("/srv/$A  'and more'", ENVIRONMENT) == "/srv/a  and more"


@pytest.mark.parametrize("text", ["'a", '"a', "${A", "${}", "${A:?x}", "${A:-x", "${1}", '"\\'])
def test_what_is_not_closed(text: str) -> None:
    with pytest.raises(ValueError, match=r"closed|name|unsupported"):
        variables.split(text, ENVIRONMENT)
