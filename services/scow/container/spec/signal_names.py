"""Signals as people name them: "TERM", "SIGTERM", "15", "RTMIN+3" (signal(7))."""

from __future__ import annotations

import signal

from scow.container.model.invalid import invalid

_LAST = 64
# "SIGRTMAX-30" has eleven characters.
_LONGEST = 16
# glibc keeps the first two real-time signals of the kernel for itself.
_RTMIN, _RTMAX = 34, 64
_ALIASES = {"SIGIOT": 6, "SIGPOLL": 29, "SIGCLD": 17, "SIGUNUSED": 31}


def parse(text: str, field: str = "signal") -> int:
    """Return the number of a signal.

    Raises:
        InvalidConfig: There is no such signal.
    """
    number = 0
    if len(text) <= _LONGEST:
        number = int(text) if text.isascii() and text.isdigit() else _by_name(text.upper())
    if not 1 <= number <= _LAST:
        raise invalid(
            field, f"has the unknown signal {text!r}", "use a name as in signal(7), or 1 to 64"
        )
    return number


def _by_name(text: str) -> int:
    name = text if text.startswith("SIG") else f"SIG{text}"
    if name in _ALIASES:
        return _ALIASES[name]
    for base, number, sign in (("SIGRTMIN", _RTMIN, 1), ("SIGRTMAX", _RTMAX, -1)):
        if name.startswith(base):
            return _real_time(name.removeprefix(base), number, sign)
    try:
        return signal.Signals[name].value
    except KeyError:
        return 0


def _real_time(rest: str, base: int, sign: int) -> int:
    if not rest:
        return base
    expected = "+" if sign > 0 else "-"
    if rest[0] != expected or not (rest[1:].isascii() and rest[1:].isdigit()):
        return 0
    number = base + sign * int(rest[1:])
    return number if _RTMIN <= number <= _RTMAX else 0
