import pytest

from scow.network.kernel import names


@pytest.mark.parametrize("instance", ["s", "scow", "abcdefgh"])
def test_names_fit_and_tell_their_engine(instance: str) -> None:
    name = names.link(instance, "0123456789abcdef" * 4)
    assert len(name) <= names.MAX_LENGTH
    assert names.is_link_of(instance, name)
    assert len(names.bridge(instance)) <= names.MAX_LENGTH


def test_instances_that_begin_alike_are_kept_apart() -> None:
    assert not names.is_link_of("scow", names.link("scow1", "0" * 64))
    assert not names.is_link_of("scow1", names.link("scow", "0" * 64))
    assert not names.is_link_of("scow", names.bridge("scow"))
    assert not names.is_link_of("scow", "scow-eth0")
