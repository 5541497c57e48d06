"""What is wrong with a Dockerfile, and how that is shown: file, line and column, the line itself, the likely fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from scow.contract.errors import InvalidDockerfile
from scow.words.dockerfile.syntax import Position, Span

# Characters of a line that an excerpt shows, and lines before and after it.
_WIDTH = 100
_AROUND = 1
# Longer words have no likely correction.
_WORD_MAX = 40


class Problem(ValueError):
    """Something is wrong with a text; who knows where the text stands makes `InvalidDockerfile` of it.

    Args:
        message: What is wrong, without a full stop.
        do: The likely fix.
        offset: The character of the text that is wrong.
    """

    def __init__(self, message: str, do: str = "", offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.do = do
        self.offset = offset

    def moved(self, offset: int) -> Problem:
        """Return the same for a text of which the former one is the part that begins at an offset."""
        return Problem(self.message, self.do, self.offset + offset)


def error_at(
    file: str, lines: Sequence[str], position: Position, message: str, do: str = ""
) -> InvalidDockerfile:
    """Return the error for a position of a file.

    Args:
        file: Its name.
        lines: Its lines.
        position: Where it is wrong.
        message: What is wrong.
        do: The likely fix.
    """
    return InvalidDockerfile(
        f"{file}:{position.line}:{position.column}: {message}",
        what="Dockerfile",
        which=file,
        do=do,
        file=file,
        line=str(position.line),
        column=str(position.column),
        excerpt=excerpt(lines, position),
    )


def error_in(span: Span, lines: Sequence[str], problem: Problem) -> InvalidDockerfile:
    """Return the error for a problem with the text of a span."""
    return error_at(span.file, lines, span.at(problem.offset), problem.message, problem.do)


def excerpt(lines: Sequence[str], position: Position) -> str:
    """Return the line of a position with its neighbours and a mark below the column; long lines are cut."""
    shown = []
    for number in range(position.line - _AROUND, position.line + _AROUND + 1):
        if not 1 <= number <= len(lines):
            continue
        begin = max(position.column - _WIDTH // 2, 0) if position.column > _WIDTH // 2 else 0
        line = lines[number - 1][begin : begin + _WIDTH].rstrip()
        shown.append(f"{number:5} | {line}".rstrip())
        if number == position.line:
            before = lines[number - 1][begin : position.column - 1]
            # Tabs stay tabs, so that the mark stands where the character is.
            blank = "".join("\t" if char == "\t" else " " for char in before)
            shown.append(f"      | {blank}^")
    return "\n".join(shown)


def similar(word: str, known: Iterable[str]) -> str:
    """Return the known word that another was probably meant to be, or nothing."""
    if len(word) > _WORD_MAX:
        return ""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """Return advice for an unknown word."""
    found = similar(word, known)
    if found:
        return f"did you mean {found}?"
    return f"use {', '.join(known)}" if known else ""
