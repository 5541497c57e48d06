import pytest

from scow.api.types.v1.types_pb2 import Filter
from scow.contract.errors import InvalidFilter
from scow.core import filters


def test_values_of_a_key_come_together() -> None:
    given = [Filter(key="label", values=["a"]), Filter(key="label", values=["b=1"])]
    assert filters.parse(given, {"label"}) == {"label": ["a", "b=1"]}


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(InvalidFilter) as caught:
        filters.parse([Filter(key="lable")], {"label", "name"})
    assert "did you mean 'label'" in caught.value.metadata["do"]


def test_labels_must_all_match() -> None:
    labels = {"a": "1", "b": ""}
    assert filters.match_labels(labels, ["a", "b"])
    assert filters.match_labels(labels, ["a=1", "b="])
    assert not filters.match_labels(labels, ["a=2"])
    assert not filters.match_labels(labels, ["a", "c"])


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("false", False)])
def test_boolean(value: str, expected: bool) -> None:
    assert filters.boolean("dangling", [value]) is expected


def test_no_boolean() -> None:
    with pytest.raises(InvalidFilter):
        filters.boolean("dangling", ["perhaps"])


@pytest.mark.parametrize("values", [["x"] * 1001, ["x" * (1 << 20), "y"]])
def test_more_than_a_list_can_compare_is_refused(values: list[str]) -> None:
    with pytest.raises(InvalidFilter, match=f"{len(values)} values"):
        filters.parse([Filter(key="label", values=values)], {"label"})


def test_nothing_near_a_huge_key_is_looked_for() -> None:
    with pytest.raises(InvalidFilter) as caught:
        filters.parse([Filter(key="label" * 1_000_000)], {"label", "name"})
    assert caught.value.metadata["do"] == "use one of label, name"
