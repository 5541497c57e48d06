"""`.dockerignore`: what of a build context is left out.

A pattern per line, relative to the root of the context; what it matches is left out with all below it. `!` before a
pattern takes what it matches in again; the last pattern that matches decides. A line whose first character is `#` is a
comment; spaces around a pattern do not count.

https://docs.docker.com/build/concepts/context/#dockerignore-files
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from scow.words.match import BadPatternError, Pattern, matcher

SIZE_MAX = 1 << 20
PATTERNS_MAX = 10_000
# What `Ignore.decide` returns for a path that no pattern matches.
UNTOUCHED = -1


class InvalidIgnoreError(ValueError):
    """A file of patterns that cannot be read; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


@dataclass(frozen=True)
class _Rule:
    pattern: Pattern
    takes_in: bool


class Ignore:
    """The patterns of a context.

    A tree is walked with one comparison a path: what was decided for a directory is given to `decide` for what it has::

        decided = ignore.decide("src", ignore.UNTOUCHED)
        decided = ignore.decide("src/main.c", decided)
        if ignore.is_excluded(decided): ...

    Args:
        patterns: Each a line of the file.

    Raises:
        InvalidIgnoreError: One of them is not a pattern.
    """

    def __init__(self, patterns: Iterable[str] = ()) -> None:
        self._rules: list[_Rule] = []
        self._matchers = []
        for number, line in enumerate(patterns, 1):
            text, takes_in = _cleaned(line, number)
            if not text:
                continue
            try:
                self._rules.append(_Rule(Pattern(text, directories=True), takes_in))
                self._matchers.append(matcher(text))
            except BadPatternError as error:
                raise InvalidIgnoreError(number, str(error)) from None
        self._last = len(self._rules) - 1

    @classmethod
    def parse(cls, data: bytes) -> Ignore:
        """Read a file.

        Raises:
            InvalidIgnoreError: It is too large, no text, or has a line that is not a pattern.
        """
        if len(data) > SIZE_MAX:
            raise InvalidIgnoreError(1, f"the file has more than {SIZE_MAX} bytes")
        try:
            text = data.removeprefix(b"\xef\xbb\xbf").decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise InvalidIgnoreError(line, "it is not UTF-8") from None
        lines = text.split("\n")
        if len(lines) > PATTERNS_MAX:
            raise InvalidIgnoreError(PATTERNS_MAX, f"there are more than {PATTERNS_MAX} lines")
        return cls("" if line.startswith("#") else line for line in lines)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left out."""
        return not self._rules

    @property
    def has_exceptions(self) -> bool:
        """Whether a pattern takes something in again."""
        return any(rule.takes_in for rule in self._rules)

    def excludes(self, path: str) -> bool:
        """Tell whether a path, relative to the context's root and without `.` and `..`, is left out."""
        decided = UNTOUCHED
        at = -1
        while at is not None and self._rules:
            at = path.find("/", at + 1)
            decided = self.decide(path if at < 0 else path[:at], decided)
            if at < 0:
                break
        return self.is_excluded(decided)

    def decide(self, path: str, above: int = UNTOUCHED) -> int:
        """Return the number of the pattern that decides about a path.

        Args:
            path: Relative to the context's root.
            above: What was returned for the directory that it is in.
        """
        for number in range(self._last, above, -1):
            if self._matchers[number](path):
                return number
        return above

    def is_excluded(self, decided: int) -> bool:
        """Tell whether what a pattern decided about is left out."""
        return decided != UNTOUCHED and not self._rules[decided].takes_in

    def may_contain(self, directory: str, decided: int) -> bool:
        """Tell whether a directory may have something that is not left out, though it is itself."""
        return any(
            rule.takes_in and rule.pattern.may_match_below(directory)
            for rule in self._rules[decided + 1 :]
        )


def _cleaned(line: str, number: int) -> tuple[str, bool]:
    """Return a pattern without what does not count, and whether it takes in again."""
    text = line.strip()
    takes_in = text.startswith("!")
    if takes_in:
        text = text[1:].strip()
        if not text:
            raise InvalidIgnoreError(number, "there is nothing after '!'")
    if not text:
        return "", takes_in
    return posixpath.normpath(text).lstrip("/") or ".", takes_in
