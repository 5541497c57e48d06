"""Going on in a container's output after a connection was lost: from the log, up to where the live output takes over.

The log tells of every byte how many came before it (`scow.contract.log_record`), and the shim tells the same of what it
delivers. So each byte is delivered once, whatever is logged meanwhile; where some are missing, that is noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from dataclasses import dataclass

from scow.container.logs.files import Cursor
from scow.contract.log_lines import STREAMS, Records


@dataclass(frozen=True, slots=True)
class Piece:
    """Output of one stream.

    Attributes:
        stream: "stdout" or "stderr".
        data: The bytes.
        missing: Bytes that are missing before it.
    """

    stream: str
    data: bytes
    missing: int = 0


class Replay:
    """What a client has of one run's output, and what it still needs.

    Args:
        run: Which start of the container.
        reached: Bytes of each stream that the client has.
        streams: Those that it wants.
        older: It wants the output of other runs in the log too.
    """

    def __init__(
        self, run: int, reached: Mapping[str, int], streams: Collection[str], *, older: bool = False
    ) -> None:
        self.run = run
        self._older = older
        self.reached = {**dict.fromkeys(STREAMS, 0), **reached}
        self._streams = streams
        # The run and the position of each stream's next record in the log.
        self._places: dict[str, tuple[int, int]] = {}
        self._limits: Mapping[str, int] | None = None

    def limit(self, limits: Mapping[str, int]) -> None:
        """Take from the log only what comes before these positions: the rest is delivered live."""
        self._limits = limits

    async def logged(self, cursor: Cursor) -> AsyncIterator[Piece]:
        """Yield what the log has now."""
        while found := cursor.records():
            for records in found:
                piece = self._logged(records)
                if piece is not None:
                    yield piece
            await asyncio.sleep(0)

    def _logged(self, records: Records) -> Piece | None:
        stream = records.stream
        if records.position is not None and records.run is not None:
            self._places[stream] = (records.run, records.position)
        data = records.data
        if records.notice:
            return None
        run, position = self._places.get(stream, (None, 0))
        if run is not None:
            self._places[stream] = (run, position + len(data))
        if run != self.run:
            wanted = self._older and stream in self._streams
            return Piece(stream, data) if wanted else None
        if self._limits is not None:
            if position >= self._limits[stream]:
                return None
            data = data[: self._limits[stream] - position]
        return self.take(stream, position, data)

    def take(self, stream: str, position: int, data: bytes) -> Piece | None:
        """Return what is new of output at a position; None when nothing is."""
        if stream not in self._streams:
            return None
        known = self.reached[stream]
        new = data[max(0, known - position) :]
        missing = max(0, position - known)
        if not new and not missing:
            return None
        self.reached[stream] = max(known, position + len(data))
        return Piece(stream, new, missing)

    def missing(self, positions: Mapping[str, int]) -> Iterator[Piece]:
        """Yield a piece without data for each stream of which the log did not have all up to a position."""
        for stream, position in positions.items():
            if (piece := self.take(stream, position, b"")) is not None:
                yield piece
