"""Small things about the network that tests need."""

from __future__ import annotations

import socket
import urllib.request


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def http_get(url: str, seconds: float = 5.0) -> bytes:
    """Return the body of an answer with status 200; proxies are not used."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=seconds) as answer:
        body: bytes = answer.read()
        return body
