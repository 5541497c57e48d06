"""References: what is accepted survives its own text; what is not is refused with its name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scow.contract.errors import InvalidReference
from scow.image.oci.reference import Reference

_PIECES = st.sampled_from(
    ["nginx", "library", "a_b", "a__b", "a--b", "A", "docker.io", "localhost", ":5000", "/", ":", "@", "..", "-",
     "sha256:", "f" * 64, "[::1]", "latest", "ü", " ", "\n", "v1.2-3"]
)  # fmt: skip


@given(st.one_of(st.text(max_size=40), st.lists(_PIECES, max_size=8).map("".join)))
def test_references(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference as error:
        assert error.which == text
        return
    assert Reference.parse(str(reference)) == reference
    for part in (reference.domain, reference.path):
        assert ".." not in part
        assert not part.startswith("/")
