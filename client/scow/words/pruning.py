"""Which containers a prune removes."""

from __future__ import annotations

from scow.contract.errors import InvalidFilter
from scow.words.shapes.common import nanoseconds
from scow.words.times import parse_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from scow.api.container.v1.container_pb2 import Container


def pruned(filters: Mapping[str, Iterable[str]]) -> Callable[[Container], bool]:
    """Return what tells whether a container that does not run meets the filters "until", "label" and "label!".

    Raises:
        InvalidFilter: An unknown key, or a time of another form.
    """
    bounds, wanted, unwanted = [], list(filters.get("label", ())), list(filters.get("label!", ()))
    for key in filters:
        if key not in ("until", "label", "label!"):
            raise InvalidFilter(
                f"unknown filter {key!r}", what="filter", which=key, do="use until, label or label!"
            )
    for value in filters.get("until", ()):
        try:
            bounds.append(parse_time(value))
        except ValueError as error:
            raise InvalidFilter(str(error), what="filter", which="until") from error

    def meets(container: Container) -> bool:
        created = nanoseconds(container, "created_at")
        return (
            all(created < bound for bound in bounds)
            and all(_has(container, label) for label in wanted)
            and not any(_has(container, label) for label in unwanted)
        )

    return meets


def _has(container: Container, label: str) -> bool:
    key, equals, value = label.partition("=")
    labels = container.labels
    return key in labels and (not equals or labels[key] == value)
