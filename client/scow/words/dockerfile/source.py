"""From bytes to instructions in one line each: parser directives, comments, continuations, here-documents.

https://docs.docker.com/reference/dockerfile/ ("Format", "Parser directives", "Here-Documents")
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from scow.words.dockerfile.problem import Problem, error_at, error_in
from scow.words.dockerfile.syntax import Directive, Heredoc, Position, Span

SIZE_MAX = 1 << 20
ESCAPES = ("\\", "`")
# What Unicode and Go call white space; `str.isspace` takes some control characters too.
SPACES = (
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005"
    "\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
DIRECTIVES = ("syntax", "escape", "check")
_DIRECTIVE = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[ \t]*=[ \t]*(.+)")


@dataclass(frozen=True)
class HeredocMark:
    """A here-document as an instruction announces it: everything but its content."""

    name: str
    expands: bool
    strips_tabs: bool
    descriptor: int = 0
    offset: int = 0

    def with_content(self, content: str) -> Heredoc:
        """Return the here-document."""
        return Heredoc(self.name, content, self.expands, self.strips_tabs, self.descriptor)


@dataclass(frozen=True)
class Logical:
    """An instruction, not yet parsed, with its here-documents and the comments directly above."""

    span: Span
    heredocs: tuple[Heredoc, ...]
    comments: tuple[str, ...]


@dataclass
class Source:
    """A file, taken apart.

    Attributes:
        file: Its name.
        lines: Its lines, without their ends.
        escape: The character of continuations and escapes.
        directives: Parser directives.
        instructions: In their order.
        empty_continuations: Where an empty line stands within an instruction.
    """

    file: str
    lines: tuple[str, ...]
    escape: str = "\\"
    directives: list[Directive] = field(default_factory=list)
    instructions: list[Logical] = field(default_factory=list)
    empty_continuations: list[Position] = field(default_factory=list)


def read(data: bytes, file: str, marks: Callable[[str, str], list[HeredocMark]]) -> Source:
    """Take a file apart.

    Args:
        data: Its bytes.
        file: Its name, for messages.
        marks: Finds the here-documents that an instruction announces, given its text and the escape character.

    Raises:
        InvalidDockerfile: It is not text, too large, or ends within a here-document.
    """
    return _Reader(_text(data, file), file, marks).read()


def _text(data: bytes, file: str) -> str:
    if len(data) > SIZE_MAX:
        raise error_at(
            file,
            (),
            Position(1),
            f"the file has {len(data)} bytes, more than {SIZE_MAX}",
            "is this a Dockerfile? COPY large files from the context",
        )
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(errors="replace")
        raise _not_text(file, before, "a byte that is not UTF-8") from None
    if "\0" in text:
        raise _not_text(file, text[: text.index("\0")], "a NUL byte")
    return text


def _not_text(file: str, before: str, what: str) -> Exception:
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    return error_at(file, (), Position(line, column), what, "save the file as UTF-8 text")


class _Reader:
    def __init__(
        self, text: str, file: str, marks: Callable[[str, str], list[HeredocMark]]
    ) -> None:
        self._raw = text.split("\n")
        if self._raw[-1] == "":
            self._raw.pop()
        self._source = Source(file, tuple(line.rstrip("\r") for line in self._raw))
        self._marks = marks
        self._at = 0  # number of lines that have been read
        self._comments: list[str] = []

    def read(self) -> Source:
        self._read_directives()
        while self._at < len(self._source.lines):
            line = self._source.lines[self._at].lstrip(SPACES)
            if line.startswith("#"):
                self._at += 1
                self._comment(line[1:].strip(SPACES))
            elif not line:
                self._at += 1
                self._comments.clear()
            else:
                self._instruction()
        return self._source

    def _comment(self, text: str) -> None:
        if text:
            self._comments.append(text)
        else:
            self._comments.clear()

    def _read_directives(self) -> None:
        for number, line in enumerate(self._source.lines, 1):
            line = line.lstrip(SPACES)
            found = _DIRECTIVE.match(line[1:].lstrip(SPACES)) if line.startswith("#") else None
            name = found[1].lower() if found else ""
            if found is None or name not in DIRECTIVES:
                return
            self._directive(name, found[2].strip(SPACES), Position(number))
            self._at = number

    def _directive(self, name: str, value: str, position: Position) -> None:
        source = self._source
        if any(known.name == name for known in source.directives):
            raise self._error(
                position, f"the parser directive {name!r} is given twice", "remove one of them"
            )
        if name == "escape":
            if value not in ESCAPES:
                raise self._error(
                    position, f"invalid escape character {value!r}", "use a backslash or a backtick"
                )
            source.escape = value
        source.directives.append(Directive(name, value, position))

    def _error(self, position: Position, message: str, do: str) -> Exception:
        return error_at(self._source.file, self._source.lines, position, message, do)

    def _instruction(self) -> None:
        text, pieces = self._joined()
        if not text.strip(SPACES):  # nothing but continuations
            return
        start = pieces[0][1]
        span = Span(self._source.file, start, self._at, text, tuple(pieces))
        try:
            marks = self._marks(text, self._source.escape)
            heredocs = tuple(mark.with_content(self._heredoc(mark)) for mark in marks)
        except Problem as problem:
            raise error_in(span, self._source.lines, problem) from None
        span = Span(self._source.file, start, self._at, text, tuple(pieces))
        self._source.instructions.append(Logical(span, heredocs, tuple(self._comments)))
        self._comments.clear()

    def _joined(self) -> tuple[str, list[tuple[int, Position]]]:
        """Read the lines of an instruction; return them as one, and where its pieces come from."""
        parts: list[str] = []
        pieces: list[tuple[int, Position]] = []
        length = 0
        while self._at < len(self._source.lines):
            whole = self._source.lines[self._at]
            self._at += 1
            bare = whole.lstrip(SPACES)
            if parts and bare.startswith("#"):
                continue
            if parts and not bare:
                self._source.empty_continuations.append(Position(self._at))
                continue
            line = whole if parts else bare
            kept, continues = self._continuation(line)
            pieces.append((length, Position(self._at, len(whole) - len(line) + 1)))
            parts.append(kept)
            length += len(kept)
            if not continues:
                break
        return "".join(parts), pieces

    def _continuation(self, line: str) -> tuple[str, bool]:
        """Return a line without the mark of a continuation, and whether it had one."""
        bare = line.rstrip(" \t")
        escape = self._source.escape
        if not bare.endswith(escape) or bare.endswith(escape * 2):
            return line, False
        return bare[:-1], True

    def _heredoc(self, mark: HeredocMark) -> str:
        """Read the content of a here-document."""
        lines: list[str] = []
        while self._at < len(self._source.lines):
            line = self._source.lines[self._at]
            self._at += 1
            if (line.lstrip("\t") if mark.strips_tabs else line) == mark.name:
                return "".join(lines)
            lines.append(self._raw[self._at - 1] + "\n")
        raise Problem(
            f"the here-document {mark.name!r} does not end",
            f"end it by a line that is exactly {mark.name!r}",
            mark.offset,
        )
