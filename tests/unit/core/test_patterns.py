import pytest

from scow.core.patterns import compile_pattern


@pytest.mark.parametrize("expression", ["^(a+)+$", "^(a|aa)+$", "(a*)*b{2}", "(.*a){20}c"])
def test_what_makes_others_backtrack_is_matched_at_once(expression: str) -> None:
    """With a matcher that backtracks these run into the time-out of the test."""
    assert compile_pattern(expression).search("a" * 200 + "b") is None


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("web", "my-web-1"),
        ("^/web$", "/web"),
        (r"^w\d\pL$", "w1ä"),
        ("", "any"),
        ("(?i)WEB", "web"),
    ],
)
def test_the_syntax_is_that_of_go(expression: str, text: str) -> None:
    assert compile_pattern(expression).search(text) is not None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("(", "missing"),
        ("(?=a)", "perl operator"),
        (r"(a)\1", "escape sequence"),
        ("a{1001}", "repetition size"),
        ("a" * 1025, "1024 characters"),
        (r"(\pL{100}){10}" * 50, "too large"),
    ],
)
def test_what_is_refused_says_why(expression: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_pattern(expression)
