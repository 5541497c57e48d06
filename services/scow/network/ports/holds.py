"""Holding published ports.

A published port is held by a bound socket for as long as it is published: a program that wants it gets "address
in use" instead of a port that is silently diverted, and the kernel gives it to nobody as an ephemeral one. nftables
diverts the packets before they reach such a socket, where the container has an address of their family; where it has
none, the relay listens on it.

Where the kernel has no sockets of SCTP, nobody else can hold such a port, and nothing holds it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import socket
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from scow.contract.errors import AddressInUse, InvalidPort, LimitExceeded, ScowError
from scow.network.ipam.addresses import family_of
from scow.network.ports.port_mapping import EVERYWHERE, PortRequest, Publish

_ATTEMPTS = 50
# Where ports are chosen that no socket can be asked for, as the kernel does (net.ipv4.ip_local_port_range).
_EPHEMERAL = (32768, 60999)


class _NoSocketsError(Exception):
    """The kernel has no sockets of a protocol."""


@dataclass(frozen=True)
class Held:
    """A published range and the sockets that hold it, one for each port; none where the kernel has none.

    Attributes:
        routed: Whether there is nothing to hold.
    """

    publish: Publish
    sockets: tuple[socket.socket, ...]
    routed: bool = False


class Holds:
    """The sockets that hold published ports, by endpoint."""

    def __init__(self) -> None:
        self._held: dict[str, list[Held]] = {}

    def take(
        self, endpoint: str, wanted: Sequence[PortRequest], routed: Collection[int] = ()
    ) -> list[Publish]:
        """Hold ports for an endpoint; return them, by address, with the host ports that were chosen.

        Args:
            endpoint: Its id.
            wanted: The ports.
            routed: Versions of addresses of the host on which nothing is held.

        Raises:
            AddressInUse: One is taken, or all of a range are.
            InvalidPort: An address is not one of the host's.
            LimitExceeded: More ports than a process can hold.
        """
        with contextlib.ExitStack() as stack:
            found: list[Held] = []
            for request in wanted:
                known = [*(p for some in self._held.values() for p in some), *found]
                unbound = [h.publish for h in known if not (h.sockets or h.routed)]
                for held in _hold(request, unbound, routed):
                    for one in held.sockets:
                        stack.callback(one.close)
                    found.append(held)
            stack.pop_all()
        self._held.setdefault(endpoint, []).extend(found)
        return [held.publish for held in found]

    def retake(
        self, endpoint: str, published: Sequence[Publish], routed: Collection[int] = ()
    ) -> list[tuple[Publish, str]]:
        """Hold what is published already, but for what is routed; return what another program has, and why."""
        failures = []
        if endpoint in self._held:
            return []
        self._held[endpoint] = []
        for publish in published:
            if family_of(publish.host_ip).version in routed:
                self._held[endpoint].append(Held(publish, (), routed=True))
                continue
            try:
                self._held[endpoint].append(Held(publish, _bind_range(publish)))
            except ScowError as error:
                failures.append((publish, error.message))
        return failures

    def release(self, endpoint: str, published: Sequence[Publish]) -> None:
        """Let go of some of an endpoint's ports."""
        kept = []
        for held in self._held.get(endpoint, ()):
            if held.publish in published:
                for one in held.sockets:
                    one.close()
            else:
                kept.append(held)
        self._held[endpoint] = kept

    def of(self, endpoint: str) -> Sequence[Held]:
        """Return what is held for an endpoint."""
        return tuple(self._held.get(endpoint, ()))

    def move(self, endpoint: str, to: str) -> None:
        """Have another endpoint hold what one holds."""
        if held := self._held.pop(endpoint, None):
            self._held[to] = held

    def give_back(self, endpoint: str) -> None:
        """Let go of an endpoint's ports, if it has any."""
        for held in self._held.pop(endpoint, ()):
            for one in held.sockets:
                one.close()

    def close(self) -> None:
        """Let go of everything."""
        for endpoint in list(self._held):
            self.give_back(endpoint)


def _hold(request: PortRequest, unbound: Sequence[Publish], routed: Collection[int]) -> list[Held]:
    """Hold a request's ports on all of its addresses, at the first place where they are free on each.

    Args:
        request: The ports.
        unbound: What is published already and no socket holds.
        routed: Versions of addresses of which none are held.
    """
    addresses = request.host_ips
    if request.optional:
        addresses = tuple(a for a in addresses if ":" not in a or _has_ipv6())
    own = tuple(a for a in addresses if family_of(a).version not in routed)
    held = _hold_on(request, unbound, own) if own else []
    port = held[0].publish.host_port if held else request.first or request.container_port
    there = [request.at(address, port) for address in addresses if address not in own]
    return [*held, *(Held(publish, (), routed=True) for publish in there)]


def _hold_on(
    request: PortRequest, unbound: Sequence[Publish], addresses: Sequence[str]
) -> list[Held]:
    refused: AddressInUse | None = None
    for start in _starts(request, addresses[0]):
        try:
            for address in addresses:
                _check_unbound(request.at(address, start), unbound)
            return _hold_at(request, addresses, start)
        except AddressInUse as error:
            refused = error
    if request.first and request.first == request.last and refused is not None:
        raise refused
    raise AddressInUse(
        f"no {request.count} consecutive {request.protocol} ports are free"
        if request.count > 1
        else f"all ports of {request} are in use",
        what="port",
        which=str(request),
        do="give other host ports, or none",
    )


def _starts(request: PortRequest, address: str) -> Iterator[int]:
    """Yield the ports of the host at which a request may begin."""
    if request.first:
        yield from range(request.first, request.last + 1)
        return
    for _ in range(_ATTEMPTS):
        # Begin at a port that the kernel finds free, and see how far it goes.
        start = _free_port(request.at(address, 0))
        if start + request.count <= 1 << 16:
            yield start


def _hold_at(request: PortRequest, addresses: Sequence[str], start: int) -> list[Held]:
    with contextlib.ExitStack() as stack:
        found = []
        for address in addresses:
            held = Held(request.at(address, start), _bind_range(request.at(address, start)))
            for one in held.sockets:
                stack.callback(one.close)
            found.append(held)
        stack.pop_all()
        return found


def _free_port(publish: Publish) -> int:
    """Return a port that the kernel finds free, or any where it has no sockets of the protocol."""
    try:
        with _bind(publish, 0) as one:
            port: int = one.getsockname()[1]
            return port
    except _NoSocketsError:
        return random.randint(*_EPHEMERAL)


def _check_unbound(publish: Publish, others: Sequence[Publish]) -> None:
    """Check that no port is published already that no socket holds.

    Raises:
        AddressInUse: One is.
    """
    for other in others:
        apart = (
            publish.protocol != other.protocol
            or publish.host_port >= other.host_port + other.count
            or other.host_port >= publish.host_port + publish.count
        )
        same = publish.host_ip == other.host_ip or {publish.host_ip, other.host_ip} & set(
            EVERYWHERE
        )
        if not apart and same and (":" in publish.host_ip) == (":" in other.host_ip):
            raise _translate(OSError(errno.EADDRINUSE, ""), other)


def _has_ipv6() -> bool:
    """Tell whether this host speaks IPv6, as docker finds it out: something can be bound to ::1."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as one:
        one.bind(("::1", 0))
        return True
    return False


def _bind_range(publish: Publish) -> tuple[socket.socket, ...]:
    with contextlib.ExitStack() as stack:
        sockets = []
        for offset in range(publish.count):
            port = publish.host_port + offset
            try:
                sockets.append(stack.enter_context(_bind(publish, port)))
            except _NoSocketsError:
                return ()
        stack.pop_all()
        return tuple(sockets)


def _bind(publish: Publish, port: int) -> socket.socket:
    try:
        return _bind_free(publish, port)
    except OSError as error:
        if error.errno == errno.EPROTONOSUPPORT:
            raise _NoSocketsError from error
        single = Publish(publish.host_ip, port, publish.container_port, publish.protocol, 1)
        raise _translate(error, single) from error


def _bind_free(publish: Publish, port: int) -> socket.socket:
    with _closing_on_error(_socket(publish)) as one:
        try:
            one.bind((publish.host_ip, port))
            return one
        except OSError as error:
            if error.errno != errno.EADDRINUSE or publish.protocol == "udp":
                raise
    return _bind_over_ended(publish, port)


def _bind_over_ended(publish: Publish, port: int) -> socket.socket:
    """Bind a TCP port that may be in use by ended connections alone (TIME_WAIT), or raise EADDRINUSE.

    Only listen(2) tells: it fails beside another listener. Listening ends at once, the port stays bound, and
    without SO_REUSEADDR nobody else can bind it.
    """
    with _closing_on_error(_socket(publish)) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((publish.host_ip, port))
        one.listen(0)
        one.shutdown(socket.SHUT_RD)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        return one


def _socket(publish: Publish) -> socket.socket:
    """Return a socket of an address's family, which never takes the other one along."""
    family = socket.AF_INET6 if ":" in publish.host_ip else socket.AF_INET
    kind = socket.SOCK_DGRAM if publish.protocol == "udp" else socket.SOCK_STREAM
    protocol = socket.IPPROTO_SCTP if publish.protocol == "sctp" else 0
    one = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
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
