import pytest

from scow.container.model import names
from scow.contract.errors import InvalidName


@pytest.mark.parametrize("name", ["web", "a1", "A_b.c-d", "0x", "x" * 255])
def test_good_names(name: str) -> None:
    names.check(name)


@pytest.mark.parametrize(
    "name", ["", "a", "-ab", "_ab", ".ab", "a/b", "a b", "äb", "x" * 256, "ab\n"]
)
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidName) as caught:
        names.check(name)
    assert caught.value.which == name


def test_made_up_names_are_good_and_free() -> None:
    taken: set[str] = set()
    for _ in range(300):
        name = names.make(taken.__contains__)
        names.check(name)
        assert name not in taken
        taken.add(name)


def test_a_crowded_engine_gets_names_with_numbers() -> None:
    name = names.make(lambda name: name[-1].isalpha())
    assert name[-1].isdigit()
