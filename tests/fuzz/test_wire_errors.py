"""Whatever bytes come as an error's details: an error with its code, never another exception."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scow.contract.errors import ImageNotFound, ScowError, from_wire


@given(st.integers(min_value=0, max_value=40), st.text(max_size=40), st.binary(max_size=200))
def test_any_details(code: int, message: str, details: bytes) -> None:
    error = from_wire(code, message, details)
    assert isinstance(error, ScowError)
    assert error.message == message


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=255))
def test_damaged_details(position: int, value: int) -> None:
    details = bytearray(ImageNotFound("no image x", what="image", which="x").to_details())
    details[position % len(details)] = value
    assert isinstance(from_wire(5, "no image x", bytes(details)), ScowError)
