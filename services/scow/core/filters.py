"""Filters of lists: parsing with clear errors, and the rules that all lists share."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import InvalidFilter

# What one list may be asked for: each value is compared with each object.
_VALUES_MAX = 1000
_BYTES_MAX = 1 << 20
# Keys are short; to look for the one that was meant takes time by the square of their length.
_KEY_MAX = 64


def parse(filters: Iterable[Filter], allowed: Collection[str]) -> dict[str, list[str]]:
    """Return the values by key; values of a repeated key are put together.

    Raises:
        InvalidFilter: A key that this list does not take, or too many values.
    """
    wanted: dict[str, list[str]] = {}
    for condition in filters:
        if condition.key not in allowed:
            raise _unknown(condition.key, allowed)
        wanted.setdefault(condition.key, []).extend(condition.values)
    values = [value for found in wanted.values() for value in found]
    if len(values) > _VALUES_MAX or sum(map(len, values)) > _BYTES_MAX:
        raise InvalidFilter(
            f"the filters have {len(values)} values of {sum(map(len, values))} characters",
            what="filter",
            do=f"use at most {_VALUES_MAX} values of {_BYTES_MAX} characters together",
        )
    return wanted


def _unknown(key: str, allowed: Collection[str]) -> InvalidFilter:
    known = sorted(allowed)
    near = difflib.get_close_matches(key, known, n=1) if len(key) <= _KEY_MAX else []
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(known)}"
    return InvalidFilter(f"unknown filter {key!r}", what="filter", which=key, do=hint)


def match_labels(labels: Mapping[str, str], values: Sequence[str]) -> bool:
    """Tell whether all of `KEY` and `KEY=VALUE` are met, as Docker's label filters are."""
    for value in values:
        key, has_value, expected = value.partition("=")
        if key not in labels or (has_value and labels[key] != expected):
            return False
    return True


def boolean(key: str, values: Sequence[str]) -> bool:
    """Return the value of a filter that is true or false.

    Raises:
        InvalidFilter: Any other value.
    """
    value = values[-1].lower() if values else ""
    if value in ("true", "1"):
        return True
    if value in ("false", "0"):
        return False
    raise InvalidFilter(
        f"filter {key!r} has the value {value!r}", what="filter", which=key, do="use true or false"
    )
