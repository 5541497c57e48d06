"""Pieces that are made ahead of who takes them, in a thread.

Stages of work that spend their time outside of the interpreter's lock, put one behind the other, share the processors.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator

# Pieces that may wait. A piece has up to a megabyte: more of them hold more memory, and nothing gets faster.
_WAITING = 3


class Ahead:
    """An iterator over what another one gives.

    Args:
        pieces: Read by a thread of its own. What it raises is raised here.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._closed = False
        self._queue: queue.Queue[bytes | BaseException] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._produce, args=(pieces,), daemon=True)
        self._thread.start()

    def _produce(self, pieces: Iterator[bytes]) -> None:
        end: BaseException = StopIteration()
        try:
            for piece in pieces:
                if self._closed:
                    return
                self._queue.put(piece)
        except BaseException as error:  # noqa: BLE001  raised again in the reader's thread
            end = error
        self._queue.put(end)

    def __iter__(self) -> Iterator[bytes]:
        """Return itself."""
        return self

    def __next__(self) -> bytes:
        """Return the next piece; at the end, and after an error, the same is raised again and again."""
        item = self._queue.get()
        if isinstance(item, BaseException):
            self._queue.put(item)
            raise item
        return item

    def close(self) -> None:
        """End the thread; it must not be waiting for something else than its reader."""
        self._closed = True
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=0.01)
