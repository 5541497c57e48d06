"""Splits a template into tokens, one at a time: an error later in the text must not hide an earlier one."""

from __future__ import annotations

from scow.words.template.errors import ParseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = "text"
OPEN = "{{"
CLOSE = "}}"
SPACE = "space"
FIELD = "field"  # .Name
VARIABLE = "variable"  # $ or $name
IDENTIFIER = "identifier"  # a function
KEYWORD = "keyword"
DOT = "."
NIL = "nil"
BOOL = "bool"
NUMBER = "number"
CHARACTER = "character"  # 'a'
STRING = "string"
RAW_STRING = "raw string"
DECLARE = ":="
ASSIGN = "="
OTHER = "other"  # any other character, among them the comma
PIPE = "|"
LEFT_PAREN = "("
RIGHT_PAREN = ")"
END = "EOF"

KEYWORDS = frozenset(
    ["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"],
)
_SPACES = " \t\r\n"
_QUOTES = {
    '"': (STRING, "unterminated quoted string"),
    "'": (CHARACTER, "unterminated character constant"),
}


class Token:
    """A token: its kind, its text, and where it begins."""

    __slots__ = ("kind", "position", "text")

    def __init__(self, kind: str, text: str, position: int) -> None:
        self.kind = kind
        self.text = text
        self.position = position

    def __str__(self) -> str:
        """The token as Go's parser names it in a message."""
        if self.kind == END:
            return "EOF"
        if self.kind in (KEYWORD, DOT, NIL):
            return f"<{self.text}>"
        return quote(self.text[:10]) + ("..." if len(self.text) > 10 else "")


class Lexer:
    """Reads one template."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def tokens(self) -> Iterator[Token]:
        """Yield the tokens, the last one END.

        Raises:
            ParseError: At a text that is not a token.
        """
        text = self._text
        while (start := text.find("{{", self._at)) >= 0:
            plain = text[self._at : start]
            trim = text[start + 2 : start + 3] == "-" and text[start + 3 : start + 4] in _SPACES
            trim = trim and len(text) > start + 3
            plain = plain.rstrip(_SPACES) if trim else plain
            if plain:
                yield Token(TEXT, plain, self._at)
            self._at = start + (3 if trim else 2)
            body = self._at + (1 if trim else 0)
            if text.startswith("/*", body):
                self._comment(body)
                continue
            yield Token(OPEN, "{{", start)
            yield from self._action()
        if self._at < len(text):
            yield Token(TEXT, text[self._at :], self._at)
        yield Token(END, "", len(text))

    def _comment(self, start: int) -> None:
        end = self._text.find("*/", start)
        if end < 0:
            raise self._error("unclosed comment", start)
        self._at = end + 2
        if not self._close():
            raise self._error("comment ends before closing delimiter", start)

    def _close(self) -> bool:
        """Go past the right delimiter, and past the space after it if it says so."""
        text = self._text
        if text.startswith("}}", self._at):
            self._at += 2
            return True
        if text[self._at : self._at + 1] in _SPACES and text.startswith("-}}", self._at + 1):
            self._at += 4
            while self._at < len(text) and text[self._at] in _SPACES:
                self._at += 1
            return True
        return False

    def _action(self) -> Iterator[Token]:
        self._depth = 0
        while True:
            start = self._at
            if self._close():
                if self._depth:
                    raise self._error("unclosed left paren", start)
                yield Token(CLOSE, "}}", start)
                return
            if start >= len(self._text):
                raise self._error("unclosed action", start)
            yield self._token(start)

    def _token(self, start: int) -> Token:
        char = self._text[start]
        following = self._text[start + 1 : start + 2]
        if char in _SPACES:
            return self._space(start)
        if char in _QUOTES:
            return self._quoted(start)
        if char == "`":
            return self._raw_quoted(start)
        if char == "$" or (char == "." and not _is_digit(following)):
            return self._name(start)
        if char in "+-." or _is_digit(char):
            return self._number(start)
        if _is_word(char):
            return self._word(start)
        return self._sign(start)

    def _take(self, kind: str, start: int, end: int) -> Token:
        self._at = end
        return Token(kind, self._text[start:end], start)

    def _space(self, start: int) -> Token:
        end = start
        while end < len(self._text) and self._text[end] in _SPACES:
            # The space before "-}}" belongs to the delimiter.
            if end > start and self._text.startswith("-}}", end + 1):
                break
            end += 1
        return self._take(SPACE, start, end)

    def _quoted(self, start: int) -> Token:
        quote_mark = self._text[start]
        kind, complaint = _QUOTES[quote_mark]
        end = start + 1
        while self._text[end : end + 1] not in ("", "\n", quote_mark):
            end += 2 if self._text[end] == "\\" and self._text[end + 1 : end + 2] != "\n" else 1
        if self._text[end : end + 1] != quote_mark:
            raise self._error(complaint, start)
        return self._take(kind, start, end + 1)

    def _raw_quoted(self, start: int) -> Token:
        end = self._text.find("`", start + 1)
        if end < 0:
            raise self._error("unterminated raw quoted string", start)
        return self._take(RAW_STRING, start, end + 1)

    def _name(self, start: int) -> Token:
        """A field or a variable, or the lone dot or dollar."""
        end = self._word_end(start + 1)
        named = FIELD if end > start + 1 else DOT
        kind = VARIABLE if self._text[start] == "$" else named
        return self._take(kind, start, self._terminated(end))

    def _word(self, start: int) -> Token:
        end = self._terminated(self._word_end(start))
        word = self._text[start:end]
        if word in KEYWORDS:
            kind = KEYWORD
        elif word in ("true", "false"):
            kind = BOOL
        else:
            kind = NIL if word == "nil" else IDENTIFIER
        return self._take(kind, start, end)

    def _word_end(self, end: int) -> int:
        while end < len(self._text) and _is_word(self._text[end]):
            end += 1
        return end

    def _terminated(self, end: int) -> int:
        """Check that a word ends here."""
        text = self._text
        if end < len(text) and text[end] not in " \t\r\n.,|:)(" and not text.startswith("}}", end):
            raise self._error(f"bad character U+{ord(text[end]):04X} {text[end]!r}", end)
        return end

    def _number(self, start: int) -> Token:
        text, end = self._text, start
        if text[end] in "+-":
            end += 1
        digits = "0123456789_"
        marks = "eE"
        if text[end : end + 1] == "0" and text[end + 1 : end + 2] in tuple("xXoObB"):
            kind = text[end + 1].lower()
            digits = {"x": "0123456789abcdefABCDEF_", "o": "01234567_", "b": "01_"}[kind]
            marks = "pP"
            end += 2
        end = _past(text, end, digits)
        if text[end : end + 1] == ".":
            end = _past(text, end + 1, digits)
        if text[end : end + 1] and text[end] in marks:
            end += 1
            end += 1 if text[end : end + 1] in ("+", "-") else 0
            end = _past(text, end, "0123456789_")
        if end < len(text) and _is_word(text[end]):
            raise self._error(f"bad number syntax: {quote(text[start : end + 1])}", start)
        return self._take(NUMBER, start, end)

    def _sign(self, start: int) -> Token:
        char = self._text[start]
        if char == ":":
            if not self._text.startswith(":=", start):
                raise self._error("expected :=", start)
            return self._take(DECLARE, start, start + 2)
        if char == ")" and not self._depth:
            raise self._error("unexpected right paren", start)
        self._depth += {"(": 1, ")": -1}.get(char, 0)
        if char in "=|()":
            return self._take(char, start, start + 1)
        if char.isascii() and char.isprintable():
            return self._take(OTHER, start, start + 1)
        shown = repr(char) if char.isprintable() else ""
        raise self._error(
            f"unrecognized character in action: U+{ord(char):04X} {shown}".rstrip(), start
        )

    def _error(self, reason: str, position: int) -> ParseError:
        return ParseError(self._text.count("\n", 0, position) + 1, reason)


def quote(text: str, *, ascii_only: bool = False, mark: str = '"') -> str:
    """Return text as a Go string literal."""
    escapes = {
        "\a": "\\a",
        "\b": "\\b",
        "\f": "\\f",
        "\n": "\\n",
        "\r": "\\r",
        "\t": "\\t",
        "\v": "\\v",
        "\\": "\\\\",
        mark: "\\" + mark,
    }
    return mark + "".join(escapes.get(c) or _escape(c, ascii_only) for c in text) + mark


def _escape(char: str, ascii_only: bool) -> str:
    code = ord(char)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as surrogateescape decodes it
        return f"\\x{code - 0xDC00:02x}"
    if char.isprintable() and (code < 0x7F or not ascii_only):
        return char
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _past(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at


def _is_digit(char: str) -> bool:
    return char.isascii() and char.isdigit()


def _is_word(char: str) -> bool:
    return char == "_" or char.isalnum()
