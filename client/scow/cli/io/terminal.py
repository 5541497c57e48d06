"""The user's terminal: raw mode, its size, and the keys that detach.

termios(3) describes the modes. Nothing here knows of the engine.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

DEFAULT_DETACH_KEYS = "ctrl-p,ctrl-q"
# What follows "ctrl-" besides letters, with the code it sends (ASCII's control characters).
_CONTROL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """Return the bytes of "ctrl-p,ctrl-q" or "a,ctrl-@"; an empty text means the default, as in Docker.

    Raises:
        ValueError: A key that is neither one character nor ctrl- with one.
    """
    keys = bytearray()
    for key in (text or DEFAULT_DETACH_KEYS).split(","):
        if len(key) == 1 and key.isascii():
            keys += key.encode()
            continue
        name = key.removeprefix("ctrl-") if key.startswith("ctrl-") else ""
        if len(name) == 1 and name.isascii() and name.isalpha():
            keys.append(ord(name.lower()) - ord("a") + 1)
        elif name in _CONTROL:
            keys.append(_CONTROL[name])
        else:
            raise ValueError(f"invalid key {key!r}: use a character, or ctrl- and a letter")
    return bytes(keys)


class DetachFilter:
    """Takes the detach keys out of what is typed.

    Args:
        keys: The sequence; empty means that there is none.
    """

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._seen = 0
        self.detached = False

    def feed(self, data: bytes) -> bytes:
        """Return what is to be passed on; sets `detached` when the whole sequence was typed.

        Keys that may begin the sequence are held back until the next one tells.
        """
        if not self._keys:
            return data
        passed = bytearray()
        for byte in data:
            if byte == self._keys[self._seen]:
                self._seen += 1
                if self._seen == len(self._keys):
                    self.detached = True
                    return bytes(passed)
                continue
            passed += self._keys[: self._seen]
            self._seen = 1 if byte == self._keys[0] else 0
            if not self._seen:
                passed.append(byte)
        return bytes(passed)


def window_size(descriptor: int) -> tuple[int, int] | None:
    """Return rows and columns of a terminal, or None where there is none."""
    try:
        columns, rows = os.get_terminal_size(descriptor)
    except OSError:
        return None
    return (rows, columns) if rows and columns else None


class RawMode:
    """Gives each key to the program at once and unchanged, until the context is left.

    Args:
        descriptor: The terminal.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before: list[Any] | None = None

    def __enter__(self) -> RawMode:
        import termios

        self._before = termios.tcgetattr(self._descriptor)
        mode = [*self._before[:6], list(self._before[6])]
        # cfmakeraw(3).
        mode[0] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        mode[1] &= ~termios.OPOST
        mode[2] = (mode[2] & ~(termios.CSIZE | termios.PARENB)) | termios.CS8
        mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
        mode[6][termios.VMIN] = 1
        mode[6][termios.VTIME] = 0
        self._set(termios.TCSADRAIN, mode)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import termios

        if self._before is not None:
            before, self._before = self._before, None
            try:
                # Not TCSADRAIN: output that was stopped by ^S would hold it up for ever.
                self._set(termios.TCSANOW, before)
            except termios.error:  # the terminal is gone, and with it what there was to restore
                return

    def _set(self, when: int, mode: list[Any]) -> None:
        """Set the mode; a process in the background is stopped there, and goes on with it when it is continued."""
        import termios

        while True:
            try:
                return termios.tcsetattr(self._descriptor, when, mode)
            except termios.error as error:  # no OSError, so Python does not repeat the call itself
                if error.args[0] != errno.EINTR:
                    raise
