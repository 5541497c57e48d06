"""Messages between the shim and a forked child that is on its way to execve(2).

A SOCK_SEQPACKET pair keeps the boundaries of messages; the child's end is close-on-exec, so the shim
reads end-of-file once the program runs. Each message is a JSON object with one key:

- child to shim: ``ready``; ``mounted``, a destination and a mount's id, for each mount that may be taken away again;
  ``pty`` (with the master's descriptor); ``warnings``; ``exec`` (the last step follows); ``error``.
- shim to child: ``start``, what is known only now; the child goes on when it comes.

End-of-file after ``exec`` means that the program runs; before it, that the child was killed.
"""

from __future__ import annotations

import array
import json
import os
import socket
import sys
from typing import Any, NoReturn

from scow.contract.errors import ScowError
from scow.shim.errors import exit_code, from_exception, to_json

MAX_MESSAGE = 128 << 10
CHILD_FD = 3
# Plain numbers, as in `link`.
_ONE, _CLOEXEC = socket.CMSG_SPACE(4), int(socket.MSG_CMSG_CLOEXEC)


def pair() -> tuple[socket.socket, socket.socket]:
    """Return the shim's end and the child's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(fd: int, message: dict[str, Any]) -> None:
    """Send one message."""
    os.write(fd, json.dumps(message).encode())


def send_with_fd(fd: int, message: dict[str, Any], passed: int) -> None:
    """Send one message with a descriptor."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [passed]))]
    with socket.socket(fileno=os.dup(fd)) as sock:
        sock.sendmsg([json.dumps(message).encode()], rights)


def receive(fd: int) -> dict[str, Any] | None:
    """Return the next message; None at end-of-file."""
    raw = os.read(fd, MAX_MESSAGE)
    return json.loads(raw) if raw else None


def receive_with_fd(sock: socket.socket) -> tuple[dict[str, Any] | None, int]:
    """Return the next message and the descriptor that came with it, or -1."""
    raw, ancillary, _, _ = sock.recvmsg(MAX_MESSAGE, _ONE, _CLOEXEC)
    fd = int.from_bytes(ancillary[0][2][:4], sys.byteorder) if ancillary else -1
    return (json.loads(raw) if raw else None), fd


def fail(error: BaseException, doing: str) -> NoReturn:
    """Report what failed and end this child with the exit code that stands for it."""
    typed = error if isinstance(error, ScowError) else from_exception(error, doing)
    try:
        send(CHILD_FD, {"error": to_json(typed)})
    finally:
        os._exit(exit_code(typed))
