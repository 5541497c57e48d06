"""How far a copy is: a line that is written anew on a terminal, and one at the end."""

from __future__ import annotations

import sys
import time

from scow.words.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

# Between two looks at what has gone.
_SECONDS = 0.2
_CLEAR = "\r\x1b[K"


class CopyProgress:
    """The progress of one copy.

    Args:
        title: What is done.
        quiet: Print nothing.
    """

    def __init__(self, title: str, *, quiet: bool) -> None:
        self._title = title
        self._quiet = quiet
        self._size = 0
        self._shown = 0.0

    def __enter__(self) -> Self:
        self._draw("Preparing to copy...")
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._control(_CLEAR)

    def add(self, size: int) -> None:
        """So many bytes more have gone."""
        self._size += size
        if time.monotonic() - self._shown >= _SECONDS:
            self._draw(f"{self._title} - {human_size(self._size)}")

    def done(self, place: str) -> None:
        """All is there."""
        if self._quiet:
            return
        if self._shown:
            self._control(_CLEAR)
            self._shown = 0.0
        print(f"Successfully copied {human_size(self._size)} to {place}", file=sys.stderr)

    def _draw(self, text: str) -> None:
        if not self._quiet and sys.stderr.isatty():
            self._control(f"{_CLEAR}{text}")
            self._shown = time.monotonic()

    def _control(self, text: str) -> None:
        from scow.cli.io.terminal_text import control

        control(sys.stderr, text)
        sys.stderr.flush()
