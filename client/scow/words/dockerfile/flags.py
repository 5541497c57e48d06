"""Flags of instructions, `--name=value`, and the values that they have."""

from __future__ import annotations

from collections.abc import Sequence

from scow.words.dockerfile.problem import Problem, similar
from scow.words.dockerfile.syntax import Flag
from scow.words.durations import MILLISECOND, nanoseconds


class Flags:
    """The flags of one instruction; each is asked for by its name, and `end` refuses the rest.

    Args:
        given: As they were written.
        instruction: Its name, for messages.
        known: Names that it takes; `repeated` those that it takes several times.
    """

    def __init__(
        self,
        given: Sequence[Flag],
        instruction: str,
        known: Sequence[str] = (),
        repeated: Sequence[str] = (),
    ) -> None:
        self._values: dict[str, list[Flag]] = {}
        allowed = [*known, *repeated]
        for flag in given:
            if flag.name not in allowed:
                raise Problem(
                    f"unknown flag --{flag.name} of {instruction}",
                    _advice(flag.name, allowed, instruction),
                    flag.offset,
                )
            if flag.name in self._values and flag.name not in repeated:
                raise Problem(
                    f"the flag --{flag.name} is given twice", "remove one of them", flag.offset
                )
            self._values.setdefault(flag.name, []).append(flag)

    def texts(self, name: str) -> tuple[str, ...]:
        """Return all values of a flag."""
        return tuple(_value(flag) for flag in self._values.get(name, ()))

    def text(self, name: str, default: str = "") -> str:
        """Return the value of a flag."""
        return next(iter(self.texts(name)), default)

    def boolean(self, name: str) -> bool | None:
        """Return whether a flag is set, None if it is not given. Without a value it is."""
        for flag in self._values.get(name, ()):
            if flag.value is None:
                return True
            value = _value(flag).lower()
            if value not in ("true", "false"):
                raise Problem(
                    f"the flag --{name} is true or false, not {flag.value!r}",
                    f"write --{name} or --{name}=false",
                    flag.offset,
                )
            return value == "true"
        return None

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """Return one of several values; the first is the default."""
        for flag in self._values.get(name, ()):
            value = _value(flag)
            if value not in choices:
                raise Problem(
                    f"the flag --{name} does not take {value!r}",
                    f"use {', '.join(choices)}",
                    flag.offset,
                )
            return value
        return choices[0]

    def duration(self, name: str) -> int:
        """Return nanoseconds; 0 if the flag is not given."""
        for flag in self._values.get(name, ()):
            value = nanoseconds(_value(flag))
            if value is None:
                raise Problem(
                    f"the flag --{name} is a duration, not {flag.value!r}",
                    "write 500ms, 30s, 1m30s",
                    flag.offset,
                )
            if 0 < value < MILLISECOND:
                raise Problem(
                    f"the flag --{name} is less than a millisecond",
                    "write 1ms or more",
                    flag.offset,
                )
            return value
        return 0

    def number(self, name: str, largest: int) -> int:
        """Return a number that is not negative; 0 if the flag is not given."""
        for flag in self._values.get(name, ()):
            value = _value(flag)
            if (
                not (value.isascii() and value.isdecimal() and len(value) < 12)
                or int(value) > largest
            ):
                raise Problem(
                    f"the flag --{name} is a number, not {flag.value!r}",
                    f"write a number from 0 to {largest}",
                    flag.offset,
                )
            return int(value)
        return 0


def _value(flag: Flag) -> str:
    if not flag.value:
        raise Problem(
            f"the flag --{flag.name} has no value", f"write --{flag.name}=VALUE", flag.offset
        )
    return flag.value


def _advice(name: str, allowed: Sequence[str], instruction: str) -> str:
    found = similar(name, allowed)
    if found:
        return f"did you mean --{found}?"
    if allowed:
        return "use " + ", ".join(f"--{known}" for known in allowed)
    return f"{instruction} takes no flags; write -- before an argument that begins with --"
