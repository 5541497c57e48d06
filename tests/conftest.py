"""What holds for every test."""

from __future__ import annotations

import os
import signal

# gRPC starts its threads again in each child that this process forks (as subprocess does for a preexec_fn); where the
# child then closes their descriptors, it is aborted ("epoll_wait error: Bad file descriptor").
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


def pytest_configure() -> None:
    """Have processes of tests end by an interrupt, also where the tests were started in the background.

    A shell without job control has what it starts there ignore it, and so would all that the tests start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
