"""What templates are applied to, and how Go would print it, compare it and write it as JSON.

Plain dictionaries stand for Go's map[string]any: a missing key is an error. The classes below carry what
a typed Go value would know beyond its JSON.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any


class Missing:
    """The value of a key that a typed map does not have."""

    def __bool__(self) -> bool:
        return False


class Nil:
    """A nil pointer: prints as `<nil>`, where a nil of unknown type prints as `<no value>`."""

    def __bool__(self) -> bool:
        return False


MISSING = Missing()
NIL = Nil()


class Struct(dict[str, "Any"]):
    """A Go struct: prints as `{a b}`, and keeps the order of its fields in JSON."""


class Row(Struct):
    """One line of a list: fields, and methods (callables) of one text, `{{.Label "key"}}`; JSON has it by key."""


class Map(dict[str, "Any"]):
    """A Go map with typed values: `index` of a missing key gives the type's zero value.

    Args:
        items: Its content.
        zero: The zero value.
    """

    def __init__(self, items: Any = (), zero: object = "") -> None:
        super().__init__(items)
        self.zero = zero


class NilMap(Map):
    """An empty Go map that was never made: null in JSON."""


class NilList(list["Any"]):
    """An empty Go slice that was never made: null in JSON."""


def truth(value: object) -> bool:
    """Return what `if` makes of a value; structs are always true."""
    return True if isinstance(value, Struct) else bool(value)


def type_name(value: object) -> str:
    """Return the name of a value's Go type, for messages."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, list):
        strings = value and all(isinstance(item, str) for item in value)
        return "[]string" if strings else "[]interface {}"
    if isinstance(value, dict):
        return "map[string]interface {}"
    names = {int: "int", float: "float64", str: "string"}
    return names.get(type(value), "nil")


def pairs(value: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Return what `range` and printing see of a map: its items by key."""
    return iter(sorted(value.items()))


def members(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return a struct's fields in their order, others' items by key; methods are left out."""
    is_struct = isinstance(value, Struct) and not isinstance(value, Row)
    items = value.items() if is_struct else sorted(value.items())
    return [(key, item) for key, item in items if not callable(item)]


def float_text(value: float) -> str:
    """Return a float as Go's %v: the shortest digits that give it back, %e for exponents below -4 and from 6 on."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    short = next(text for text in (f"{value:.{n}e}" for n in range(18)) if float(text) == value)
    mantissa, _, exponent = short.partition("e")
    power = int(exponent)
    if -4 <= power < 6:
        digits = len(mantissa.replace("-", "").replace(".", ""))
        return f"{value:.{max(0, digits - 1 - power)}f}"
    return short


def text(value: object, *, names: bool = False) -> str:
    """Return a value as Go's %v prints it, or %+v with `names`."""
    if value is None or value is NIL:
        return "<nil>"
    if value is MISSING:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, list):
        return "[" + " ".join(text(item, names=names) for item in value) + "]"
    if isinstance(value, Struct):
        shown = members(value)
        each = [f"{key}:{text(i, names=names)}" if names else text(i) for key, i in shown]
        return "{" + " ".join(each) + "}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{k}:{text(v, names=names)}" for k, v in pairs(value)) + "]"
    return str(value)


def to_json(value: object, indent: int | None = None) -> str:
    """Return JSON as Docker writes it: nothing escaped for HTML, maps by key, structs in their order."""
    import json

    separators = (",", ": ") if indent else (",", ":")
    written = json.dumps(plain(value), ensure_ascii=False, indent=indent, separators=separators)
    # Go escapes these two line ends everywhere; lone surrogates stand for bytes that are no UTF-8.
    written = written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return written.encode("utf-8", "replace").decode() if not written.isascii() else written


def plain(value: object) -> object:
    """Return a value of the types that the json module knows."""
    if isinstance(value, NilList | NilMap) and not value:
        return None
    if value is NIL or value is MISSING:
        return None
    if isinstance(value, dict):
        return {key: plain(item) for key, item in members(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return int(value)
    return value
