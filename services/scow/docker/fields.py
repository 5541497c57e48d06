"""The JSON that clients send.

As in Docker's daemon, which is written in Go: keys are matched whatever their case, unknown ones are ignored, null is
the same as nothing, and a value of another type is an error that names it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp

from scow.contract.errors import InvalidArgument
from scow.words.times import parse_time

# Docker's own limit for most bodies.
_BODY_MAX = 16 << 20
_KINDS = {
    bool: "bool",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class Fields:
    """An object of JSON.

    Args:
        found: What was parsed.
        path: Where it is, for messages: "HostConfig".
    """

    def __init__(self, found: Mapping[str, Any], path: str = "") -> None:
        self._found = {key.lower(): value for key, value in found.items()}
        self._path = path

    def __contains__(self, key: str) -> bool:
        return self._found.get(key.lower()) is not None

    def text(self, key: str) -> str:
        """Return a string, empty where there is none."""
        return str(self._typed(key, str, ""))

    def flag(self, key: str, default: bool = False) -> bool:
        """Return a boolean."""
        return bool(self._typed(key, bool, default))

    def number(self, key: str, default: int = 0) -> int:
        """Return an integer."""
        value = self._typed(key, int, default)
        if isinstance(value, bool):
            raise self._wrong(key, value, "int64")
        return int(value)

    def texts(self, key: str) -> list[str]:
        """Return a list of strings."""
        return [self._checked(key, item, str) for item in self._typed(key, list, [])]

    def words(self, key: str) -> list[str]:
        """Return a list of strings that may also be a single one, as commands are."""
        value = self._found.get(key.lower())
        return [value] if isinstance(value, str) else self.texts(key)

    def lists(self, key: str) -> list[list[str]]:
        """Return a list of lists of strings."""
        rows = [self._checked(key, row, list) for row in self._typed(key, list, [])]
        return [[self._checked(key, item, str) for item in row] for row in rows]

    def mapping(self, key: str) -> dict[str, str]:
        """Return strings by string."""
        found = self._typed(key, dict, {})
        return {name: self._checked(key, value, str) for name, value in found.items()}

    def keys(self, key: str) -> list[str]:
        """Return the keys of an object, with which Docker writes sets."""
        return list(self._typed(key, dict, {}))

    def part(self, key: str) -> Fields:
        """Return an object, an empty one where there is none."""
        return Fields(self._typed(key, dict, {}), self._at(key))

    def objects(self, key: str) -> list[Fields]:
        """Return a list of objects."""
        found = self._typed(key, list, [])
        return [Fields(self._checked(key, each, dict), self._at(key)) for each in found]

    def objects_by_name(self, key: str) -> dict[str, Fields]:
        """Return objects by string; null is an empty one."""
        found = self._typed(key, dict, {})
        return {
            name: Fields(self._checked(key, value or {}, dict), self._at(key))
            for name, value in found.items()
        }

    def lists_by_name(self, key: str) -> dict[str, list[Fields]]:
        """Return lists of objects by string; null is an empty one."""
        found: dict[str, list[Fields]] = {}
        for name, value in self._typed(key, dict, {}).items():
            items = self._checked(key, value or [], list)
            found[name] = [Fields(self._checked(key, each, dict), self._at(key)) for each in items]
        return found

    def _at(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def _typed(self, key: str, kind: type, default: Any) -> Any:
        value = self._found.get(key.lower())
        return default if value is None else self._checked(key, value, kind)

    def _checked(self, key: str, value: Any, kind: type) -> Any:
        if not isinstance(value, kind):
            raise self._wrong(key, value, _KINDS[kind])
        return value

    def _wrong(self, key: str, value: object, wanted: str) -> InvalidArgument:
        kind = _KINDS.get(type(value), "null")
        return InvalidArgument(
            f"json: cannot unmarshal {kind} into Go struct field {self._at(key)} of type {wanted}",
            what="field",
            which=self._at(key),
        )


async def body_of(request: web.Request, *, limit: int = _BODY_MAX) -> Fields:
    """Return the object that is a request's body; an empty one where there is no body.

    Raises:
        InvalidArgument: The body is no JSON, no object, or larger than `limit` bytes.
    """
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > limit:
            raise InvalidArgument(
                f"the request's body is larger than {limit} bytes", what="body", do="send less"
            )
    if not data.strip():
        return Fields({})
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"invalid JSON: {error}", what="body") from None
    if found is None:
        return Fields({})
    if not isinstance(found, dict):
        kind = _KINDS.get(type(found), "null")
        raise InvalidArgument(f"json: cannot unmarshal {kind} into an object", what="body")
    return Fields(found)


def query_flag(request: web.Request, key: str, default: bool = False) -> bool:
    """Return a boolean of the query string, as Docker reads it."""
    value = request.query.get(key)
    if value is None:
        return default
    return value.strip().lower() not in ("", "0", "no", "false", "none")


def query_number(request: web.Request, key: str, default: int = 0) -> int:
    """Return an integer of the query string.

    Raises:
        InvalidArgument: It is none.
    """
    value = request.query.get(key, "")
    if not value:
        return default
    try:
        return int(value)
    except ValueError:
        raise InvalidArgument(f"invalid number {value!r}", what="parameter", which=key) from None


def query_time(request: web.Request, key: str) -> Timestamp | None:
    """Return a time of the query string: seconds since 1970 with decimals, or a date; None where there is none.

    Raises:
        InvalidArgument: It is of another form.
    """
    text = request.query.get(key, "")
    if text in ("", "0"):
        return None
    try:
        nanoseconds = parse_time(text)
    except ValueError as error:
        raise InvalidArgument(str(error), what="parameter", which=key) from None
    found = Timestamp()
    found.FromNanoseconds(nanoseconds)
    return found


def query_filters(request: web.Request) -> dict[str, list[str]]:
    """Return the filters of a query string: {"name": ["a"]}, or {"name": {"a": true}} of older clients.

    Raises:
        InvalidArgument: They are not of these forms.
    """
    text = request.query.get("filters", "")
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidArgument(f"invalid filters: {text[:200]!r}", what="filters")
    filters: dict[str, list[str]] = {}
    for key, values in found.items():
        chosen = [k for k, on in values.items() if on] if isinstance(values, dict) else values
        if not isinstance(chosen, list) or not all(isinstance(each, str) for each in chosen):
            raise InvalidArgument(f"invalid filter {key!r}", what="filters", which=key)
        if chosen:
            filters[key] = chosen
    return filters
