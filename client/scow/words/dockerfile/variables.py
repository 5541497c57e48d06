"""Words of Dockerfile instructions: quotes, escapes and variables.

https://docs.docker.com/reference/dockerfile/ ("Environment replacement"): `$name`, `${name}`, `${name:-word}`,
`${name:+word}`; a backslash keeps the next character as it is, single quotes all between them. What a variable has is
never split.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# A backslash within double quotes stands for itself before other characters.
_ESCAPED_IN_QUOTES = '"$\\'


def split(text: str, variables: Mapping[str, str]) -> list[str]:
    """Return the words of a text, without their quotes and with variables replaced.

    Raises:
        ValueError: Quotes or braces are not closed, or a replacement is of no known form.
    """
    scanner = _Scanner(text, variables)
    words = []
    while scanner.skip_spaces():
        words.append(scanner.word(stop_at_spaces=True))
    return words


def whole(text: str, variables: Mapping[str, str]) -> str:
    """Return a text as one word, spaces and all; errors as of `split`."""
    return _Scanner(text, variables).word(stop_at_spaces=False)


class _Scanner:
    def __init__(self, text: str, variables: Mapping[str, str]) -> None:
        self._text = text
        self._variables = variables
        self._at = 0

    def skip_spaces(self) -> bool:
        """Go to the next word; tell whether there is one."""
        while self._at < len(self._text) and self._text[self._at].isspace():
            self._at += 1
        return self._at < len(self._text)

    def word(self, *, stop_at_spaces: bool, end: str = "") -> str:
        """Read up to a space, to the character `end`, which stays, or to the end of the text."""
        parts = []
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == end or (stop_at_spaces and char.isspace()):
                break
            self._at += 1
            if char == "'":
                parts.append(self._until_quote())
            elif char == '"':
                parts.append(self._double_quoted())
            elif char == "\\":
                parts.append(self._next() if self._at < len(self._text) else char)
            else:
                parts.append(self._variable() if char == "$" else char)
        return "".join(parts)

    def _next(self) -> str:
        if self._at >= len(self._text):
            raise ValueError("unclosed quotes or braces")
        self._at += 1
        return self._text[self._at - 1]

    def _until_quote(self) -> str:
        start = self._at
        while self._next() != "'":
            pass
        return self._text[start : self._at - 1]

    def _double_quoted(self) -> str:
        parts = []
        while (char := self._next()) != '"':
            if char == "$":
                char = self._variable()
            elif char == "\\":
                following = self._next()
                char = following if following in _ESCAPED_IN_QUOTES else char + following
            parts.append(char)
        return "".join(parts)

    def _variable(self) -> str:
        """Return what stands for a variable, of which the dollar has been read."""
        if self._text[self._at : self._at + 1] == "{":
            return self._braced()
        found = _NAME.match(self._text, self._at)
        if found is None:
            return "$"
        self._at = found.end()
        return self._variables.get(found[0], "")

    def _braced(self) -> str:
        found = _NAME.match(self._text, self._at + 1)
        if found is None:
            raise ValueError("a variable in braces has no name")
        self._at = found.end()
        value = self._variables.get(found[0], "")
        operator = self._next()
        if operator == "}":
            return value
        if operator != ":" or (operator := self._next()) not in "-+":
            raise ValueError("unsupported form of variable substitution")
        word = self.word(stop_at_spaces=False, end="}")
        self._next()
        if operator == "-":
            return value or word
        return word if value else ""
