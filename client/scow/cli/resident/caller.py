"""What a user starts as `scow`: has the resident server run the command, or else runs it in this process.

This module is all that a served command imports, so it uses built-in modules alone (not even `os`), and works in an
interpreter without `site` (`python -I -S`), whose start takes two thirds of the time.

The protocol, on a stream socket in a folder that only the user may enter:

1. The caller connects. Each side looks who the other is (SO_PEERCRED).
2. The command's process answers HELLO, or BY_YOURSELF where it cannot take the caller's place.
3. The caller sends four bytes of length (this and all numbers in the machine's order), the request, and with its first
   byte the descriptors: directory, lifeline, then those that the caller has inherited. The request is texts
   separated by NUL: numbers of the inherited descriptors, count of arguments, arguments, environment.
4. BEGUN, with a pidfd of the process, to which the caller sends its signals; or BY_YOURSELF. Before BEGUN the command
   has done nothing that a second run would do again.
5. EXITED with the code, from the process itself, or KILLED with a signal, from the server.

Messages to the caller have five bytes: a letter and a number. The lifeline is the reading end of a pipe whose writing
end the caller alone has: when the caller is killed, the kernel kills the process.
"""

import _signal  # type: ignore[import-not-found]  # the part of `signal` that is built in
import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

HELLO, BY_YOURSELF, BEGUN, EXITED, KILLED = b"h", b"n", b"b", b"c", b"s"
MESSAGE = 5
# Above it are ARG_MAX's bounds: execve(2) takes no more than 6 MB.
MOST_BYTES = 8 << 20
# The kernel passes 253 (unix(7)).
MOST_DESCRIPTORS = 200

VARIABLE = b"SCOW_RESIDENT"
# Seconds until the server must have answered; it answers in less than one thousandth.
_PATIENCE = 1.0
# What an interpreter or a library reads once, when it starts: a server serves callers with the same values.
_EARLY = (b"PYTHON", b"LANG", b"LC_", b"LD_", b"GRPC_", b"MALLOC_", b"GLIBC_TUNABLES", b"HOME")
# An option of the interpreter (-X) that says: without the server.
_ALONE = "scow_alone"
# All signals that a process may handle, but for those of faults, of its children and of input and output.
_FORWARDED = tuple(
    getattr(_signal, f"SIG{name}")
    for name in (
        *("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "VTALRM", "PROF", "XCPU"),
        *("CONT", "TSTP", "TTIN", "TTOU", "WINCH", "PWR"),
    )
)
_STOPS = (_signal.SIGTSTP, _signal.SIGTTIN, _signal.SIGTTOU)


def main(script: str = "") -> "NoReturn":
    """Run the command line of this process, and end the process.

    Args:
        script: The file that was started, where the interpreter has no `site`; it is started again with one if the
            server does not run the command.
    """
    if _ALONE in sys._xoptions:
        _run_here()
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)  # no traceback
    try:  # noqa: SIM105  contextlib takes a millisecond
        _through_server()
    except OSError:
        # Of what is in the way of a command (no /proc, no descriptor left) it tells better itself.
        pass
    _run_alone(script)


def _run_alone(script: str) -> "NoReturn":
    if script and sys.flags.no_site:
        arguments = [sys.executable, "-P", "-X", _ALONE, script, *sys.argv[1:]]
        posix.execv(sys.executable, arguments)
    for number in _FORWARDED:
        if _signal.getsignal(number) is not _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    if _signal.getsignal(_signal.SIGINT) is not _signal.SIG_IGN:
        _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _run_here()


def _run_here() -> "NoReturn":
    from scow.cli.__main__ import main as run

    run()


def _through_server() -> None:
    """Have the server run the command, and end as it ended; return if the server does not."""
    if posix.environ.get(VARIABLE) == b"0":
        return
    descriptors = _inherited()
    if descriptors is None:
        return
    folder = open_folder()
    if folder is None:
        return
    name = _server_name()
    connection = _connect(folder, name)
    if connection is None:
        _start_server(folder, name)
        return
    try:
        _Call(connection).make(descriptors)
    except OSError:  # the process was killed; nothing was begun
        return


def _inherited() -> list[int] | None:
    """Return the descriptors that this process was started with, or None where the server cannot have them."""
    try:
        for number in (0, 1, 2):
            posix.fstat(number)
    except OSError:  # one is closed, and would be taken by what is opened here
        return None
    numbers = []
    for text in posix.listdir("/proc/self/fd"):
        try:
            if posix.get_inheritable(int(text)):
                numbers.append(int(text))
        except OSError:  # the one that listed
            continue
    return numbers if len(numbers) <= MOST_DESCRIPTORS else None


def open_folder() -> int | None:
    """Open the folder of this user's servers; None if somebody else can enter it."""
    user = posix.geteuid()
    runtime = posix.environ.get(b"XDG_RUNTIME_DIR", b"")
    if runtime.startswith(b"/"):
        path = runtime + b"/scow-resident"
    else:
        path = b"/run/scow-resident" if user == 0 else b"/tmp/scow-resident-%d" % user
    flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        folder = posix.open(path, flags)
    except FileNotFoundError:
        posix.mkdir(path, 0o700)
        folder = posix.open(path, flags)
    status = posix.fstat(folder)
    return folder if status.st_uid == user and not status.st_mode & 0o077 else None


def early_environment() -> dict[bytes, bytes]:
    """Return the variables that a process reads once."""
    return {key: value for key, value in posix.environ.items() if key.startswith(_EARLY)}


def _server_name() -> str:
    """Return the name of the server for this program, environment, cgroup and mount namespace.

    It keeps servers apart; the server itself looks whether it may take the caller's place.
    """
    cgroup = posix.open("/proc/self/cgroup", posix.O_RDONLY | posix.O_CLOEXEC)
    early = early_environment()
    what = [*map(_bytes, (__file__, sys.executable)), posix.read(cgroup, 1 << 16)]
    what += [posix.readlink(b"/proc/self/ns/mnt"), *early.keys(), *early.values()]
    posix.close(cgroup)
    # The remainder by a Mersenne prime: a hash whose import costs nothing.
    return f"{int.from_bytes(bytes(1).join(what), 'little') % ((1 << 127) - 1):x}"


def _connect(folder: int, name: str) -> "_socket.socket | None":
    connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    connection.settimeout(_PATIENCE)
    try:
        # Through the descriptor, which was looked at, and however long the folder's path is.
        connection.connect(f"/proc/self/fd/{folder}/{name}")
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    return connection


def _start_server(folder: int, name: str) -> None:
    """Start a server for the commands that follow, unless somebody is at it."""
    import fcntl

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)  # until the server listens
    except OSError:
        return
    child = posix.fork()
    if child:
        posix.waitpid(child, 0)
        posix.close(folder)
        return
    try:
        posix.setsid()
        if not posix.fork():
            _become_server(folder, name)
    finally:
        posix._exit(1)


def _become_server(folder: int, name: str) -> None:
    """Execute the server, with nothing of this process but its rights and the folder, as descriptor 3."""
    folder = posix.dup(folder)  # not 0, 1 or 2
    null = posix.open("/dev/null", posix.O_RDWR)
    for number in (0, 1, 2):
        posix.dup2(null, number)
    posix.dup2(folder, 3)
    posix.closerange(4, 1 << 20)
    posix.chdir("/")
    posix.umask(0o077)
    for signal in _signal.valid_signals():
        if signal not in (_signal.SIGKILL, _signal.SIGSTOP):
            _signal.signal(signal, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    arguments = [sys.executable, "-P", "-m", "scow.cli.resident.server", name]
    posix.execve(sys.executable, arguments, early_environment())


class _Call:
    """One command that the server runs.

    Args:
        connection: To the server, which has not answered yet.
    """

    def __init__(self, connection: "_socket.socket") -> None:
        self._connection = connection
        self._process: int | None = None
        self._waiting: list[int] = []

    def make(self, descriptors: list[int]) -> None:
        """Run the command and end as it ended; return if it was not begun.

        Raises:
            OSError: It was not begun.
        """
        request = _request(descriptors)
        if _peer_user(self._connection) != posix.geteuid() or self._receive()[0] != HELLO:
            return
        self._connection.settimeout(None)
        for number in _FORWARDED:
            if _signal.getsignal(number) is not _signal.SIG_IGN:
                _signal.signal(number, self._forward)
        alive = self._send(request, descriptors)
        while True:
            kind, number = self._receive()
            if kind == BEGUN:
                self._begun(number)
            elif kind == EXITED:
                posix._exit(number)
            elif kind == KILLED:
                _die(number)
            elif self._process is not None:
                _lost()
            else:
                posix.close(alive)
                self._not_begun()
                return

    def _send(self, request: bytes, descriptors: list[int]) -> int:
        """Send the request; return the caller's end of the lifeline."""
        lifeline, alive = posix.pipe()
        directory = posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
        passed = b"".join(
            number.to_bytes(4, sys.byteorder) for number in (directory, lifeline, *descriptors)
        )
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, passed)]
        try:
            sent = self._connection.sendmsg([request], rights)
            while sent < len(request):
                sent += self._connection.send(request[sent:])
        except OSError:
            # The process has ended. Whether the command was begun, or is done already, its messages tell.
            pass
        posix.close(lifeline)
        posix.close(directory)
        return alive

    def _receive(self) -> tuple[bytes, int]:
        """Return kind and number of the next message; a pidfd as the number; no kind at the end."""
        try:
            data, control, _, _ = self._connection.recvmsg(MESSAGE, _socket.CMSG_SPACE(4))
        except OSError:  # what was sent before the connection broke has been read
            data, control = b"", []
        for _, _, passed in control:
            return data[:1], int.from_bytes(passed[:4], sys.byteorder)
        return data[:1], int.from_bytes(data[1:MESSAGE], sys.byteorder)

    def _begun(self, process: int) -> None:
        self._process = process
        while self._waiting:
            self._act(self._waiting.pop(0))

    def _forward(self, number: int, frame: object) -> None:
        if self._process is None:
            self._waiting.append(number)  # it may have begun, without this process knowing it yet
        else:
            self._act(number)

    def _act(self, number: int) -> None:
        self._pass_on(number)
        if number in _STOPS:
            _signal.signal(number, _signal.SIG_DFL)
            # Stops here until SIGCONT; in an orphaned process group it does not.
            posix.kill(posix.getpid(), number)
            _signal.signal(number, self._forward)
            self._pass_on(_signal.SIGCONT)

    def _not_begun(self) -> None:
        """Take what signals came meanwhile as if they came now."""
        for number in self._waiting:
            _signal.signal(number, _signal.SIG_DFL)
            posix.kill(posix.getpid(), number)

    def _pass_on(self, number: int) -> None:
        assert self._process is not None
        # The process has no terminal to be stopped by, so the kernel would ignore the others.
        signal = _signal.SIGSTOP if number in _STOPS else number
        try:
            _signal.pidfd_send_signal(self._process, signal)
        except OSError:  # it has just ended
            return


def _request(descriptors: list[int]) -> bytes:
    arguments = [_bytes(argument) for argument in sys.argv[1:]]
    texts = [" ".join(map(str, descriptors)).encode(), str(len(arguments)).encode(), *arguments]
    texts += [key + b"=" + value for key, value in posix.environ.items()]
    request = bytes(1).join(texts)
    return len(request).to_bytes(4, sys.byteorder) + request


def _bytes(text: str) -> bytes:
    return text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def _peer_user(connection: "_socket.socket") -> int:
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


def _die(number: int) -> "NoReturn":
    """End by a signal, as the command did."""
    if number not in (_signal.SIGKILL, _signal.SIGSTOP):
        _signal.signal(number, _signal.SIG_DFL)
    posix.kill(posix.getpid(), number)
    posix._exit(128 + number)


def _lost() -> "NoReturn":
    posix.write(
        2,
        b"scow: the process of this command and the resident server were killed: how far the command went is not"
        b" known; look before you repeat it\n",
    )
    posix._exit(1)
