"""Metrics of a service in Prometheus' exposition format, over HTTP where `server.metrics` says."""

from __future__ import annotations

from collections.abc import Callable

from scow.contract.errors import InvalidConfig
from scow.core.config import PARTS


def histogram(address: str, name: str, about: str, label: str) -> Callable[[str, float], None]:
    """Return the function that tells a histogram a label's value and seconds.

    Args:
        address: As `start` has it; empty means that nobody reads metrics.
        name: Of the metric.
        about: What it measures.
        label: Name of its label.
    """
    if not address:
        return lambda value, seconds: None
    from prometheus_client import Histogram

    found = Histogram(name, about, [label])
    return lambda value, seconds: found.labels(value).observe(seconds)


def start(address: str, service: str) -> Callable[[str, str, float], None]:
    """Serve metrics from a thread and return the function that counts an RPC.

    Args:
        address: HOST:PORT of the first service.
        service: This service; `PARTS` has what is added to the port for it.

    Raises:
        InvalidConfig: The address is invalid.
    """
    # Imported here: a service without metrics does not pay for it.
    from prometheus_client import Counter, Histogram, start_http_server

    host, _, port = address.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise InvalidConfig(
            f"server.metrics is {address!r}",
            what="configuration key",
            which="server.metrics",
            do="give HOST:PORT",
        )
    start_http_server(int(port) + PARTS[service].metrics, host.strip("[]"))
    calls = Counter("scow_calls", "RPCs that ended.", ["service", "method", "code"])
    seconds = Histogram("scow_call_seconds", "How long RPCs took.", ["service", "method"])

    def observe(method: str, code: str, duration: float) -> None:
        calls.labels(service, method, code).inc()
        seconds.labels(service, method).observe(duration)

    return observe
