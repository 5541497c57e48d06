"""Exposed ports, as images and callers write them: "80", "80/tcp", "8000-8010/udp"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

PROTOCOLS = ("tcp", "udp", "sctp")
LAST = 65535
_TEXT = re.compile(rf"([0-9]{{1,5}})(?:-([0-9]{{1,5}}))?(?:/({'|'.join(PROTOCOLS)}))?")


@dataclass(frozen=True)
class Range:
    """Consecutive ports of one protocol."""

    first: int
    last: int
    protocol: str


def parse(text: str) -> Range | None:
    """Return the ports that a text names, None if it is not of the form or names others than 1 to 65535."""
    match = _TEXT.fullmatch(text)
    if match is None:
        return None
    first, last = int(match[1]), int(match[2] or match[1])
    return Range(first, last, match[3] or "tcp") if 1 <= first <= last <= LAST else None


class PortSet:
    """A set of ports by protocol, in memory that does not grow with the number of ranges."""

    def __init__(self) -> None:
        self._flags = {protocol: bytearray(LAST + 2) for protocol in PROTOCOLS}

    def add(self, ports: Range) -> None:
        """Put ports in."""
        count = ports.last - ports.first + 1
        self._flags[ports.protocol][ports.first : ports.last + 1] = b"\1" * count

    def discard(self, ports: Range) -> None:
        """Take ports out."""
        count = ports.last - ports.first + 1
        self._flags[ports.protocol][ports.first : ports.last + 1] = bytes(count)

    def ranges(self) -> Iterable[Range]:
        """Return what is in it, as few ranges as possible, by protocol and port."""
        for protocol, flags in self._flags.items():
            first = flags.find(1)
            while first >= 0:
                end = flags.find(0, first)
                yield Range(first, end - 1, protocol)
                first = flags.find(1, end)
