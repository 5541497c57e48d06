"""Datagrams by the batch: recvmmsg(2) and sendmmsg(2), two system calls for up to 32 questions and their answers.

Python's sockets take a call for each datagram, and make an object of each address: of the 14 microseconds that a known
answer took from the container and back, that were 6. All buffers are made once and used by one thread.
"""

from __future__ import annotations

import ctypes
import socket

from scow.network.dns.message import MAX_UDP_SIZE

BATCH = 32
# Of a question or an answer, at most.
SIZE = MAX_UDP_SIZE
_ADDRESS_SIZE = 16  # struct sockaddr_in
_MSG_DONTWAIT = socket.MSG_DONTWAIT


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """`struct mmsghdr`."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
        ("padding", ctypes.c_int),
        ("length", ctypes.c_uint),
    )


class _Slots:
    """Room for a batch, its addresses and its lengths."""

    def __init__(self) -> None:
        self.data, data = _memory(BATCH * SIZE)
        self.names, names = _memory(BATCH * _ADDRESS_SIZE)
        self.vectors = (_Vector * BATCH)()
        self.headers = (_Header * BATCH)()
        for number in range(BATCH):
            vector, header = self.vectors[number], self.headers[number]
            vector.base, vector.length = data + number * SIZE, SIZE
            header.name, header.name_length = names + number * _ADDRESS_SIZE, _ADDRESS_SIZE
            header.vectors, header.vector_count = ctypes.addressof(vector), 1
        # Of each vector two words, of each header sixteen half ones.
        self.vector_words = memoryview(self.vectors).cast("B").cast("Q")
        self.header_words = memoryview(self.headers).cast("B").cast("I")
        self.address = ctypes.addressof(self.headers)


def _memory(size: int) -> tuple[memoryview, int]:
    """Return memory and where it begins; the view keeps it."""
    block = (ctypes.c_char * size)()
    return memoryview(block).cast("B"), ctypes.addressof(block)


class Packets:
    """Reads questions and sends answers. One for all sockets; addresses are of IPv4."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._receive, self._send = library.recvmmsg, library.sendmmsg
        number, pointer = ctypes.c_int, ctypes.c_void_p
        self._receive.argtypes = (number, pointer, ctypes.c_uint, number, pointer)
        self._send.argtypes = (number, pointer, ctypes.c_uint, number)
        self._questions, self._answers = _Slots(), _Slots()
        self._count = 0

    def receive(self, descriptor: int) -> list[bytes]:
        """Return the questions that are there, up to a batch; none when there is nothing, or nobody any more."""
        slots = self._questions
        # What was not sent, as after a fault, is not the next one's.
        self._count = 0
        found = self._receive(descriptor, slots.address, BATCH, _MSG_DONTWAIT, None)
        data, words = slots.data, slots.header_words
        return [
            bytes(data[number * SIZE : number * SIZE + words[number * 16 + 14]])
            for number in range(found)
        ]

    def peer(self, number: int) -> tuple[str, int]:
        """Return who asked a question of the last batch."""
        name = self._questions.names[number * _ADDRESS_SIZE : number * _ADDRESS_SIZE + 8]
        return socket.inet_ntoa(name[4:8]), int.from_bytes(name[2:4], "big")

    def answer(self, number: int, answer: bytes) -> None:
        """Have a question of the last batch answered by `send`."""
        to, start = self._count, number * _ADDRESS_SIZE
        slots = self._answers
        slots.data[to * SIZE : to * SIZE + len(answer)] = answer
        slots.vector_words[to * 2 + 1] = len(answer)
        name = self._questions.names[start : start + _ADDRESS_SIZE]
        slots.names[to * _ADDRESS_SIZE : (to + 1) * _ADDRESS_SIZE] = name
        self._count = to + 1

    def send(self, descriptor: int) -> None:
        """Send what is to be answered; what cannot be sent is left out: whoever asked asks again, or is gone."""
        count, self._count = self._count, 0
        address = self._answers.address
        sent = 0
        while sent < count:
            done = self._send(
                descriptor, address + sent * ctypes.sizeof(_Header), count - sent, _MSG_DONTWAIT
            )
            sent += max(done, 1)
