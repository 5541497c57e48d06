"""What sets of rules have been told of names, and until when: so that the kernel is asked for what is new alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from scow.network.ipam.addresses import Address

# Of one owner. Beyond them all is forgotten, and told again.
_MOST = 8192


class Learned:
    """Remembers it, by owner.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, dict[tuple[int, Address], float]] = {}

    def new(
        self, owner: str, number: int, addresses: Iterable[Address], seconds: int
    ) -> list[Address]:
        """Return the addresses that a rule's set has for less than half of some seconds.

        Args:
            owner: Of the policy.
            number: Of the rule.
            addresses: What its name means.
            seconds: For which they are to be told.
        """
        now = self._clock()
        known = self._until.get(owner, {})
        return [
            address
            for address in dict.fromkeys(addresses)
            if known.get((number, address), now) - now <= seconds / 2
        ]

    def told(self, owner: str, number: int, addresses: Iterable[Address], seconds: int) -> None:
        """Remember that a rule's set has been told of addresses: not before, or others would not wait for it."""
        until = self._clock() + seconds
        known = self._until.setdefault(owner, {})
        found = {(number, address): until for address in addresses}
        if len(known) + len(found) > _MOST:
            known.clear()
        known.update(found)

    def forget(self, owner: str) -> None:
        """Forget what was told: the owner's sets are new, or gone."""
        self._until.pop(owner, None)
