"""Text on its way to a terminal: control characters are shown, not obeyed.

What scow prints was often written by strangers: the arguments of a container's command, labels, the history of an
image, what a registry says, names in error messages. Sent to a terminal as they are, such texts could move the cursor,
hide other lines, set the window's title, or make some terminals type. So standard output and standard error of the
command line are replaced by `TerminalText` where they are terminals; no verb has to think of it. Files and pipes get
every character unchanged, for programs that read them.

Ends of lines and tabs belong to texts of many lines, and to scow's own. In what is one line by its nature (a message, a
row of a table) they would let a stranger write further lines or cells, so `one_line` shows them too.

Not affected is what is written as bytes: output of containers, `logs` and archives.
"""

from __future__ import annotations

import io
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_KEPT = "\t\n"
# Marks that change the direction of text (Unicode, UAX #9), so that what is read is not what is there; and two
# characters that some terminals take for the end of a line.
_MARKS = "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _shown(code: int) -> str:
    # As in JSON, which stays JSON then; it has no form for those below 0x20 that were not written so before.
    return f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}"


# C0, DEL and C1 (ECMA-48): C1 has one-character forms of escape sequences, 0x9b for ESC [.
_TABLE = {
    code: _shown(code)
    for code in (*range(0x20), *range(0x7F, 0xA0), *map(ord, _MARKS))
    if chr(code) not in _KEPT
}


def visible(text: str) -> str:
    r"""Return a text whose control characters are shown as "\x1b" or "\u009b"; tabs and ends of lines stay."""
    return text if text.isprintable() else text.translate(_TABLE)


# In what is one line.
_LINE_TABLE = _TABLE | {ord(char): repr(char)[1:-1] for char in "\t\n\r"}


def one_line(text: str, stream: TextIO | None) -> str:
    r"""Return a text for a stream; where that is a terminal, ends of lines and tabs are shown as "\n" and "\t"."""
    if text.isprintable() or not isinstance(stream, TerminalText):
        return text
    return text.translate(_LINE_TABLE)


class TerminalText(io.TextIOWrapper):
    """A text stream to a terminal.

    Args:
        stream: The stream that it replaces, and keeps: its end would close the descriptor.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        super().__init__(
            stream.buffer, encoding=stream.encoding, errors="backslashreplace", line_buffering=True
        )
        self._replaced = stream

    def write(self, text: str) -> int:
        """Write a text with its control characters shown."""
        super().write(visible(text))
        return len(text)

    def control(self, text: str) -> None:
        """Write a text as it is. Only for sequences of scow's own, and texts that went through `visible`."""
        super().write(text)


def control(stream: TextIO, text: str) -> None:
    """Write sequences of scow's own to a stream, whether it is protected or not."""
    if isinstance(stream, TerminalText):
        stream.control(text)
    else:
        stream.write(text)


def protect() -> None:
    """Replace standard output and standard error by streams that show control characters, where they are terminals."""
    sys.stdout = _protected(sys.stdout)
    sys.stderr = _protected(sys.stderr)


def _protected(stream: TextIO) -> TextIO:
    # A stream that was closed before the start is None (python(1)).
    if stream is None or isinstance(stream, TerminalText) or not stream.isatty():
        return stream
    assert isinstance(stream, io.TextIOWrapper)
    stream.flush()
    return TerminalText(stream)
