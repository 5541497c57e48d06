import contextlib

import pytest

from scow.contract.channel import SERVICE
from scow.contract.errors import TooManyCalls
from scow.core.admission import Admission, client_of


def _enter(admission: Admission, stack: contextlib.ExitStack, client: str, count: int) -> int:
    """Enter calls; return how many were admitted."""
    for number in range(count):
        try:
            stack.enter_context(admission.entered(client))
        except TooManyCalls:
            return number
    return count


def test_each_client_has_its_share_and_others_find_room() -> None:
    admission = Admission(total=400, each=200)
    with contextlib.ExitStack() as stack:
        assert _enter(admission, stack, "a", 1000) == 200
        assert _enter(admission, stack, "b", 1000) == 100
        assert _enter(admission, stack, "c", 1000) == 32
        assert _enter(admission, stack, "d", 1000) == 32
        assert _enter(admission, stack, f"unix: {SERVICE}/1", 1000) == 36
        with pytest.raises(TooManyCalls, match="400 calls"):
            _enter(admission, stack, "e", 1)
            stack.enter_context(admission.entered("e"))
    with contextlib.ExitStack() as stack:
        assert _enter(admission, stack, "a", 1000) == 200


def test_a_client_is_told_by_address_and_agent() -> None:
    assert client_of("unix:", {"user-agent": "x/1"}) != client_of("unix:", {"user-agent": "x/2"})
    assert client_of("ipv4:1.2.3.4:5", {}) != client_of("ipv4:1.2.3.4:6", {})
    assert len(client_of("unix:", {"user-agent": "x" * 9000})) == 200
