"""Filters of lists: parsing with clear errors, and the rules that all lists share."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import InvalidFilter


def parse(filters: Iterable[Filter], allowed: Collection[str]) -> dict[str, list[str]]:
    """Return the values by key; values of a repeated key are put together.

    Raises:
        InvalidFilter: A key that this list does not take.
    """
    wanted: dict[str, list[str]] = {}
    for condition in filters:
        if condition.key not in allowed:
            near = difflib.get_close_matches(condition.key, sorted(allowed), n=1)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(sorted(allowed))}"
            )
            raise InvalidFilter(
                f"unknown filter {condition.key!r}", what="filter", which=condition.key, do=hint
            )
        wanted.setdefault(condition.key, []).extend(condition.values)
    return wanted


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
