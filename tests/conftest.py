"""What holds for every test."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Have processes of tests end by an interrupt, also where the tests were started in the background.

    A shell without job control has what it starts there ignore it, and so would all that the tests start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
