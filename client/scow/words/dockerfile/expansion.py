"""Replacement of variables, quotes and escapes in the words of a Dockerfile.

`$name`, `${name}`, and with a modifier: `${name:-word}` and `${name-word}`, `${name:+word}` and `${name+word}`,
`${name:?message}` and `${name?message}`, `${name#pattern}`, `${name##pattern}`, `${name%pattern}`, `${name%%pattern}`,
`${name/pattern/word}`, `${name//pattern/word}`; with a colon, empty counts as unset. The escape character keeps the
next character as it is, within double quotes only a quote, dollar and itself; single quotes keep all. What variables
hold is never looked through again.

https://docs.docker.com/reference/dockerfile/ ("Environment replacement")
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scow.words.dockerfile import patterns
from scow.words.dockerfile.problem import Problem
from scow.words.dockerfile.source import SPACES

# Characters of a text after replacement: the kernel takes 128 KiB of a variable, and texts that double at each line
# must end somewhere.
LENGTH_MAX = 1 << 20
_DEPTH_MAX = 50
# "Special parameters" of the shell, which are never set here.
_SPECIAL = "@*#?-$!0"
_MODIFIERS = "+-?#%"


@dataclass(frozen=True)
class Mode:
    """How a text is read.

    Attributes:
        escape: The escape character.
        reads_quotes: Whether quotes are quotes, rather than characters.
        keeps_quotes: Whether they also stay.
        keeps_unset: Whether variables that are not set stay as they are written.
    """

    escape: str = "\\"
    reads_quotes: bool = True
    keeps_quotes: bool = False
    keeps_unset: bool = False


# Here-documents: no quotes, and the backslash whatever the file's escape character is.
DOCUMENT = Mode(reads_quotes=False)


@dataclass
class Scope:
    """The variables that a text may use.

    Attributes:
        values: Those that are set.
        missing: Names that were asked for and are not set; grows.
    """

    values: Mapping[str, str]
    missing: set[str] = field(default_factory=set)

    def get(self, name: str) -> str | None:
        """Return what a variable holds, None if it is not set."""
        value = self.values.get(name)
        if value is None:
            self.missing.add(name)
        return value


def word(text: str, scope: Scope | Mapping[str, str], mode: Mode = Mode()) -> str:
    """Return a text as one word, spaces and all.

    Raises:
        Problem: Quotes or braces are not closed, a modifier is unknown, a variable that must be set is not, or the
            result is too long.
    """
    return _Reader(text, scope, mode).read()


def words(text: str, scope: Scope | Mapping[str, str], mode: Mode = Mode()) -> list[str]:
    """Return the words of a text; spaces in what variables hold separate words too. Errors as of `word`."""
    reader = _Reader(text, scope, mode)
    reader.read()
    return reader.words()


class _Reader:
    def __init__(self, text: str, scope: Scope | Mapping[str, str], mode: Mode) -> None:
        self._text = text
        self._scope = scope if isinstance(scope, Scope) else Scope(scope)
        self._mode = mode
        self._at = 0
        self._depth = 0
        self._length = 0
        self._starts: list[int] = []  # where braces begin that are not closed yet
        # Parts of the result, and whether spaces in them separate words.
        self._top: list[tuple[str, bool]] = []

    def read(self) -> str:
        self._top = self._until("", raw=False)
        return "".join(part for part, _ in self._top)

    def words(self) -> list[str]:
        found: list[str] = []
        current: list[str] = []
        is_word = False
        for part, splits in self._top:
            if not splits:
                current.append(part)
                is_word = True
                continue
            for char in part:
                if char not in SPACES:
                    current.append(char)
                    is_word = True
                elif is_word:
                    found.append("".join(current))
                    current, is_word = [], False
        return [text for text in [*found, "".join(current)] if text]

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._text[self._at - 1 : self._at]

    def _grow(self, part: str) -> str:
        self._length += len(part)
        if self._length > LENGTH_MAX:
            raise Problem(
                f"the text has more than {LENGTH_MAX} characters once variables are replaced",
                "do not build values out of themselves",
            )
        return part

    def _until(self, end: str, *, raw: bool) -> list[tuple[str, bool]]:
        """Read up to a character, which is read too; with `raw`, escapes stay. Empty is the end of the text."""
        parts: list[tuple[str, bool]] = []
        while self._at < len(self._text):
            char = self._peek()
            if end and char == end:
                self._at += 1
                return parts
            if char == "$":
                parts.append((self._dollar(), True))
            elif char in "'\"" and self._mode.reads_quotes:
                quoted = self._single() if char == "'" else self._double(raw=raw)
                parts.append((self._grow(quoted), False))
            elif char == self._mode.escape:
                self._at += 1
                escaped = self._next()
                parts.append((self._grow((char if raw else "") + escaped), False))
            else:
                self._at += 1
                parts.append((self._grow(char), True))
        if end:
            raise self._unclosed()
        return parts

    def _unclosed(self) -> Problem:
        begin = self._starts[-1] if self._starts else 0
        return Problem("'${' without its '}'", "close the braces", begin)

    def _single(self) -> str:
        begin = self._at
        end = self._text.find("'", begin + 1)
        if end < 0:
            raise Problem(
                "a single quote that is not closed",
                f"close it, or write {self._mode.escape}' for the character",
                begin,
            )
        self._at = end + 1
        return (
            self._text[begin : end + 1] if self._mode.keeps_quotes else self._text[begin + 1 : end]
        )

    def _double(self, *, raw: bool) -> str:
        begin = self._at
        parts = [self._next()] if self._mode.keeps_quotes else []
        self._at = begin + 1
        while self._at < len(self._text):
            char = self._peek()
            if char == "$":
                parts.append(self._dollar())
                continue
            self._at += 1
            if char == '"':
                return "".join([*parts, char] if self._mode.keeps_quotes else parts)
            if char == self._mode.escape:
                if self._peek() in ('"', "$", self._mode.escape) and self._peek():
                    char = (char if raw else "") + self._next()
                elif not self._peek():
                    break
            parts.append(char)
        raise Problem(
            "a double quote that is not closed",
            f'close it, or write {self._mode.escape}" for the character',
            begin,
        )

    def _dollar(self) -> str:
        """Return what stands for a variable."""
        begin = self._at
        self._at += 1
        if self._peek() != "{":
            name = self._name()
            if not name:
                return self._grow("$")
            value = self._scope.get(name)
            if value is None:
                return self._grow(f"${name}") if self._mode.keeps_unset else ""
            return self._grow(value)
        self._depth += 1
        self._starts.append(begin)
        if self._depth > _DEPTH_MAX:
            raise Problem(f"variables nest deeper than {_DEPTH_MAX}", "use fewer of them", begin)
        try:
            before = self._length
            found = self._braced(begin)
            self._length = before
            return self._grow(found)
        finally:
            self._depth -= 1
            self._starts.pop()

    def _name(self) -> str:
        begin = self._at
        char = self._peek()
        if char.isdecimal():
            while self._peek().isdecimal():
                self._at += 1
        elif char and char in _SPECIAL:
            self._at += 1
        else:
            while (char := self._peek()) and (char.isalpha() or char.isdecimal() or char == "_"):
                self._at += 1
        return self._text[begin : self._at]

    def _braced(self, begin: int) -> str:
        self._at += 1
        if not self._peek():
            raise self._unclosed()
        name = self._name()
        if not name:
            raise Problem("bad substitution: '${' without a name", "write ${NAME}", begin)
        char = self._next()
        if char == "}":
            value = self._scope.get(name)
            if value is None:
                return self._text[begin : self._at] if self._mode.keeps_unset else ""
            return value
        if not char:
            raise self._unclosed()
        empty_is_unset = char == ":"
        if empty_is_unset:
            char = self._next()
        if char == "/" and not empty_is_unset:
            return self._replacement(name, begin)
        if not char or char not in _MODIFIERS or (empty_is_unset and char in "#%"):
            raise Problem(
                f"unsupported modifier '{':' * empty_is_unset}{char}' in a substitution",
                "use one of :- - :+ + :? ? # ## % %% / //",
                begin,
            )
        given = "".join(part for part, _ in self._until("}", raw=char in "#%"))
        value = self._scope.get(name)
        if value is None and self._mode.keeps_unset:
            return self._text[begin : self._at]
        if char in "#%":
            return self._trimmed(value or "", char, given, begin)
        return self._chosen(name, value, char, given, empty_is_unset, begin)

    def _chosen(
        self,
        name: str,
        value: str | None,
        modifier: str,
        given: str,
        empty_is_unset: bool,
        begin: int,
    ) -> str:
        is_set = bool(value) if empty_is_unset else value is not None
        if modifier == "-":
            return value or "" if is_set else given
        if modifier == "+":
            return given if is_set else ""
        if not is_set:
            why = given or f"is not allowed to be {'unset' if value is None else 'empty'}"
            raise Problem(f"{name}: {why}", f"set {name}, by --build-arg, ARG or ENV", begin)
        return value or ""

    def _trimmed(self, value: str, modifier: str, given: str, begin: int) -> str:
        longest = given.startswith(modifier)
        pattern = self._pattern(given[1:] if longest else given, begin)
        trim = patterns.trim_prefix if modifier == "#" else patterns.trim_suffix
        return trim(value, pattern, longest=longest)

    def _replacement(self, name: str, begin: int) -> str:
        everywhere = self._peek() == "/"
        if everywhere:
            self._at += 1
        wanted = "".join(part for part, _ in self._until("/", raw=True))
        given = "".join(part for part, _ in self._until("}", raw=True))
        value = self._scope.get(name)
        if value is None and self._mode.keeps_unset:
            return self._text[begin : self._at]
        pattern = self._pattern(wanted, begin)
        self._length = 0  # the caller counts the whole
        parts = patterns.replaced(value or "", pattern, given, everywhere=everywhere)
        return "".join(self._grow(part) for part in parts)

    def _pattern(self, text: str, begin: int) -> patterns.Pattern:
        if len(text) > patterns.LENGTH_MAX:
            raise Problem(
                f"the pattern of a substitution has more than {patterns.LENGTH_MAX} characters",
                "use a shorter one",
                begin,
            )
        try:
            return patterns.Pattern.parse(text)
        except ValueError as error:
            raise Problem(
                f"invalid pattern {text!r} in a substitution: {error}",
                "write a backslash only before *, ? and itself",
                begin,
            ) from None
