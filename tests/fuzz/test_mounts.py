"""What people write for mounts, changed at random."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz import targets
from tests.fuzz.seeds import MOUNTS
from tests.fuzz.test_images import bounded, spliced


@bounded
@given(spliced(MOUNTS))
def test_parts_of_texts(data: bytes) -> None:
    targets.mounts(data)


@bounded
@given(st.binary())
def test_bytes(data: bytes) -> None:
    targets.mounts(data)
