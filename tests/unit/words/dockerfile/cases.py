"""The Dockerfiles of `wrong.txt`."""

from __future__ import annotations

from pathlib import Path

_WRONG = Path(__file__).with_name("wrong.txt")


def wrong() -> list[tuple[str, str]]:
    """Return each wrong file, and what is said of it: the error, then the lines around."""
    cases = [case.split("\n----\n") for case in _WRONG.read_text().split("\n====\n")]
    return [(given, expected.strip("\n")) for given, expected in cases]
