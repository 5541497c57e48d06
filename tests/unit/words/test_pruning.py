"""Which containers a prune removes."""

from __future__ import annotations

import pytest

from scow.api.container.v1.container_pb2 import Container
from scow.contract.errors import InvalidFilter
from scow.words.pruning import pruned


def container(seconds: int = 100, **labels: str) -> Container:
    made = Container(labels=labels)
    made.created_at.FromSeconds(seconds)
    return made


@pytest.mark.parametrize(
    ("filters", "met"),
    [
        ({}, True),
        ({"until": ["101"]}, True),
        ({"until": ["100"]}, False),
        ({"until": ["101", "99"]}, False),
        ({"label": ["a"]}, True),
        ({"label": ["a=1"]}, True),
        ({"label": ["a=2"]}, False),
        ({"label": ["a", "b"]}, False),
        ({"label!": ["a"]}, False),
        ({"label!": ["b", "a=2"]}, True),
    ],
)
def test_filters(filters: dict[str, list[str]], met: bool) -> None:
    assert pruned(filters)(container(a="1")) == met


@pytest.mark.parametrize("filters", [{"name": ["x"]}, {"until": ["yesterday"]}])
def test_what_is_wrong_is_refused_whatever_there_is(filters: dict[str, list[str]]) -> None:
    with pytest.raises(InvalidFilter):
        pruned(filters)
