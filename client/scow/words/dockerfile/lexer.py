"""How the text of an instruction falls apart: its name, its flags, its words, JSON arrays, here-documents.

Nothing is replaced here; of words, quotes and escapes stay. https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from scow.words.dockerfile.problem import Problem
from scow.words.dockerfile.source import SPACES, HeredocMark
from scow.words.dockerfile.syntax import Flag

# What separates arguments of most instructions.
_BLANKS = re.compile(r"[\t\v\f\r ]+")
# Possessive, so that time is linear: blanks could be of either part.
_HEREDOC = re.compile(r"([0-9]{0,9})<<(-?)[\t\v\f\r ]*+([^<]*+)")
_WITH_HEREDOCS = ("add", "copy", "run")


@dataclass(frozen=True)
class Word:
    """A word, and where it begins in the text of the instruction."""

    text: str
    offset: int


@dataclass(frozen=True)
class Parts:
    """An instruction in parts.

    Attributes:
        name: Its first word as written.
        flags: What begins with `--` directly after it.
        rest: All else, without spaces around.
        name_offset, rest_offset: Where they begin.
    """

    name: str
    flags: tuple[Flag, ...]
    rest: str
    name_offset: int
    rest_offset: int


def divide(text: str, escape: str) -> Parts:
    """Divide an instruction into its name, flags and the rest.

    Raises:
        Problem: A flag has a quote that is not closed.
    """
    begin = len(text) - len(text.lstrip(SPACES))
    found = _BLANKS.search(text, begin)
    if found is None:
        return Parts(text[begin:].rstrip(SPACES), (), "", begin, len(text))
    flags = []
    at = _skip_spaces(text, found.end())
    while text.startswith("--", at):
        word, end = _flag_word(text, at, escape)
        if word == "--":
            at = _skip_spaces(text, end)
            break
        if word:
            name, equals, value = word[2:].partition("=")
            flags.append(Flag(name, value if equals else None, at))
        at = _skip_spaces(text, end)
    return Parts(text[begin : found.start()], tuple(flags), text[at:].rstrip(SPACES), begin, at)


def _skip_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACES:
        at += 1
    return at


def _flag_word(text: str, at: int, escape: str) -> tuple[str, int]:
    """Return a flag without quotes and escapes, and where it ends."""
    parts: list[str] = []
    quote, begin = "", at
    while at < len(text):
        char = text[at]
        at += 1
        if char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote, begin = char, at - 1
        elif not quote and char in SPACES:
            return "".join(parts), at
        elif char == escape:
            parts.append(text[at : at + 1])
            at += 1
        else:
            parts.append(char)
    if quote:
        raise Problem(f"a flag whose {quote} is not closed", "close the quotes", begin)
    return "".join(parts), at


def blank_separated(text: str, offset: int = 0) -> list[Word]:
    """Return what spaces separate, whatever quotes there are."""
    return [Word(found[0], offset + found.start()) for found in re.finditer(r"[^\t\v\f\r ]+", text)]


def quoted_words(text: str, escape: str, offset: int = 0) -> list[Word]:
    """Return words that spaces outside of quotes separate; quotes and escapes stay."""
    words: list[Word] = []
    begin = at = 0
    quote = ""
    while at < len(text):
        char = text[at]
        if not quote and char in SPACES:
            if at > begin:
                words.append(Word(text[begin:at], offset + begin))
            begin = at + 1
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == escape and quote != "'":
            at += 1
        at += 1
    # An escape at the very end escapes nothing, and is dropped.
    last = text[begin:-1] if at > len(text) else text[begin:]
    if last:
        words.append(Word(last, offset + begin))
    return words


def first_and_rest(text: str) -> tuple[str, str] | None:
    """Return the first word and what follows the blanks after it, for the old form of ENV; None without blanks."""
    found = _BLANKS.search(text)
    return (text[: found.start()], text[found.end() :]) if found else None


def json_array(text: str, offset: int = 0) -> tuple[str, ...] | None:
    """Return the elements of a JSON array of strings; None of what is not JSON, and so in shell form.

    Raises:
        Problem: It is an array of other things than strings.
    """
    if not text.lstrip(SPACES).startswith("["):
        return None
    try:
        value = json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in value):
        raise Problem(
            "an array in JSON form must have strings only", "put each element into quotes", offset
        )
    # Half characters, which JSON can write and UTF-8 cannot, become U+FFFD, as in Go.
    return tuple(
        item.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for item in value
    )


def _not_json(word: str) -> NoReturn:
    raise ValueError(word)


def heredoc_marks(text: str, escape: str) -> list[HeredocMark]:
    """Return the here-documents that an instruction announces, in order.

    Raises:
        Problem: The name of one has no closing quote.
    """
    if "<<" not in text:
        return []
    parts = divide(text, escape)
    name = parts.name.lower()
    if name == "onbuild":
        inner = divide(parts.rest, escape)
        name, rest, at = inner.name.lower(), inner.rest, parts.rest_offset + inner.rest_offset
    else:
        rest, at = parts.rest, parts.rest_offset
    if name not in _WITH_HEREDOCS or json_array(rest) is not None:
        return []
    words = _shell_words(rest, at) if name == "run" else blank_separated(rest, at)
    marks = (heredoc_mark(word.text, word.offset) for word in words)
    return [mark for mark in marks if mark is not None]


def heredoc_mark(word: str, offset: int = 0) -> HeredocMark | None:
    """Return the here-document that a word announces, None of other words.

    Raises:
        Problem: Its name has no closing quote.
    """
    found = _HEREDOC.fullmatch(word)
    if found is None or not found[3]:
        return None
    name = _unquoted(found[3].strip(SPACES), offset)
    if not name:
        return None
    is_quoted = name.count("'") + name.count('"') != found[3].count("'") + found[3].count('"')
    return HeredocMark(name, not is_quoted, found[2] == "-", int(found[1] or 0), offset)


def _unquoted(text: str, offset: int) -> str | None:
    """Return a here-document's name without quotes and escapes, None of several words."""
    parts: list[str] = []
    quote = ""
    escaped = False
    for char in text:
        if escaped:
            parts.append(char)
            escaped = False
        elif char == quote:
            quote = ""
        elif not quote and char in "'\"":
            quote = char
        elif char == "\\" and quote != "'":
            escaped = True
        elif not quote and char in SPACES:
            return None
        else:
            parts.append(char)
    if quote:
        raise Problem(f"the name of a here-document lacks {quote}", "close the quotes", offset)
    return "".join(parts)


def _shell_words(text: str, offset: int) -> list[Word]:
    """Return the words of a shell line; a here-document's name belongs to its `<<` even after spaces.

    A line whose quotes are not closed has no words: it is the shell's to complain.
    """
    words: list[Word] = []
    begin: int | None = None
    at = 0
    while at < len(text):
        char = text[at]
        if char in SPACES:
            if begin is not None:
                words.append(Word(text[begin:at], offset + begin))
            begin = None
            at += 1
            continue
        begin = at if begin is None else begin
        if char in "'\"":
            at = _closing(text, at)
            if at == 0:
                return []
        elif char == "\\":
            at += 2
        elif text.startswith("<<", at):
            at += 2
            while text[at : at + 1] in ("\t", "\r", " "):
                at += 1
        else:
            at += 1
    if begin is not None:
        words.append(Word(text[begin:], offset + begin))
    return words


def _closing(text: str, at: int) -> int:
    """Return the place after the quote that closes the one at `at`; 0 without one."""
    quote = text[at]
    at += 1
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 1
        elif text[at] == quote:
            return at + 1
        at += 1
    return 0
