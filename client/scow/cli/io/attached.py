"""The foreground: a container whose stdio is the user's, until it ends."""

from __future__ import annotations

import os

from scow.cli.io.stdio import Stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from scow.client import Attachment, Client


# Seconds in which a container that ended is removed.
_REMOVAL = 30.0
# The exit code after SIGHUP.
_HUNG_UP = 128 + 1


class Foreground:
    """How to stay with a container.

    Args:
        client: The engine's client.
        container: Its id.
        tty: It has a terminal.
        stdin: Pass on standard input.
        outputs: Pass on standard output and standard error.
        detach_keys: Keys that leave it running.
        sig_proxy: Pass on signals.
        auto_remove: It is removed when it ends, which is waited for: its name is free then.
        warn: Prints what was asked for and could not be given at its start.
    """

    def __init__(
        self,
        client: Client,
        container: str,
        *,
        tty: bool,
        stdin: bool,
        detach_keys: bytes,
        sig_proxy: bool,
        auto_remove: bool = False,
        outputs: tuple[bool, bool] = (True, True),
        warn: Callable[[Iterable[str]], None] | None = None,
    ) -> None:
        self._client = client
        self._container = container
        self._stdin = stdin
        self._outputs = outputs
        self._auto_remove = auto_remove
        self._warn = warn
        self._stdio = Stdio(
            tty=tty,
            stdin=stdin,
            detach_keys=detach_keys,
            kill=self._kill if sig_proxy else None,
        )

    def stay(self, *, start: bool) -> int:
        """Attach, start the container if asked to, and return its exit code; 0 when detached.

        Raises:
            ScowError: It could not be started, or the engine was lost.
        """
        with self._stdio as stdio, self._attach(start) as session:
            if self._warn is not None:
                self._warn(session.warnings)
            stdio.join(session)
            if stdio.detached:
                return 0
            if stdio.hung_up:
                return _HUNG_UP
            code = session.exit_code
        if code is None:
            code = self._client.containers.wait(self._container).exit_code
        return self._ended(code)

    def _ended(self, code: int) -> int:
        if self._auto_remove:
            self._client.containers.wait_removed(self._container, timeout=_REMOVAL)
        return code

    def _attach(self, start: bool) -> Attachment:
        return self._client.containers.attach(
            self._container,
            stdin=self._stdin,
            stdout=self._outputs[0],
            stderr=self._outputs[1],
            start=start,
            window=self._stdio.window,
        )

    def _kill(self, signal: str) -> None:
        self._client.containers.kill(self._container, signal)


def require_terminal(tty: bool, stdin: bool) -> None:
    """Raise UsageError where a terminal's input is asked for and there is no terminal."""
    if tty and stdin and not os.isatty(0):
        from scow.cli.flags.parser import UsageError

        raise UsageError("the input device is not a TTY", 1)
