"""How many calls may be under way at once, in all and for each client.

This keeps one program with thousands of forgotten streams from taking the service from all others. It does not stop an
attacker, who can choose any user agent; but whoever may open the socket may do everything anyway.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping

from scow.contract.channel import SERVICE
from scow.contract.errors import TooManyCalls

# When this share of all calls is under way, the rest is for clients with few.
_COMMON = 0.75
_FEW = 32
_NAME_MAX = 200


def client_of(peer: str, metadata: Mapping[str, str | bytes]) -> str:
    """Return what tells a client from others: its address and its user agent.

    On a unix socket all have the same address, and scow's own clients name each connection (`scow.contract.channel`).
    Other programs with the same user agent are counted as one.
    """
    return f"{peer} {metadata.get('user-agent', '')!s}"[:_NAME_MAX]


class Admission:
    """Counts the calls of a server.

    Args:
        total: Calls under way at once.
        each: Of them, those of one client.
    """

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._calls: Counter[str] = Counter()
        self._all = 0

    @contextlib.contextmanager
    def entered(self, client: str) -> Iterator[None]:
        """Count a call for as long as the block takes.

        Raises:
            TooManyCalls: The client, or all together, have too many under way.
        """
        self._check(client)
        self._all += 1
        self._calls[client] += 1
        try:
            yield
        finally:
            self._all -= 1
            self._calls[client] -= 1
            if not self._calls[client]:
                del self._calls[client]

    def _check(self, client: str) -> None:
        own = self._calls.get(client, 0)
        if self._all >= self._total:
            raise TooManyCalls(
                f"the service has {self._all} calls under way",
                what="service",
                do="try again in a moment, or raise server.max_concurrent_calls",
            )
        if f" {SERVICE}/" in client:
            return
        if own >= self._each or (own >= _FEW and self._all >= self._total * _COMMON):
            raise TooManyCalls(
                f"this client has {own} calls under way",
                what="client",
                which=client,
                do="end some, such as streams that nobody reads, or raise server.max_calls_per_client",
            )
