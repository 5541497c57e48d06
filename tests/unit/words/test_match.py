"""Wildcards."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.words.match import BadPatternError, Pattern, has_wildcards, literal, matcher


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("abc", "abc", True),
        ("abc", "abcd", False),
        ("*", "abc", True),
        ("*", "a/b", False),
        ("*c", "abc", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*b*c*d*e*/f", "axbxcxdxexxx/f", True),
        ("a*b?c*x", "abxbbxdbxebxczzx", True),
        ("a?b", "a/b", False),
        ("a?b", "a\u00e9b", True),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[^c]", "abc", False),
        ("ab[^b-d]", "abe", True),
        ("a[^a][^a]b", "a\u263a\u263bb", True),
        (r"[\]a]", "]", True),
        (r"[x\-]", "-", True),
        ("[^/]", "/", False),
        (r"a\*b", "a*b", True),
        (r"a\*b", "ab", False),
        (r"\a", "a", True),
        ("*x", "xxx", True),
        ("", "", True),
        ("*", "", True),
        ("*", "\udcff", True),
    ],
)
def test_matches(pattern: str, path: str, expected: bool) -> None:
    assert Pattern(pattern).matches(path) is expected


@pytest.mark.parametrize(
    "pattern",
    ["[", "[^", "[a", "[]a]", "[-]", "[x-]", "[-x]", "[^bc", "a[", "[a-b-c]", "a\\", "[\\"],
)
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(BadPatternError):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "paths", "others"),
    [
        ("**", ["a", "a/b"], []),
        ("**/", ["a", "a/b"], []),
        ("**/f", ["f", "a/f", "a/b/f"], ["af", "f/a"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "ab"]),
        ("a**", ["a", "ab", "a/b"], ["b"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab"]),
        ("a**b", ["ab", "ax/b"], ["axb"]),
        ("a***b", ["ab", "axb", "ax/yb"], ["ax"]),
        ("**/**/f", ["f", "a/f"], ["af"]),
        ("**/*.o", ["x.o", "a/x.o", "a/.o"], ["x.oo", "x.o/a"]),
        ("*.o", ["x.o", ".o"], ["a/x.o"]),
        ("**/a*b", ["ab", "x/ayb"], ["a/b"]),
        ("**/[ab]/c?", ["a/cc", "x/b/cd"], ["c/cc"]),
        ("plain/file", ["plain/file"], ["plain/files"]),
    ],
)
def test_directories(pattern: str, paths: list[str], others: list[str]) -> None:
    slow, quick = Pattern(pattern, directories=True), matcher(pattern)
    for path in paths:
        assert slow.matches(path), path
        assert quick(path), path
    for path in others:
        assert not slow.matches(path), path
        assert not quick(path), path


def test_below() -> None:
    assert Pattern("a/*/c", directories=True).may_match_below("a/b")
    assert not Pattern("a/*/c", directories=True).may_match_below("b")
    assert Pattern("**/c", directories=True).may_match_below("any/thing")
    assert not Pattern("a", directories=True).may_match_below("a")


def test_paths_without_wildcards() -> None:
    assert not has_wildcards("a/b.c")
    assert has_wildcards(r"a\[b")
    assert literal(r"a\[b\\") == "a[b\\"


def _expression(pattern: str) -> str:
    """Return the pattern as a regular expression: what is simple and slow."""
    parts = re.split(r"(\*\*/|\*|\?)", pattern)
    words = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    found = "".join(words.get(part, re.escape(part)) for part in parts)
    return f"{found.removesuffix(words['**/'])}.*" if pattern.endswith("**/") else found


@given(
    st.lists(st.sampled_from(["**/", "*", "?", "a", "b", "/"]), max_size=8).map("".join),
    st.text("ab/", max_size=10),
)
def test_as_a_regular_expression_has_it(pattern: str, path: str) -> None:
    if "***" in pattern or re.search(r"\*\*(?!/)", pattern):
        return
    assert Pattern(pattern, directories=True).matches(path) == bool(
        re.fullmatch(_expression(pattern), path)
    )


def test_time_is_linear() -> None:
    pattern = Pattern("**/" + "*a" * 100 + "b", directories=True)
    begin = time.process_time()
    assert not pattern.matches("a" * 100_000)
    assert time.process_time() - begin < 30
