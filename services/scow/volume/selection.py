"""Which volumes filters choose, as Docker's do: values of one key are alternatives, but labels must all be met."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from scow.api.types.v1.types_pb2 import Filter
from scow.api.volume.v1 import volume_pb2 as pb
from scow.contract.errors import InvalidFilter
from scow.core import filters as filter_rules

LIST = frozenset({"name", "label", "driver", "dangling"})
PRUNE = frozenset({"name", "label", "label!", "all"})


# Without these an expression is met by what has its text in it.
_SPECIAL = frozenset("\\.+*?()|[]{}^$")

_Test = Callable[[str], object]


@dataclass(frozen=True)
class Condition:
    """What volumes must meet."""

    wanted: Mapping[str, Sequence[str]]
    names: Sequence[_Test] = ()

    def met(self, volume: pb.Volume) -> bool:
        """Tell whether a volume meets all."""
        return all(self._is_met(key, values, volume) for key, values in self.wanted.items())

    def _is_met(self, key: str, values: Sequence[str], volume: pb.Volume) -> bool:
        if key == "name":
            return any(test(volume.name) for test in self.names)
        if key == "driver":
            return volume.driver in values
        if key == "label":
            return filter_rules.match_labels(volume.labels, values)
        if key == "label!":
            return not any(filter_rules.match_labels(volume.labels, [value]) for value in values)
        if key == "dangling":
            return filter_rules.boolean(key, values) != bool(volume.owners)
        return True

    def flag(self, key: str) -> bool:
        """Return a filter that is true or false; false when it is not there."""
        return key in self.wanted and filter_rules.boolean(key, self.wanted[key])


def parse(filters: Iterable[Filter], allowed: Collection[str] = LIST) -> Condition:
    """Return what filters ask for.

    Raises:
        InvalidFilter: A key that is not known, or a value that its key does not take.
    """
    wanted = filter_rules.parse(filters, allowed)
    condition = Condition(wanted, [_name_test(value) for value in wanted.get("name", ())])
    for key in ("dangling", "all"):
        condition.flag(key)
    return condition


def _name_test(value: str) -> _Test:
    if not _SPECIAL.intersection(value):
        return lambda name: value in name
    # Not at the top: the service needs the library for this alone.
    from scow.core.patterns import compile_pattern

    try:
        return compile_pattern(value).search
    except ValueError as error:
        raise InvalidFilter(
            f"filter 'name' has the value {value!r}",
            what="filter",
            which="name",
            do=f"use a regular expression ({error})",
        ) from error
