"""Variables, quotes and escapes."""

from __future__ import annotations

import time

import pytest

from scow.words.dockerfile import expansion
from scow.words.dockerfile.expansion import DOCUMENT, Mode, Scope
from scow.words.dockerfile.problem import Problem

VALUES = {
    "A": "a",
    "SPACED": "two  words",
    "EMPTY": "",
    "F": "foobarbaz",
    "P": "/a/b/c",
    "_x1": "x",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/srv/$A  'and more'", "/srv/a  and more"),
        ("$A.${A}b$NONE-${NONE}", "a.ab-"),
        ("$_x1 ${_x1}", "x x"),
        ("$ $. a$ $", "$ $. a$ $"),
        ("$1x ${12} $@ ${#} $$", "x    "),
        ("\u00e4$A\u00e4 ", "\u00e4 "),  # letters of any script make a name
        (r"\$A \'x\' \\ \q", r"$A 'x' \ q"),
        (r'"$A \$A \" \\ \q"', r'a $A " \ \q'),
        (r"'$A \ " + '"' + "'", r"$A \ " + '"'),
        ("\"it's\" '\"'", "it's \""),
        ("end\\", "end"),
        ("${A:-x}${EMPTY:-x}${NONE:-x}", "axx"),
        ("${A-x}${EMPTY-x}${NONE-x}", "ax"),
        ("${A:+x}${EMPTY:+y}${NONE:+z}", "x"),
        ("${A+x}${EMPTY+y}${NONE+z}", "xy"),
        ("${A:?m}${A?m}${EMPTY?m}", "aa"),
        ("${NONE:-${EMPTY:-$A b}}", "a b"),
        ("${NONE:-'}'}\\}", "}}"),
        (r"${NONE:-\}}", "}"),
        ("${F#f*b}|${F##f*b}|${F%b*}|${F%%b*}", "arbaz|az|foobar|foo"),
        ("${F#x}|${F#}|${F%z}|${F#?}|${F##*}|${F%%*}", "foobarbaz|foobarbaz|foobarba|oobarbaz||"),
        ("${F/ba/fo}|${F//ba/fo}|${F/o}/x}|${F//a*b/-}", "fooforbaz|fooforfoz|foobarbaz|foob-az"),
        ("${P//\\//.}|${P/\\/*\\//-}|${P##*/}|${P%/*}", ".a.b.c|-c|c|/a/b"),
        (r"${P//\//\/}", r"\/a\/b\/c"),
        ("${NONE#x}|${NONE/x/y}|${EMPTY%x}", "||"),
        ("${F//$A/[$A]}", "foob[a]rb[a]z"),
    ],
)
def test_word(text: str, expected: str) -> None:
    assert expansion.word(text, VALUES) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two\tthree  ", ["one", "two", "three"]),
        ("X=$SPACED", ["X=two", "words"]),
        ('"$SPACED" x\\ y', ["two  words", "x y"]),
        ("a${EMPTY}b $NONE", ["ab"]),
        ("'a b'c", ["a bc"]),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert expansion.words(text, VALUES) == expected


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        ("a 'b", "a single quote that is not closed", 2),
        ('a "b', "a double quote that is not closed", 2),
        ('"x\\', "a double quote that is not closed", 0),
        ("a${A", "'${' without its '}'", 1),
        ("a${A:-${B}", "'${' without its '}'", 1),
        ("a${A:-${B", "'${' without its '}'", 6),
        ("${", "'${' without its '}'", 0),
        ("${}", "bad substitution: '${' without a name", 0),
        ("${:-x}", "bad substitution: '${' without a name", 0),
        ("${A:=x}", "unsupported modifier ':=' in a substitution", 0),
        ("${A:#x}", "unsupported modifier ':#' in a substitution", 0),
        ("${A^}", "unsupported modifier '^' in a substitution", 0),
        ("${NONE?}", "NONE: is not allowed to be unset", 0),
        ("${EMPTY:?}", "EMPTY: is not allowed to be empty", 0),
        ("${NONE:?give $A}", "NONE: give a", 0),
        ("${F/ba}", "'${' without its '}'", 0),
        (r"${F#\f}", r"invalid pattern '\\f' in a substitution: invalid escape '\f'", 0),
        ("$A" * 60_000 + "${NONE:-" * 60, "variables nest deeper than 50", 120_000 + 50 * 8),
    ],
)
def test_problems(text: str, message: str, offset: int) -> None:
    with pytest.raises(Problem) as caught:
        expansion.word(text, VALUES)
    assert (caught.value.message, caught.value.offset) == (message, offset)
    assert caught.value.do


def test_the_escape_character_may_be_a_backtick() -> None:
    assert expansion.word(r"C:\$A `$A `` \n", VALUES, Mode("`")) == "C:\\a $A ` \\n"


def test_here_documents_keep_quotes() -> None:
    assert expansion.word("'$A' \"${A}\" \\$A \\\\", VALUES, DOCUMENT) == "'a' \"a\" $A \\"


def test_what_is_not_set_may_stay() -> None:
    mode = Mode(keeps_quotes=True, keeps_unset=True)
    assert (
        expansion.word("echo '$A' \"$A\" $B ${B:-x}", VALUES, mode) == "echo '$A' \"a\" $B ${B:-x}"
    )


def test_what_is_missing_is_noted() -> None:
    scope = Scope(VALUES)
    expansion.word("$A $B ${C:-$D} '$E'", scope)
    assert scope.missing == {"B", "C", "D"}


def test_values_that_double_end() -> None:
    values = {"A": "x" * 1000}
    with pytest.raises(Problem, match="1048576"):
        for _ in range(40):
            values["A"] = expansion.word("$A$A", values)
    with pytest.raises(Problem, match="1048576"):
        expansion.word("${A//x/" + "y" * 100_000 + "}", {"A": "x" * 100_000})


@pytest.mark.parametrize("text", ["${A#%s}", "${A%%%%%s}", "${A/%s/x}", "${A//%s/x}"])
def test_patterns_are_short(text: str) -> None:
    assert expansion.word(text % ("?" * 4096), VALUES) == "a"
    with pytest.raises(Problem, match="has more than 4096 characters"):
        expansion.word(text % ("?" * 4097), VALUES)


def test_time_is_linear_in_the_value() -> None:
    values = {"A": "a" * 100_000}
    begin = time.process_time()
    for text in (
        "${A#" + "*a" * 50 + "b}",
        "${A//" + "*a" * 50 + "b/x}",
        "${A%%b" + "*a" * 50 + "}",
    ):
        assert expansion.word(text, values) == values["A"]
    assert time.process_time() - begin < 60  # a backtracking matcher needs years
