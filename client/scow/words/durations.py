"""Go's form of durations, "1m30s", as Docker's flags and Dockerfiles have them. Exact, and nothing is imported."""

from __future__ import annotations

MILLISECOND = 10**6
SECOND = 10**9
_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": MILLISECOND,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
}
_LONGEST = (1 << 63) - 1
_DIGITS = "0123456789"
# Digits of a number, before and behind its point.
_PLACES = 18


def nanoseconds(text: str) -> int | None:
    """Return the nanoseconds of a duration; None of other texts and of what is too long."""
    if text == "0":
        return 0
    # In units of 10**-18 ns, so that decimals add up exactly.
    total, place = 0, 0
    while place < len(text):
        whole, place = _run(text, place, _DIGITS)
        part = ""
        if text[place : place + 1] == ".":
            part, place = _run(text, place + 1, _DIGITS)
        unit, place = _run(text, place, "nuµμmsh")
        if unit not in _UNITS or not (whole or part) or max(len(whole), len(part)) > _PLACES:
            return None
        total += int((whole or "0") + part.ljust(_PLACES, "0")) * _UNITS[unit]
    found = total // 10**_PLACES
    return found if text and found <= _LONGEST else None


def _run(text: str, place: int, characters: str) -> tuple[str, int]:
    """Return what of some characters stands at a place, and the place behind it."""
    end = place
    while end < len(text) and text[end] in characters:
        end += 1
    return text[place:end], end
