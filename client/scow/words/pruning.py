"""Which containers a prune removes."""

from __future__ import annotations

from scow.contract.errors import InvalidFilter
from scow.words.shapes.common import nanoseconds
from scow.words.times import parse_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from scow.api.container.v1.container_pb2 import Container


def is_pruned(container: Container, filters: Mapping[str, Iterable[str]]) -> bool:
    """Tell whether a container that does not run meets the filters "until", "label" and "label!".

    Raises:
        InvalidFilter: An unknown key, or a time of another form.
    """

    def has(label: str) -> bool:
        key, equals, value = label.partition("=")
        labels = container.labels
        return key in labels and (not equals or labels[key] == value)

    for key, values in filters.items():
        if key not in ("until", "label", "label!"):
            raise InvalidFilter(
                f"unknown filter {key!r}", what="filter", which=key, do="use until, label or label!"
            )
        for value in values:
            if key != "until":
                if has(value) != (key == "label"):
                    return False
                continue
            try:
                moment = parse_time(value)
            except ValueError as error:
                raise InvalidFilter(str(error), what="filter", which=key) from error
            if nanoseconds(container, "created_at") >= moment:
                return False
    return True
