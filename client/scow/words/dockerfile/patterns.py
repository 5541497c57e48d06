"""Patterns of variable replacement: `${name#pattern}`, `${name%pattern}`, `${name/pattern/word}`.

`?` is one character, `*` any number of them, neither matches the end of a line; a backslash before `?`, `*` or itself
takes their meaning away. All states of a match are bits of one number, so time grows with the length of the value
times that of the pattern at most, and patterns are short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

# Characters of a pattern; who reads one sees to it.
LENGTH_MAX = 4096


@dataclass(frozen=True)
class Pattern:
    """A pattern as an automaton. State N stands before the Nth element that takes a character.

    Attributes:
        elements: Characters; None is any one.
        stars: Bits of the states that also take any number of characters.
    """

    elements: tuple[str | None, ...]
    stars: int
    _steps: dict[str, int] = field(default_factory=dict, repr=False, compare=False)
    _any: int = field(default=0, repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> Pattern:
        r"""Read a pattern.

        Raises:
            ValueError: A backslash before a character that has no meaning to be taken.
        """
        elements: list[str | None] = []
        stars = 0
        chars = iter(text)
        for char in chars:
            if char == "*":
                stars |= 1 << len(elements)
            elif char == "?":
                elements.append(None)
            elif char == "\\":
                following = next(chars, "")
                # Of a brace or slash, the backslash kept the replacement from ending there.
                if following not in ("*", "?", "\\", "}", "/"):
                    raise ValueError(f"invalid escape '\\{following}'")
                elements.append(following)
            else:
                elements.append(char)
        return cls._made(tuple(elements), stars)

    @classmethod
    def _made(cls, elements: tuple[str | None, ...], stars: int) -> Pattern:
        steps: dict[str, int] = {}
        anything = 0
        for number, element in enumerate(elements):
            if element is None:
                anything |= 1 << number
            else:
                steps[element] = steps.get(element, 0) | 1 << number
        return cls(elements, stars, steps, anything)

    def reversed(self) -> Pattern:
        """Return the pattern that matches the same from right to left."""
        last = len(self.elements)
        stars = sum(1 << (last - state) for state in range(last + 1) if self.stars >> state & 1)
        return self._made(self.elements[::-1], stars)

    def ends(self, text: str, begin: int = 0) -> tuple[int, int] | None:
        """Return where the shortest and the longest match that starts at `begin` end; None without one."""
        accepted = 1 << len(self.elements)
        states, shortest, longest = 1, -1, -1
        for at in range(begin, len(text) + 1):
            if states & accepted:
                shortest, longest = (at if shortest < 0 else shortest), at
            if at == len(text) or not (states := self._after(states, text[at])):
                break
        return None if shortest < 0 else (shortest, longest)

    def starts(self, text: str) -> list[int]:
        """Return all places where a match begins, in order."""
        backward = self.reversed()
        accepted = 1 << len(self.elements)
        states = 1
        found = [len(text)] if states & accepted else []
        for at in range(len(text) - 1, -1, -1):
            states = backward._after(states, text[at]) | 1  # a match may end everywhere
            if states & accepted:
                found.append(at)
        return found[::-1]

    def _after(self, states: int, char: str) -> int:
        stay, anything = (0, 0) if char == "\n" else (states & self.stars, self._any)
        return stay | (states & (self._steps.get(char, 0) | anything)) << 1


def trim_prefix(text: str, pattern: Pattern, *, longest: bool) -> str:
    """Return a text without what the pattern matches at its beginning."""
    ends = pattern.ends(text)
    return text if ends is None else text[ends[longest] :]


def trim_suffix(text: str, pattern: Pattern, *, longest: bool) -> str:
    """Return a text without what the pattern matches at its end."""
    return trim_prefix(text[::-1], pattern.reversed(), longest=longest)[::-1]


def replaced(text: str, pattern: Pattern, replacement: str, *, everywhere: bool) -> Iterator[str]:
    """Yield the parts of a text with another one in the place of the first match, or of all."""
    done = 0
    for begin in pattern.starts(text):
        if begin < done or (begin == done and done and not pattern.elements):
            continue
        ends = pattern.ends(text, begin)
        assert ends is not None
        yield text[done:begin]
        yield replacement
        done = ends[1]
        if not everywhere:
            break
    yield text[done:]
