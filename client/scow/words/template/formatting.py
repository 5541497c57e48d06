"""Go's fmt.Sprintf, for the values of templates."""

from __future__ import annotations

from scow.words.template.errors import CallError
from scow.words.template.lexer import quote
from scow.words.template.values import text, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_FLAGS = "+-# 0"
# More than that many columns are a mistake, not a layout.
_WIDEST = 1 << 16
# Digits of a width that are looked at: there are more than of any width that is used.
_WIDTH_DIGITS = 10
# Characters that one call may make. What inspect shows has about a quarter at most.
MAX_TEXT = 16 << 20


def check_length(length: int) -> None:
    """Refuse a text longer than a template needs, before it is made where possible.

    Raises:
        CallError: It is longer than MAX_TEXT.
    """
    if length > MAX_TEXT:
        raise CallError(f"result has more than {MAX_TEXT} characters")


class _Directive:
    """One directive: its flags, width, precision and verb."""

    __slots__ = ("flags", "precision", "verb", "width")

    def __init__(self) -> None:
        self.flags = ""
        self.width: int | None = None
        self.precision: int | None = None
        self.verb = ""


class _Arguments:
    """The arguments of one call, taken one after the other."""

    def __init__(self, values: Sequence[object]) -> None:
        self._values = values
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._values)

    def take(self) -> object:
        self._at += 1
        return self._values[self._at - 1]

    def rest(self) -> Sequence[object]:
        return self._values[self._at :]


def sprintf(layout: str, values: Sequence[object]) -> str:
    """Return the text of a layout; what is wrong in it is said in place, `%!d(string=hi)`."""
    arguments = _Arguments(values)
    made: list[str] = []
    at = length = 0
    while (mark := layout.find("%", at)) >= 0:
        made.append(layout[at:mark])
        directive, at = _read(layout, mark + 1, arguments)
        made.append(_expand(directive, arguments))
        length += len(made[-1])
        check_length(length)
    made.append(layout[at:])
    if arguments.more():
        extra = (f"{type_name(value)}={_extra(value)}" for value in arguments.rest())
        made.append(f"%!(EXTRA {', '.join(extra)})")
    return "".join(made)


def _extra(value: object) -> str:
    return "" if value is None else text(value)


def _read(layout: str, at: int, arguments: _Arguments) -> tuple[_Directive, int]:
    directive = _Directive()
    while at < len(layout) and layout[at] in _FLAGS:
        directive.flags += layout[at]
        at += 1
    directive.width, at = _size(layout, at, arguments)
    if directive.width is not None and directive.width < 0:
        directive.flags += "-"
        directive.width = -directive.width
    if layout[at : at + 1] == ".":
        precision, at = _size(layout, at + 1, arguments)
        directive.precision = max(0, precision or 0)
    directive.verb = layout[at : at + 1]
    return directive, at + 1


def _size(layout: str, at: int, arguments: _Arguments) -> tuple[int | None, int]:
    """Return a width or a precision: digits, or `*` for an argument."""
    if layout[at : at + 1] == "*":
        value = arguments.take() if arguments.more() else None
        usable = isinstance(value, int) and abs(value) <= _WIDEST
        return (value if usable else None), at + 1  # type: ignore[return-value]
    end = at
    while end < len(layout) and layout[end] in "0123456789":
        end += 1
    digits = layout[at:end].lstrip("0")[:_WIDTH_DIGITS]
    return (min(int(digits or "0"), _WIDEST) if end > at else None), end


def _expand(directive: _Directive, arguments: _Arguments) -> str:
    if not directive.verb:
        return "%!(NOVERB)"
    if directive.verb == "%":
        return "%"
    if not arguments.more():
        return f"%!{directive.verb}(MISSING)"
    value = arguments.take()
    if directive.verb == "T":
        return _padded(type_name(value) if value is not None else "<nil>", directive)
    return _formatted(value, directive)


def _formatted(value: object, directive: _Directive) -> str:
    verb = directive.verb
    if isinstance(value, bool):
        return _padded(text(value), directive) if verb in "tv" else _wrong(value, verb)
    if isinstance(value, int):
        return _integer(value, directive)
    if isinstance(value, float):
        return _float(value, directive)
    if isinstance(value, str):
        return _string(value, directive)
    if isinstance(value, list) and verb != "v":
        return "[" + " ".join(_formatted(item, directive) for item in value) + "]"
    if isinstance(value, dict) and verb in "sdq":
        items = (f"{_formatted(k, directive)}:{_formatted(i, directive)}" for k, i in value.items())
        return "map[" + " ".join(items) + "]"
    if verb == "v":
        return _padded(text(value, names="+" in directive.flags), directive)
    return f"%!{verb}(<nil>)" if value is None else _wrong(value, verb)


def _wrong(value: object, verb: str) -> str:
    return f"%!{verb}({type_name(value)}={text(value)})"


def _padded(shown: str, directive: _Directive, *, zeros: bool = False) -> str:
    width = directive.width or 0
    if "-" in directive.flags:
        return shown.ljust(width)
    if zeros and "0" in directive.flags:
        sign = shown[:1] if shown[:1] in ("+", "-", " ") else ""
        return sign + shown[len(sign) :].rjust(width - len(sign), "0")
    return shown.rjust(width)


def _string(value: str, directive: _Directive) -> str:
    if directive.verb in ("x", "X"):
        raw = value.encode("utf-8", "surrogateescape")[: directive.precision]
        shown = raw.hex() if directive.verb == "x" else raw.hex().upper()
        return _padded(shown, directive)
    cut = value if directive.precision is None else value[: directive.precision]
    if directive.verb == "q" or (directive.verb == "v" and "#" in directive.flags):
        raw_quoted = "#" in directive.flags and directive.verb == "q" and "`" not in cut
        return _padded(f"`{cut}`" if raw_quoted else quote(cut), directive)
    if directive.verb in ("s", "v"):
        return _padded(cut, directive)
    return _wrong(value, directive.verb)


def _integer(value: int, directive: _Directive) -> str:
    verb = directive.verb
    if verb in ("c", "q", "U"):
        return _character(value, directive)
    base = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}.get(verb)
    if base is None:
        return _wrong(value, verb)
    digits = format(abs(value), base)
    if directive.precision is not None:
        digits = digits.rjust(directive.precision, "0")
    if verb == "O":
        digits = "0o" + digits
    elif "#" in directive.flags and verb in "boxX":
        digits = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}[verb] + digits
    return _padded(_sign(value < 0, directive) + digits, directive, zeros=True)


def _sign(negative: bool, directive: _Directive) -> str:
    if negative:
        return "-"
    return "+" if "+" in directive.flags else " " if " " in directive.flags else ""


def _character(value: int, directive: _Directive) -> str:
    valid = 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000
    char = chr(value) if valid else "\ufffd"
    if directive.verb == "c":
        return _padded(char, directive)
    if directive.verb == "q":
        return _padded(quote(char, mark="'"), directive)
    return _padded(f"U+{value:04X}", directive)


def _float(value: float, directive: _Directive) -> str:
    verb, precision = directive.verb, directive.precision
    if verb not in ("e", "E", "f", "F", "g", "G", "v"):
        return _wrong(value, verb)
    finite = value == value and abs(value) != float("inf")
    if not finite or (verb in "gGv" and precision is None):
        shown = text(value).lstrip("+-")
        shown = shown.upper() if finite and verb == "G" else shown
    else:
        kind = "g" if verb == "v" else verb
        shown = format(abs(value), f".{6 if precision is None else precision}{kind}")
    negative = value < 0 or str(value).startswith("-")
    return _padded(_sign(negative, directive) + shown, directive, zeros=True)
