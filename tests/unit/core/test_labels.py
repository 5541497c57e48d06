import pytest

from scow.contract.errors import LimitExceeded
from scow.core import labels


def test_labels_have_a_bound_together() -> None:
    labels.check("labels", {"a": "x" * 1_000_000})
    with pytest.raises(LimitExceeded):
        labels.check("labels", {"a": "x" * 600_000, "b": "x" * 600_000})
    with pytest.raises(LimitExceeded):
        labels.check("labels", {str(number): "" for number in range(200_000)})


def test_an_event_repeats_the_short_ones() -> None:
    given = {"long": "x" * 1_000_000, "a": "1", "middle": "y" * 4000}
    assert labels.for_event(given) == {"a": "1", "middle": "y" * 4000}
