"""`.dockerignore`."""

from __future__ import annotations

import pytest

from scow.words import ignore
from scow.words.ignore import Ignore, InvalidIgnoreError


@pytest.mark.parametrize(
    ("lines", "excluded", "kept"),
    [
        (["a"], ["a", "a/b", "a/b/c"], ["b", "ab", "b/a"]),
        (["/a/"], ["a", "a/b"], ["b/a"]),
        (["*/temp*"], ["x/temp", "x/temporary/y"], ["temp", "x/y/temp"]),
        (["**/*.go"], ["a.go", "x/y/a.go"], ["a.gox"]),
        (["*.md", "!README.md"], ["a.md"], ["README.md", "x/a.md"]),
        (["*.md", "!README*.md", "README-secret.md"], ["README-secret.md"], ["README-a.md"]),
        (["*.md", "README-secret.md", "!README*.md"], ["a.md"], ["README-secret.md"]),
        (["*", "!src"], ["a", "b/c"], ["src", "src/x"]),
        (["*", "!src", "src/secret"], ["src/secret/x"], ["src/x"]),
        (["d", "!d/keep"], ["d/x", "d"], ["d/keep", "d/keep/x"]),
        (["d", "!d/keep", "d/keep/x"], ["d/keep/x"], ["d/keep", "d/keep/y"]),
        (["  a b \t", "#c", " #d", "", "! e"], ["a b", "#d"], ["#c", "c", "e"]),
        (["a/../b", "./c//d"], ["b", "c/d"], ["a"]),
        (["**"], ["a", "a/b"], []),
        (["**/.git", "!**/.git/keep"], ["x/.git/a", ".git"], ["x/.git/keep"]),
        ([".", "/"], [], ["a"]),
        ([r"\*"], ["*"], ["a"]),
        (["\u00e9*"], ["\u00e9t\u00e9"], ["e"]),
    ],
)
def test_excludes(lines: list[str], excluded: list[str], kept: list[str]) -> None:
    found = Ignore.parse("\n".join(lines).encode())
    for path in excluded:
        assert found.excludes(path), path
    for path in kept:
        assert not found.excludes(path), path


def test_ends_of_lines_and_byte_order_mark() -> None:
    found = Ignore.parse(b"\xef\xbb\xbfa\r\nb")
    assert (found.excludes("a"), found.excludes("b")) == (True, True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a\n!", "line 2: there is nothing after '!'"),
        (b"a\n\n[", "line 3: the class of characters in '[' is wrong"),
        (b"a\\", "line 1: 'a\\\\' ends in a backslash"),
        (b"a\n\xff", "line 2: it is not UTF-8"),
        (b"\n" * 10_001, "line 10000: there are more than 10000 lines"),
        (b" " * (ignore.SIZE_MAX + 1), "line 1: the file has more than 1048576 bytes"),
    ],
)
def test_wrong_ones(data: bytes, message: str) -> None:
    with pytest.raises(InvalidIgnoreError) as caught:
        Ignore.parse(data)
    assert str(caught.value) == message


def test_walking_a_tree() -> None:
    found = Ignore(["d", "!d/*/keep", "e"])
    decided = found.decide("d")
    assert found.is_excluded(decided)
    assert found.may_contain("d", decided)
    assert not found.may_contain("d/x/y", found.decide("d/x/y", decided))
    assert not found.may_contain("e", found.decide("e"))
    assert not found.is_excluded(found.decide("d/x/keep", found.decide("d/x", decided)))
    assert found.decide("f") == ignore.UNTOUCHED
    assert (Ignore().is_empty, Ignore().excludes("a"), found.has_exceptions) == (True, False, True)
