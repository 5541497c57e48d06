r"""Wildcards with the rules of Go's filepath.Match, which Docker's have, and those of .dockerignore.

`*` is any number of characters but slashes, `?` one, `[a-z]` and `[^a-z]` one of a class, a backslash takes the meaning
of the next character away. .dockerignore adds `**`, any number of directories. All states of a match are bits of one
number: time is linear in the path, whatever the pattern.

https://pkg.go.dev/path/filepath#Match
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_META = "*?[\\"


class BadPatternError(ValueError):
    """A pattern that is not one: a class that does not end, a backslash before nothing."""


def has_wildcards(text: str) -> bool:
    """Tell whether a path means others than itself."""
    return any(char in text for char in _META)


def literal(text: str) -> str:
    """Return the one path that a pattern without wildcards means: its backslashes are gone."""
    return "".join(_unescaped(text))


def _unescaped(text: str) -> Iterator[str]:
    chars = iter(text)
    for char in chars:
        yield next(chars, "") if char == "\\" else char


@dataclass(frozen=True)
class _Class:
    """`[a-z]`: ranges, or what is in none of them."""

    ranges: tuple[tuple[str, str], ...]
    is_negated: bool = False

    def has(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.is_negated


# One character that is not a slash.
_ANY = _Class((("/", "/"),), is_negated=True)


@dataclass
class _Builder:
    """Collects the states of a pattern. State N stands before element N."""

    elements: list[str | _Class | None] = field(default_factory=list)
    names: int = 0  # states that stay at all characters but slashes: *
    paths: int = 0  # states that stay at every character: **
    skips: int = 0  # states whose `**/` may be nothing

    def star(self) -> None:
        self.names |= 1 << len(self.elements)

    def directories(self) -> None:
        """Any number of directories with the slash behind them, or nothing."""
        if self.skips >> len(self.elements) & 1 or (
            len(self.elements) >= 2 and self.skips >> (len(self.elements) - 2) & 1
        ):
            return  # another one right before
        self.skips |= 1 << len(self.elements)
        self.elements.append(None)  # no character: only the closure passes it
        self.paths |= 1 << len(self.elements)
        self.elements.append("/")


class Pattern:
    """A pattern that paths are compared with.

    Args:
        text: The pattern.
        directories: Whether `**` is any number of directories, as in .dockerignore.

    Raises:
        BadPatternError: It is not one.
    """

    def __init__(self, text: str, *, directories: bool = False) -> None:
        self.text = text
        built = _Builder()
        _Parser(text, built, directories=directories).parse()
        self._elements = tuple(built.elements)
        self._names, self._paths, self._skips = built.names, built.paths, built.skips
        self._accepted = 1 << len(self._elements)
        self._steps: dict[str, int] = {}
        self._begin = self._closed(1)

    def matches(self, path: str) -> bool:
        """Tell whether a whole path fits."""
        return bool(self._after(self._begin, path) & self._accepted)

    def may_match_below(self, directory: str) -> bool:
        """Tell whether a path below a directory may fit."""
        return bool(self._after(self._begin, directory + "/"))

    def _after(self, states: int, path: str) -> int:
        for char in path:
            stay = states & self._paths
            if char != "/":
                stay |= states & self._names
            states = self._closed(stay | (states & self._step(char)) << 1)
            if not states:
                break
        return states

    def _closed(self, states: int) -> int:
        skipped = states & self._skips
        return states | skipped << 1 | skipped << 2

    def _step(self, char: str) -> int:
        """Return the states that a character leads on from."""
        found = self._steps.get(char)
        if found is None:
            found = sum(1 << n for n, element in enumerate(self._elements) if _has(element, char))
            self._steps[char] = found
        return found


def _has(element: str | _Class | None, char: str) -> bool:
    return element.has(char) if isinstance(element, _Class) else element == char


class _Parser:
    def __init__(self, text: str, built: _Builder, *, directories: bool) -> None:
        self._text = text
        self._built = built
        self._directories = directories
        self._at = 0

    def parse(self) -> None:
        while self._at < len(self._text):
            char = self._next()
            if char == "*" and self._directories and self._peek() == "*":
                self._double()
            elif char == "*":
                self._built.star()
            elif char == "?":
                self._built.elements.append(_ANY)
            elif char == "[":
                self._built.elements.append(self._class())
            else:
                self._built.elements.append(self._escaped() if char == "\\" else char)

    def _double(self) -> None:
        self._next()
        if self._peek() == "/":
            self._next()
        if self._peek():
            self._built.directories()
        else:  # at the end: everything
            self._built.paths |= 1 << len(self._built.elements)

    def _class(self) -> _Class:
        is_negated = self._peek() == "^"
        if is_negated:
            self._next()
        ranges: list[tuple[str, str]] = []
        while self._peek() != "]" or not ranges:
            low = high = self._member()
            if self._peek() == "-":
                self._next()
                high = self._member()
            ranges.append((low, high))
        self._next()
        return _Class(tuple(ranges), is_negated)

    def _member(self) -> str:
        char = self._next()
        if char in ("", "-", "]"):
            raise BadPatternError(f"the class of characters in {self._text[:80]!r} is wrong")
        return self._escaped() if char == "\\" else char

    def _escaped(self) -> str:
        char = self._next()
        if not char:
            raise BadPatternError(f"{self._text[:80]!r} ends in a backslash")
        return char

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1 : self._at]


def matcher(text: str) -> Callable[[str], bool]:
    """Return the quickest way to tell whether a path fits a pattern of .dockerignore.

    Raises:
        BadPatternError: It is not a pattern.
    """
    pattern = Pattern(text, directories=True)
    if not has_wildcards(text):
        return text.__eq__
    rest = text.removeprefix("**/")
    if rest.startswith("*."):
        suffix = rest[1:]
        if not has_wildcards(suffix) and "/" not in suffix:
            if rest == text:
                return lambda path: path.endswith(suffix) and "/" not in path
            return lambda path: path.endswith(suffix)
    if rest and rest != text and not has_wildcards(rest):
        below = f"/{rest}"
        return lambda path: path == rest or path.endswith(below)
    return pattern.matches
