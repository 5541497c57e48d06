"""The functions of templates: Go's own and those that Docker adds."""

from __future__ import annotations

from scow.words.template import values
from scow.words.template.errors import CallError
from scow.words.template.formatting import check_length, sprintf
from scow.words.template.values import Map, Struct, text, to_json, truth, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class Function:
    """One function.

    Args:
        call: Computes the result; raises CallError with a sentence.
        takes: Type of each argument: "string", "int", "[]string" or "any"; a last one that ends in "..."
            stands for any number of arguments.
    """

    __slots__ = ("call", "takes", "variadic")

    def __init__(self, call: Callable[..., Any], *takes: str) -> None:
        self.call = call
        self.variadic = bool(takes) and takes[-1].endswith("...")
        self.takes = tuple(kind.removesuffix("...") for kind in takes)

    def check(self, name: str, arguments: list[Any]) -> None:
        """Check the number and the types of arguments.

        Raises:
            CallError: They are wrong.
        """
        least = len(self.takes) - self.variadic
        if len(arguments) < least or (len(arguments) > least and not self.variadic):
            wanted = f"at least {least}" if self.variadic else str(least)
            raise CallError(f"wrong number of args for {name}: want {wanted} got {len(arguments)}")
        for number, value in enumerate(arguments):
            _check_type(self.takes[min(number, len(self.takes) - 1)], value)


def _check_type(kind: str, value: object) -> None:
    if kind == "any":
        return
    if kind == "string":
        fits = isinstance(value, str)
    elif kind == "int":
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
    if not fits:
        raise CallError(f"wrong type for value; expected {kind}; got {type_name(value)}")


def _length(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, list) or (isinstance(value, dict) and not isinstance(value, Struct)):
        return len(value)
    if value is None or value is values.NIL:
        raise CallError("len of nil pointer")
    raise CallError(f"len of type {type_name(value)}")


def _index(value: object, *keys: object) -> object:
    for key in keys:
        value = _element(value, key)
    return value


def _element(value: object, key: object) -> object:
    if isinstance(value, list | str):
        if not isinstance(key, int) or isinstance(key, bool):
            raise CallError(f"cannot index slice/array with type {type_name(key)}")
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        if not 0 <= key < len(raw):
            raise CallError(f"index out of range: {key}")
        return raw[key]
    if isinstance(value, dict) and not isinstance(value, Struct):
        if not isinstance(key, str):
            raise CallError(f"value has type {type_name(key)}; should be string")
        return value.get(key, value.zero if isinstance(value, Map) else values.MISSING)
    if value is None or value is values.NIL or value is values.MISSING:
        raise CallError("index of untyped nil" if value is None else "index of nil pointer")
    raise CallError(f"can't index item of type {type_name(value)}")


def _slice(value: object, *bounds: int) -> object:
    if not isinstance(value, list | str):
        raise CallError(f"can't slice item of type {type_name(value)}")
    if len(bounds) > (2 if isinstance(value, str) else 3):
        raise CallError(f"too many slice indexes: {len(bounds)}")
    raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    for bound in bounds:
        if not 0 <= bound <= len(raw):
            raise CallError(f"index out of range: {bound}")
    start, end = (*bounds, *(0, len(raw))[len(bounds) :])[:2]
    if start > end:
        raise CallError(f"invalid slice index: {start} > {end}")
    part = raw[start:end]
    return part.decode("utf-8", "surrogateescape") if isinstance(part, bytes) else part


def _equal(first: object, *others: object) -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    return any(_same(first, other) for other in others)


def _same(first: object, second: object) -> bool:
    for value in (first, second):
        if isinstance(value, list | dict):
            raise CallError(f"non-comparable type {text(value)}: {type_name(value)}")
    if first is None or second is None:
        return first is second
    if type(first) is not type(second):
        raise CallError("incompatible types for comparison")
    return first == second


def _less(first: Any, second: Any) -> bool:
    for value in (first, second):
        if not isinstance(value, int | float | str) or isinstance(value, bool):
            raise CallError("invalid type for comparison")
    if type(first) is not type(second):
        raise CallError("incompatible types for comparison")
    return bool(first < second)


def _print(*parts: object) -> str:
    """Go's Sprint: a space between two operands when neither is a string."""
    made: list[str] = []
    for number, part in enumerate(parts):
        if number and not isinstance(part, str) and not isinstance(parts[number - 1], str):
            made.append(" ")
        made.append(text(part))
    return _joined(made, "")


def _joined(parts: list[str], separator: str) -> str:
    check_length(sum(map(len, parts)) + len(separator) * len(parts))
    return separator.join(parts)


def _pad(value: str, before: int, after: int) -> str:
    if not value:
        return value
    check_length(len(value) + max(before, 0) + max(after, 0))
    return " " * before + value + " " * after


def _title(value: str) -> str:
    made, inside = "", False
    for char in value:
        made += char if inside else char.upper()
        inside = char.isalnum() or char == "_"
    return made


def _truncate(value: str, length: int) -> str:
    return value[:length] if len(value) > length >= 0 else value


FUNCTIONS: dict[str, Function] = {
    # Whether `and` and `or` look at an argument at all depends on those before it: see the evaluator.
    "and": Function(lambda *given: given[-1], "any", "any..."),
    "or": Function(lambda *given: given[-1], "any", "any..."),
    "not": Function(lambda value: not truth(value), "any"),
    "len": Function(_length, "any"),
    "index": Function(_index, "any", "any..."),
    "slice": Function(_slice, "any", "int..."),
    "print": Function(_print, "any..."),
    "printf": Function(lambda layout, *rest: sprintf(layout, rest), "string", "any..."),
    "println": Function(lambda *parts: _joined([*map(text, parts)], " ") + "\n", "any..."),
    "eq": Function(_equal, "any", "any..."),
    "ne": Function(lambda first, second: not _same(first, second), "any", "any"),
    "lt": Function(_less, "any", "any"),
    "le": Function(lambda first, second: not _less(second, first), "any", "any"),
    "gt": Function(lambda first, second: _less(second, first), "any", "any"),
    "ge": Function(lambda first, second: not _less(first, second), "any", "any"),
    "json": Function(to_json, "any"),
    "join": Function(_joined, "[]string", "string"),
    "split": Function(
        lambda value, separator: value.split(separator) if separator else [*value],
        "string",
        "string",
    ),
    "lower": Function(str.lower, "string"),
    "upper": Function(str.upper, "string"),
    "title": Function(_title, "string"),
    "pad": Function(_pad, "string", "int", "int"),
    "truncate": Function(_truncate, "string", "int"),
}
