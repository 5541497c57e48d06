"""What clients of the registry write into names, ranges and scopes: an answer or a refusal, nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scow.image.oci.reference import Reference
from scow.image.registry_server.auth.tokens import parse_scopes
from scow.image.registry_server.http.errors import Refusal
from scow.image.registry_server.http.files import parse_range
from scow.image.registry_server.names import Naming

NAMING = Naming("node.example:5000")
_TEXT = st.text(alphabet="abz09./:_-@[]AÄ \x00", max_size=40)


@given(_TEXT, st.sampled_from(["", "docker.io", "localhost:5000", "[::1]:1"]) | _TEXT)
def test_names(name: str, namespace: str) -> None:
    """What is taken is a reference's repository, and its name leads back to it."""
    try:
        repository = NAMING.repository(name, namespace)
    except Refusal as refusal:
        assert refusal.code == "NAME_INVALID"
        return
    assert Reference.parse(f"{repository}:tag").repository == repository
    back = NAMING.name(repository)
    assert not back or NAMING.repository(back) == repository


@given(
    st.from_regex(r"(bytes|lines)?=?[0-9]{0,20}-[0-9]{0,20}(,[0-9]+-)?", fullmatch=True)
    | st.text(max_size=30),
    st.integers(0, 1 << 40),
)
def test_ranges(text: str, size: int) -> None:
    try:
        span = parse_range(text, size)
    except Refusal as refusal:
        assert refusal.status == 416
        return
    assert span is None or 0 <= span.start < span.end <= size


@given(st.lists(st.builds("{}:{}:{}".format, _TEXT, _TEXT, _TEXT) | _TEXT, max_size=5))
def test_scopes(texts: list[str]) -> None:
    try:
        found = parse_scopes(texts, NAMING.scoped)
    except Refusal:
        return
    for repository, actions in found.items():
        assert Reference.parse(f"{repository}:tag").repository == repository
        assert actions <= {"pull", "push", "delete"}


def test_a_digit_of_another_script_is_none() -> None:
    assert parse_range("bytes=٣-٤", 10) is None
    with pytest.raises(Refusal):
        parse_range("bytes=20-", 10)
