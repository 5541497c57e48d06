"""The packets between a keeper and its builder or talker, over a SOCK_SEQPACKET pair.

A packet is one byte that says what it is, then what belongs to it; descriptors travel along (SCM_RIGHTS).

From the builder:

- `INIT` pid (4 bytes), flags (1 byte): the init was cloned. Descriptors, in this order: pidfd of the init; with
  `HAS_OOM` the file that counts kills for want of memory; with `HAS_PIPES` the reading ends of stdout and stderr; with
  `HAS_STDIN` the writing end of stdin.
- `READY` with the listening socket of the shim: the init has its namespaces; the keeper listens from now on.
- `TERMINAL` with the master of the init's terminal.
- `EXECUTED`: the program runs; its output is read from now on.
- `FAILED` exit code (1 byte), message: the program was not executed, and that is why.
- `DEAD`: the init ended before it was told to go on; nobody knows more of it than its parent.
- `UNDONE`: all that was made is gone; the keeper ends without a record.

From the talker:

- `ATTACH` wants (1 byte: `WANTS_STDOUT`, `WANTS_STDERR`; with `WANTS_UNLOGGED` the unfinished lines that the log does
  not have come first) with a SOCK_SEQPACKET socket, on which the keeper sends `ATTACHED` position (which run of the
  container, and how many bytes of stdout and of stderr come before what follows, 8 bytes each), then a packet for each
  piece of output (`STDOUT` or `STDERR` and the bytes), at last `END`. A socket that ends without it belonged to a
  session that was cut off.
- `CLOSE_STDIN`: the keeper closes its writing end of stdin.

From the keeper:

- `ENDED` pid, wait(2) status (4 bytes each): a child other than the init has ended.
- `TERMINAL`, `EXECUTED`: as above, once the keeper knows of it.
- `STOPPED` exit record (JSON): the init has ended; the record is on disk unless the disk is full.
"""

from __future__ import annotations

import _socket
import socket
import struct

INIT, READY, TERMINAL, EXECUTED, FAILED, DEAD, UNDONE = b"i", b"r", b"t", b"s", b"f", b"d", b"u"
ATTACH, CLOSE_STDIN = b"a", b"c"
ENDED, STOPPED = b"e", b"x"
HAS_PIPES, HAS_STDIN, HAS_OOM = 1, 2, 4
ATTACHED, STDOUT, STDERR, END = b"0", b"1", b"2", b"."
WANTS_STDOUT, WANTS_STDERR, WANTS_UNLOGGED = 1, 2, 4

PACKET_MAX = 64 << 10
FDS_MAX = 32
# Plain numbers: members of an enumeration are objects to look at.
_AF_UNIX, _SOCK_SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_SOL_SOCKET, _SCM_RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)
_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)
_ANCILLARY = socket.CMSG_SPACE(4 * FDS_MAX)
INTS = struct.Struct("=ii")
POSITION = struct.Struct("=qqq")


def parse_position(data: bytes) -> dict[str, int]:
    """Return what follows `ATTACHED`: run, stdout and stderr."""
    return dict(zip(("run", "stdout", "stderr"), POSITION.unpack(data), strict=True))


def pair() -> tuple[_socket.socket, _socket.socket]:
    """Return the keeper's end, which does not block, and the other.

    They are what the class of `socket` is built on: with less around them, less memory is touched.
    """
    ours, theirs = _socket.socketpair(_AF_UNIX, _SOCK_SEQPACKET)
    ours.setblocking(False)
    return ours, theirs


def send(link: _socket.socket, packet: bytes, fds: tuple[int, ...] = ()) -> None:
    """Send one packet."""
    if fds:
        rights = struct.pack(f"={len(fds)}i", *fds)
        link.sendmsg([packet], [(_SOL_SOCKET, _SCM_RIGHTS, rights)])
    else:
        link.send(packet)


def receive(link: _socket.socket) -> tuple[bytes, list[int]]:
    """Return the next packet and its descriptors, close-on-exec; an empty packet at the end."""
    try:
        packet, ancillary, _, _ = link.recvmsg(PACKET_MAX, _ANCILLARY, _CLOEXEC)
    except ConnectionResetError:
        return b"", []
    fds: list[int] = []
    for _, _, data in ancillary:
        fds += struct.unpack(f"={len(data) // 4}i", data)
    return packet, fds
