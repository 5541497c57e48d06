"""The Dockerfile language, by hypothesis: pieces of it in any order, and any text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz import dockerfiles

_LINES = [line for data in dockerfiles.SEEDS["dockerfile"] for line in data.decode().split("\n")]
_PIECES = st.sampled_from(
    ["$A", "${", "}", ":-", ":+", "?", "#", "##", "%", "/", "//", "'", '"', "\\", "*", "x", " ", "$", "${P", "\n"]
)  # fmt: skip
_RULES = st.sampled_from(
    ["*", "**", "**/", "!", "a", "b", "/", "[", "]", "^", "-", "?", "\\", "\n", "#", " "]
)


@given(st.lists(st.sampled_from(_LINES), max_size=12), st.text(max_size=12), st.booleans())
@settings(max_examples=300, deadline=None)
def test_files(lines: list[str], text: str, first: bool) -> None:
    lines = ["FROM busybox AS a"] * first + lines
    lines.insert(len(lines) // 2, text)
    dockerfiles.dockerfile("\n".join(lines).encode("utf-8", "surrogatepass"))


@given(st.lists(_PIECES, max_size=20).map("".join))
@settings(max_examples=500, deadline=None)
def test_words(text: str) -> None:
    dockerfiles.expand(text.encode())


@given(st.lists(_RULES, max_size=12).map("".join), st.text("ab/", max_size=8))
@settings(max_examples=500, deadline=None)
def test_rules(rules: str, path: str) -> None:
    dockerfiles.ignored(f"{path}\n{rules}".encode())
