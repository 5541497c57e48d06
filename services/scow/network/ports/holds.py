"""Published ports: checking what is asked for, and holding the host's side.

A published port is held by a bound socket for as long as it is published: a program that wants it gets "address
in use" instead of a port that is silently diverted, and the kernel gives it to nobody as an ephemeral one. No
packet reaches these sockets; nftables diverts them first.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import AddressInUse, InvalidPort, LimitExceeded, ScowError

_MAX_PORT = 65535
_PROTOCOLS = ("tcp", "udp")
_ATTEMPTS = 50


@dataclass(frozen=True)
class Publish:
    """Consecutive ports of the host that lead to as many of a container."""

    # Empty means all IPv4 addresses.
    host_ip: str
    # 0 means that free ones are to be chosen.
    host_port: int
    container_port: int
    protocol: str
    count: int

    def __str__(self) -> str:
        """Return `8080/tcp` or `127.0.0.1:8080-8089/udp`."""
        ports = str(self.host_port)
        if self.count > 1:
            ports += f"-{self.host_port + self.count - 1}"
        return f"{self.host_ip}{':' if self.host_ip else ''}{ports}/{self.protocol}"

    def to_proto(self) -> PortMapping:
        """Return the message."""
        return PortMapping(
            host_ip=self.host_ip,
            host_port=self.host_port,
            container_port=self.container_port,
            protocol=self.protocol,
            count=self.count,
        )


def check(mapping: PortMapping) -> Publish:
    """Return a published port, with defaults filled in.

    Raises:
        InvalidPort: It is no port, no protocol, or no address that ports are published on.
    """
    publish = Publish(
        host_ip=_address(mapping.host_ip),
        host_port=mapping.host_port,
        container_port=mapping.container_port,
        protocol=mapping.protocol or "tcp",
        count=mapping.count or 1,
    )
    if publish.protocol not in _PROTOCOLS:
        raise _invalid(publish, f"has the protocol {publish.protocol!r}", "use tcp or udp")
    if not 1 <= publish.container_port <= _MAX_PORT - publish.count + 1:
        raise _invalid(
            publish, f"has the container port {publish.container_port}", "use 1 to 65535"
        )
    if publish.host_port > _MAX_PORT - publish.count + 1:
        raise _invalid(publish, "goes beyond 65535", "use host ports up to 65535")
    return publish


def _address(text: str) -> str:
    if not text:
        return ""
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        address = None
    if not isinstance(address, ipaddress.IPv4Address):
        raise InvalidPort(
            f"ports cannot be published on {text!r}",
            what="address",
            which=text,
            do="give an IPv4 address of the host, or none for all",
        )
    return "" if address.is_unspecified else str(address)


def _invalid(publish: Publish, fault: str, advice: str) -> InvalidPort:
    return InvalidPort(
        f"the published port {publish} {fault}", what="port", which=str(publish), do=advice
    )


class Holds:
    """The sockets that hold published ports, by endpoint."""

    def __init__(self) -> None:
        self._sockets: dict[str, list[socket.socket]] = {}

    def take(self, endpoint: str, wanted: Sequence[Publish]) -> list[Publish]:
        """Hold ports for an endpoint; return them with the host ports that were chosen.

        Raises:
            AddressInUse: One is taken.
            InvalidPort: An address is not one of the host's.
            LimitExceeded: More ports than a process can hold.
        """
        with contextlib.ExitStack() as stack:
            chosen = []
            sockets: list[socket.socket] = []
            for publish in wanted:
                bound, held = _hold(publish)
                chosen.append(bound)
                for one in held:
                    stack.callback(one.close)
                    sockets.append(one)
            stack.pop_all()
        self._sockets.setdefault(endpoint, []).extend(sockets)
        return chosen

    def retake(self, endpoint: str, published: Sequence[Publish]) -> list[tuple[Publish, str]]:
        """Hold what is published already; return what another program took meanwhile, and why."""
        failures = []
        if endpoint in self._sockets:
            return []
        self._sockets[endpoint] = []
        for publish in published:
            try:
                self.take(endpoint, [publish])
            except ScowError as error:
                failures.append((publish, error.message))
        return failures

    def give_back(self, endpoint: str) -> None:
        """Let go of an endpoint's ports, if it has any."""
        for one in self._sockets.pop(endpoint, ()):
            one.close()

    def close(self) -> None:
        """Let go of everything."""
        for endpoint in list(self._sockets):
            self.give_back(endpoint)


def _hold(publish: Publish) -> tuple[Publish, list[socket.socket]]:
    if publish.host_port or publish.count == 1:
        sockets = _bind_range(publish)
        port = sockets[0].getsockname()[1]
        return replace(publish, host_port=port), sockets
    for _ in range(
        _ATTEMPTS
    ):  # consecutive free ports: begin at a free one and see how far it goes
        with _bind(publish.host_ip, 0, publish.protocol) as first:
            start = first.getsockname()[1]
        candidate = replace(publish, host_port=start)
        with contextlib.suppress(AddressInUse, OverflowError):
            return candidate, _bind_range(candidate)
    raise AddressInUse(
        f"no {publish.count} consecutive {publish.protocol} ports are free",
        what="port",
        which=str(publish),
        do="give the host ports, or publish fewer",
    )


def _bind_range(publish: Publish) -> list[socket.socket]:
    with contextlib.ExitStack() as stack:
        sockets = []
        for offset in range(publish.count):
            port = publish.host_port + offset
            try:
                one = _bind(publish.host_ip, port, publish.protocol)
            except OSError as error:
                raise _translate(error, replace(publish, host_port=port, count=1)) from error
            sockets.append(stack.enter_context(one))
        stack.pop_all()
        return sockets


def _bind(address: str, port: int, protocol: str) -> socket.socket:
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with _closing_on_error(socket.socket(socket.AF_INET, kind | socket.SOCK_CLOEXEC)) as one:
        try:
            one.bind((address, port))
            return one
        except OSError as error:
            if error.errno != errno.EADDRINUSE or protocol != "tcp":
                raise
    return _bind_over_ended(address, port)


def _bind_over_ended(address: str, port: int) -> socket.socket:
    """Bind a TCP port that may be in use by ended connections alone (TIME_WAIT), or raise EADDRINUSE.

    Only listen(2) tells: it fails beside another listener. Listening ends at once, the port stays bound, and
    without SO_REUSEADDR nobody else can bind it.
    """
    kind = socket.SOCK_STREAM | socket.SOCK_CLOEXEC
    with _closing_on_error(socket.socket(socket.AF_INET, kind)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
        one.listen(0)
        one.shutdown(socket.SHUT_RD)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        return one


@contextlib.contextmanager
def _closing_on_error(one: socket.socket) -> Iterator[socket.socket]:
    try:
        yield one
    except BaseException:
        one.close()
        raise


def _translate(error: OSError, publish: Publish) -> ScowError:
    facts = {"what": "port", "which": str(publish)}
    if error.errno == errno.EADDRINUSE:
        do = "stop what uses it, or publish on another port"
        return AddressInUse(f"the port {publish} is in use", do=do, **facts)
    if error.errno == errno.EADDRNOTAVAIL:
        do = "give an address of the host, or none for all"
        return InvalidPort(f"the host has no address {publish.host_ip}", do=do, **facts)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        do = "publish fewer ports, or raise the service's limit of open files"
        return LimitExceeded("no more ports can be held", do=do, **facts)
    return InvalidPort(
        f"the port {publish} cannot be used: {os.strerror(error.errno or 0)}",
        do="choose another one",
        **facts,
    )


def from_json(items: Iterable[Sequence[str | int]]) -> list[Publish]:
    """Return what `to_json` was given."""
    return [Publish(str(i[0]), int(i[1]), int(i[2]), str(i[3]), int(i[4])) for i in items]


def to_json(published: Iterable[Publish]) -> list[list[str | int]]:
    """Return lists that the database keeps as JSON."""
    return [[p.host_ip, p.host_port, p.container_port, p.protocol, p.count] for p in published]
