"""Figures of the registry, beside those of the RPCs."""

from __future__ import annotations

from collections.abc import Callable


def make_observe() -> Callable[[str, int, float], None]:
    """Return the function that counts a request: method, status (0: its client went away), seconds."""
    # Imported here: a service without metrics does not pay for it.
    from prometheus_client import Counter, Histogram

    requests = Counter("scow_registry_requests", "Requests that ended.", ["method", "status"])
    seconds = Histogram("scow_registry_request_seconds", "How long requests took.", ["method"])

    def observe(method: str, status: int, duration: float) -> None:
        requests.labels(method, str(status)).inc()
        seconds.labels(method).observe(duration)

    return observe
