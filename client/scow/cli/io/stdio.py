"""Joins the user's stdio with a session: of the main process (run, start, attach) or of a further one (exec).

The main thread copies output; one thread copies input; one forwards signals, for which it makes calls that a
signal handler must not make. Both are daemons: one may hang in read(2) on a terminal when the session ends.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time

from scow.cli.io.terminal import DetachFilter, RawMode, window_size
from scow.cli.io.terminal_text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from scow.client import Attachment, Execution

    Session = Attachment | Execution

_CHUNK = 32 << 10
# What a shell, a supervisor or a person sends to the process they see. Others concern this process alone, or are
# faults of its own.
_PROXIED = (
    *("HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "TERM", "CONT"),
    *("VTALRM", "PROF", "XCPU", "XFSZ", "IO", "PWR", "STKFLT", "RTMIN", "RTMAX"),
)
# These end this process where they are not passed on (signal(7)); a raw terminal is restored first.
_ENDING = tuple(name for name in _PROXIED if name != "CONT")


class Stdio:
    """How a session's streams are joined.

    Args:
        tty: The process has a terminal.
        stdin: Standard input is passed on.
        detach_keys: Keys that end the session alone.
        kill: Sends a signal to the process by name; None means that signals are for this process itself.
    """

    def __init__(
        self,
        *,
        tty: bool,
        stdin: bool,
        detach_keys: bytes = b"",
        kill: Callable[[str], None] | None = None,
    ) -> None:
        self._tty = tty
        self._stdin = stdin
        self._filter = DetachFilter(detach_keys if tty else b"")
        self._kill = kill
        self._raw: RawMode | None = None
        self._handlers: dict[signal.Signals, object] = {}
        self._session: Session | None = None
        self._reading = False
        self._signals = None if kill is None else _SignalQueue(kill, self._forwarded)
        self.hung_up = False  # the terminal is gone, and the process was told
        # What was said to be missing.
        self._told = (0, False)

    @property
    def detached(self) -> bool:
        """The user typed the detach keys."""
        return self._filter.detached

    @property
    def window(self) -> tuple[int, int] | None:
        """Rows and columns that the process's terminal gets, or None."""
        return window_size(1) or window_size(0) if self._tty else None

    def __enter__(self) -> Stdio:
        try:
            self._prepare()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _prepare(self) -> None:
        if self._signals is not None:
            self._handle(_PROXIED, self._signals.put)
        if self._tty:
            self._handle(["WINCH"], self._resized)
        if self._tty and self._stdin and os.isatty(0):
            if self._signals is None:
                self._handle(_ENDING, self._leave)
            self._handle(["TSTP"], self._suspend)
            self._raw = RawMode(0)
            self._raw.__enter__()

    def __exit__(self, *_: object) -> None:
        self._restore_terminal()
        for number, before in self._handlers.items():
            signal.signal(number, before)  # type: ignore[arg-type]
        self._handlers.clear()

    def join(self, session: Session) -> None:
        """Copy until the session ends or the user detaches.

        Raises:
            ScowError: What ended the session instead.
        """
        self._session = session
        if self._signals is not None:
            self._signals.start()
        if self._stdin and not self._reading:
            self._reading = True
            threading.Thread(target=self._read, daemon=True).start()
        try:
            for output in session:
                self._tell_missing(session)
                _write(1, output.stdout)
                _write(2, output.stderr)
            self._tell_missing(session)
        except Exception:
            if not self.detached and not self.hung_up:
                raise
        finally:
            self._session = None

    def _tell_missing(self, session: Session) -> None:
        """Say on standard error that the session lost output, once for each loss."""
        if (session.missing, session.incomplete) == self._told:
            return
        lost = session.missing - self._told[0]
        much = f"{lost} bytes of output are" if lost else "some output may be"
        self._told = (session.missing, session.incomplete)
        end = "\r\n" if self._raw is not None else "\n"
        text = f"scow: {much} missing: the container service was restarted meanwhile{end}"
        _write(2, text.encode())

    def _read(self) -> None:
        while True:
            try:
                data = os.read(0, _CHUNK)
            except OSError:  # a terminal that hung up reads as EIO
                data = b""
            session = self._next_session()
            if not data:
                session.close_stdin()
                return
            data = self._filter.feed(data)
            if data:
                session.send(data)
            if self.detached:
                session.close()
                return

    def _next_session(self) -> Session:
        """Return the session, or the one that follows when the service restarts: what was typed is for it."""
        while (session := self._session) is None:
            time.sleep(0.05)
        return session

    def _handle(self, names: Iterable[str], act: Callable[[int, FrameType | None], None]) -> None:
        for name in names:
            number = signal.Signals[f"SIG{name}"]
            before = signal.signal(number, act)
            self._handlers.setdefault(number, before)

    def _restore_terminal(self) -> None:
        if self._raw is not None:
            self._raw.__exit__(None, None, None)

    def _leave(self, number: int, frame: FrameType | None) -> None:
        # At once, since a second signal may end the process on its way out.
        self._restore_terminal()
        for each in self._handlers:
            signal.signal(each, signal.SIG_DFL)
        sys.exit(128 + number)

    def _suspend(self, number: int, frame: FrameType | None) -> None:
        """Stop, as by ^Z, with the terminal as it was; go on with it raw."""
        self._restore_terminal()
        handler = signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        signal.signal(number, handler)
        if self._raw is not None:
            self._raw.__enter__()
        self._resized(number, frame)

    def _forwarded(self, number: int) -> None:
        """End the session after a hangup was passed on, where nobody can see or type anything any more."""
        if number == signal.SIGHUP and self._tty and _is_gone(0) and self._session is not None:
            self.hung_up = True
            self._session.close()

    def _resized(self, number: int, frame: FrameType | None) -> None:
        size = self.window
        if size is not None and self._session is not None:
            self._session.resize(*size)


def _is_gone(descriptor: int) -> bool:
    """Tell whether a terminal was hung up."""
    try:
        os.get_terminal_size(descriptor)
    except OSError as error:
        return error.errno == errno.EIO
    return False


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


class _SignalQueue:
    """Signals on their way to the container.

    Args:
        kill: Sends one by name.
        forwarded: Is told of each that was sent, in a thread of its own.
    """

    def __init__(self, kill: Callable[[str], None], forwarded: Callable[[int], None]) -> None:
        from queue import SimpleQueue

        self._queue: SimpleQueue[int] = SimpleQueue()
        self._kill = kill
        self._sent = forwarded
        self._started = False

    def put(self, number: int, frame: FrameType | None) -> None:
        """Take a signal; safe in a handler."""
        self._queue.put(number)

    def start(self) -> None:
        """Begin to forward: there is a process that can get them."""
        if not self._started:
            self._started = True
            threading.Thread(target=self._forward, daemon=True).start()

    def _forward(self) -> None:
        from scow.contract.errors import ScowError

        while True:
            number = self._queue.get()
            try:
                self._kill(signal.Signals(number).name)
            except ScowError as error:
                # Most likely it just ended, which the session tells too.
                if error.reason != "CONTAINER_NOT_RUNNING":
                    print(f"scow: {one_line(str(error), sys.stderr)}", file=sys.stderr)
            self._sent(number)
