"""Uploads: a file, sent in pieces behind a request that opens it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO

from google.protobuf.message import Message

from scow.client._sio import Readable, read
from scow.client._sync.targets import Place

# Bytes of one message.
_CHUNK = 1 << 20


class Upload:
    """The requests of an upload: one that opens it, then a file in pieces.

    Args:
        first: The first request.
        file: The file, or None.
        wrap: Makes a request of a piece.

    Attributes:
        failure: Why the file could not be read: the transport would turn it into a status without a reason.
    """

    def __init__(
        self, first: Message, file: Readable | None, wrap: Callable[[bytes], Message]
    ) -> None:
        self._first = first
        self._file = file
        self._wrap = wrap
        self.failure: OSError | None = None

    def requests(self) -> Iterator[Message]:
        """Give the requests."""
        yield self._first
        try:
            while self._file is not None and (chunk := read(self._file, _CHUNK)):
                yield self._wrap(chunk)
        except OSError as error:
            self.failure = error
            raise


def opened_file(source: Place) -> contextlib.AbstractContextManager[BinaryIO]:
    """Open a path; a file that is open already stays so."""
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb")
    return contextlib.nullcontext(source)
