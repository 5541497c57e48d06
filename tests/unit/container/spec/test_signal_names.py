import signal

import pytest

from scow.container.spec import signal_names
from scow.contract.errors import InvalidConfig


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("TERM", signal.SIGTERM),
        ("SIGTERM", signal.SIGTERM),
        ("sigkill", signal.SIGKILL),
        ("9", 9),
        ("64", 64),
        ("IOT", 6),
        ("SIGPOLL", 29),
        ("RTMIN", 34),
        ("SIGRTMIN+3", 37),
        ("RTMAX-1", 63),
        ("rtmax", 64),
    ],
)
def test_names_and_numbers(text: str, number: int) -> None:
    assert signal_names.parse(text) == number


@pytest.mark.parametrize(
    "text", ["", "0", "65", "-1", "NOPE", "RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMIN+x", "SIG", "²"]
)
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        signal_names.parse(text, "stop_signal")
    assert caught.value.which == "stop_signal"
