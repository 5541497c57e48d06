"""The trace and the deadline of the RPC under way, handed on with every call to another service.

`traceparent` is W3C Trace Context: version, trace id, parent id, flags.
"""

from __future__ import annotations

import os
import time
from contextvars import ContextVar

current_traceparent: ContextVar[str] = ContextVar("current_traceparent", default="")
# On the monotonic clock, seconds; None means no deadline.
current_deadline: ContextVar[float | None] = ContextVar("current_deadline", default=None)


def new_traceparent() -> str:
    """Return a traceparent for a new trace."""
    return f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"


def remaining() -> float | None:
    """Return the seconds until the deadline of the RPC under way, or None."""
    deadline = current_deadline.get()
    return None if deadline is None else max(0.0, deadline - time.monotonic())
