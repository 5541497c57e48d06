"""Netlink: many requests at once. pyroute2's classes decode what is listed, and encode what is not rtnetlink's.

pyroute2's own request calls wait for each answer and run an event loop of their own: plugging a container
took 8 ms with them. Here all requests of a step travel in one send(2) and their answers are collected afterwards.

A socket belongs to the network namespace in which it was opened, and can be used from anywhere afterwards.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import importlib.util
import os
import socket
import struct
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scow.contract.errors import KernelUnsupported, LinkFailed
from scow.network.kernel import messages
from scow.network.kernel.messages import Received


@contextlib.contextmanager
def bare_package() -> Iterator[None]:
    """Let submodules of pyroute2 be imported without the package's `__init__`.

    That one imports everything there is: 165 ms and 13 MiB, where the messages need 14 ms and 1.3 MiB.
    """
    if "pyroute2" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("pyroute2")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    package = types.ModuleType("pyroute2")
    package.__path__ = list(spec.submodule_search_locations)
    sys.modules["pyroute2"] = package
    try:
        yield
    finally:
        del sys.modules["pyroute2"]


with bare_package():
    from pyroute2.netlink import (
        NLM_F_ACK,
        NLM_F_CREATE,
        NLM_F_DUMP,
        NLM_F_EXCL,
        NLM_F_REPLACE,
        NLM_F_REQUEST,
        NLMSG_DONE,
        NLMSG_ERROR,
        rtnl,
    )
    from pyroute2.netlink.marshal import Marshal
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

__all__ = ["CREATE", "EXCL", "REPLACE", "Netlink", "Request", "bare_package", "refusal", "rtnl"]

CREATE: int = NLM_F_CREATE
EXCL: int = NLM_F_EXCL
REPLACE: int = NLM_F_REPLACE

_CLASSES: dict[int, Any] = {
    rtnl.RTM_NEWLINK: ifinfmsg,
    rtnl.RTM_DELLINK: ifinfmsg,
    rtnl.RTM_GETLINK: ifinfmsg,
    rtnl.RTM_SETLINK: ifinfmsg,
    rtnl.RTM_NEWADDR: ifaddrmsg,
    rtnl.RTM_DELADDR: ifaddrmsg,
    rtnl.RTM_GETADDR: ifaddrmsg,
    rtnl.RTM_NEWROUTE: rtmsg,
    rtnl.RTM_GETROUTE: rtmsg,
}
_SIOCETHTOOL, _ETHTOOL_GLINK = 0x8946, 0xA
_DUMP_INTERRUPTED = 0x10
_RECEIVE = 1 << 18
# Of an answer; the kernel answers in microseconds, so silence is a defect that must not hang the service.
_PATIENCE_SECONDS = 10.0
_UNSUPPORTED = frozenset(
    {errno.EOPNOTSUPP, errno.ENOSYS, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}
)


@dataclass(frozen=True)
class Request:
    """One request of a batch.

    Attributes:
        kind: RTM_NEWLINK ...
        fields: Of the message's fixed part, `index`, `flags` ...
        attributes: Names as pyroute2 has them, with their values; an attribute with attributes has the
            value `{"attrs": [...]}`.
        flags: Beside REQUEST and ACK.
        tolerate: Error numbers that count as success, for requests whose aim is met already.
        what: What the request is about, for errors: "link scow-12ab".
    """

    kind: int
    fields: dict[str, Any] = field(default_factory=dict)
    attributes: Sequence[tuple[str, Any]] = ()
    flags: int = 0
    tolerate: tuple[int, ...] = ()
    what: str = ""

    def encode(self, classes: Mapping[int, Any], flags: int, sequence: int) -> bytes:
        """Return the message's bytes.

        Args:
            classes: pyroute2's class for each kind of message.
            flags: NLM_F_ACK or NLM_F_DUMP.
            sequence: By which the answer is known.
        """
        if classes is _CLASSES:
            all_flags = NLM_F_REQUEST | self.flags | flags
            return messages.encode(self.kind, self.fields, self.attributes, all_flags, sequence)
        message = classes[self.kind]()
        message.update(self.fields)
        message["attrs"] = [list(attribute) for attribute in self.attributes]
        message["header"] = {
            "type": self.kind,
            "flags": NLM_F_REQUEST | self.flags | flags,
            "sequence_number": sequence,
        }
        message.encode()
        return bytes(message.data)


class Netlink:
    """A netlink socket in the network namespace of the thread that opens it. Used by one thread at a time.

    Args:
        protocol: NETLINK_ROUTE and so on, netlink(7).
        classes: pyroute2's class for each kind of message of that protocol.
    """

    def __init__(
        self, protocol: int = socket.NETLINK_ROUTE, classes: Mapping[int, Any] = _CLASSES
    ) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_NETLINK, kind, protocol)
        self._classes = classes
        self._socket.settimeout(_PATIENCE_SECONDS)
        self._socket.bind((0, 0))
        self._marshal = Marshal()
        self._marshal.msg_map = classes
        self._sequence = 0

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def settle(self, link: str) -> bool:
        """Have the kernel finish what it does after a link came up; return whether the link has a carrier.

        The kernel does it when it finds the time. Until then the link drops what is sent, and a bridge does not
        forward to it: a first connection would take the second after which TCP tries again. Asking ethtool for
        the carrier finishes it.
        """
        answer = array.array("I", (_ETHTOOL_GLINK, 0))
        request = struct.pack("16sP", link.encode(), answer.buffer_info()[0])
        with contextlib.suppress(OSError):  # the link is gone again
            fcntl.ioctl(self._socket, _SIOCETHTOOL, request)
        return bool(answer[1])

    def send(self, requests: Sequence[Request]) -> None:
        """Send all requests at once and wait until the kernel has handled each, in order.

        A refused request does not stop the later ones.

        Raises:
            LinkFailed: The first refusal that its request does not tolerate.
            KernelUnsupported: The same, where the kernel lacks what is asked for.
        """
        waiting: dict[int, Request] = {}
        parts = []
        for request in requests:
            self._sequence += 1
            waiting[self._sequence] = request
            parts.append(request.encode(self._classes, NLM_F_ACK, self._sequence))
        if not parts:
            return
        self._socket.send(b"".join(parts))
        refused: tuple[Request, int] | None = None
        while waiting:
            for number, code in messages.answers(self._socket.recv(_RECEIVE)):
                request_of = waiting.pop(number, None)
                if request_of and code and code not in request_of.tolerate and refused is None:
                    refused = request_of, code
        if refused is not None:
            raise refusal(refused[0].what, refused[1])

    def dump(self, request: Request) -> list[Any]:
        """Return all objects of a kind; asked for again if they changed meanwhile."""
        found: list[Any] = []
        for _ in range(10):
            found, interrupted = self._dump_once(request)
            if not interrupted:
                break
        return found

    def _dump_once(self, request: Request) -> tuple[list[Any], bool]:
        self._sequence += 1
        self._socket.send(request.encode(self._classes, NLM_F_DUMP, self._sequence))
        found: list[Any] = []
        interrupted = False
        while True:
            for answer in self._receive():
                if answer.sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(answer.flags & _DUMP_INTERRUPTED)
                if answer.kind == NLMSG_DONE:
                    return found, interrupted
                if answer.error:
                    raise refusal(request.what, answer.error)
                found.append(answer.content)

    def get(self, request: Request) -> Any | None:
        """Return one object, None when there is none."""
        self._sequence += 1
        self._socket.send(request.encode(self._classes, 0, self._sequence))
        while True:
            for answer in self._receive():
                if answer.sequence != self._sequence:
                    continue
                if answer.error in (errno.ENODEV, errno.ENOENT):
                    return None
                if answer.error:
                    raise refusal(request.what, answer.error)
                return answer.content

    def _receive(self) -> Iterator[Received]:
        data = self._socket.recv(_RECEIVE)
        if self._classes is _CLASSES:
            yield from messages.parse(data)
            return
        for answer in self._marshal.parse(data):
            header = answer["header"]
            kind, number = header["type"], header["sequence_number"]
            yield Received(kind, header["flags"], number, _code(answer), answer)


def _code(answer: Any) -> int:
    """Return the error number that an answer carries, 0 for none."""
    if answer["header"]["type"] != NLMSG_ERROR:
        return 0
    return abs(int(answer["error"]))


def refusal(what: str, code: int) -> LinkFailed | KernelUnsupported:
    """Return the error for a refused request; its metadata's "errno" has the number's name."""
    cls = KernelUnsupported if code in _UNSUPPORTED else LinkFailed
    return cls(
        f"{what}: {os.strerror(code)}",
        what="link",
        which=what,
        do="see that the modules bridge and veth can be loaded and that the service has CAP_NET_ADMIN",
        errno=errno.errorcode.get(code, str(code)),
    )
