"""A terminal of a test's own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

_SECONDS = 20.0


class Terminal:
    """A terminal of 24 lines of 80 columns, with a command that runs on it.

    Args:
        arguments: The command.
        env: Its environment; None means this process's.
    """

    def __init__(self, arguments: list[str], env: dict[str, str] | None = None) -> None:
        self._master, slave = pty.openpty()
        self.resize(24, 80)
        self.before = termios.tcgetattr(slave)
        self._slave = slave
        self._seen = b""
        self.process = subprocess.Popen(
            # Its controlling terminal, so that the kernel tells it of a resized window.
            ["setsid", "--ctty", *arguments],
            env=env,
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def resize(self, rows: int, columns: int) -> None:
        """Change the size of the window; whoever reads it is told by SIGWINCH."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, data: bytes) -> None:
        """Type."""
        os.write(self._master, data)

    def wait_for(self, text: bytes) -> None:
        """Read until a text was shown."""
        self.text_before(text)

    def text_before(self, text: bytes) -> bytes:
        """Read until a text was shown; return what came before it."""
        deadline = time.monotonic() + _SECONDS
        while text not in self._seen:
            ready, _, _ = select.select([self._master], [], [], deadline - time.monotonic())
            assert ready, f"waited in vain for {text!r}; saw {self._seen!r}"
            self._seen += os.read(self._master, 4096)
        before, _, self._seen = self._seen.partition(text)
        return before

    def ended(self) -> int:
        """Wait for the end; check that the terminal is as it was; return the exit code."""
        code = self.process.wait(_SECONDS)
        assert termios.tcgetattr(self._slave) == self.before
        return code

    def is_raw(self) -> bool:
        """Tell whether each key goes to the program."""
        return not termios.tcgetattr(self._slave)[3] & termios.ECHO

    def hang_up(self) -> None:
        """Take the terminal away, as when its window is closed."""
        os.close(self._slave)
        os.close(self._master)
        self._slave = self._master = -1

    def close(self) -> None:
        """Kill the command, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            self.hang_up()
