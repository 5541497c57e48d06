"""Records for a syslog server: over UDP, TCP, TLS or a unix socket, in the forms that Docker's driver has.

    ""            <30>Jan  2 03:04:05 TAG[PID]: TEXT
    rfc3164       <30>Jan  2 03:04:05 HOST TAG[PID]: TEXT
    rfc5424       <30>1 2026-01-02T03:04:05Z HOST TAG PID TAG - TEXT
    rfc5424micro  <30>1 2026-01-02T03:04:05.000000Z HOST TAG PID TAG - TEXT

Over TLS, RFC 5425 has a message's length before it where it is one of RFC 5424; elsewhere a newline ends a message.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from scow.container.logs.sink import Connection, Message, Source
from scow.container.model.invalid import invalid
from scow.contract.errors import InvalidConfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

OPTIONS = (
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
)
_FORMATS = ("", "rfc3164", "rfc5424", "rfc5424micro")
_NAMES = (
    *("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"),
    *("authpriv", "ftp"),
)
_FACILITIES = {
    **{name: number for number, name in enumerate(_NAMES)},
    **{f"local{number}": 16 + number for number in range(8)},
}
_ERROR, _INFORMATION = 3, 6
_PORTS = {"udp": 514, "tcp": 514, "tcp+tls": 6514}
_LOCAL = ("/dev/log", "/var/run/syslog", "/var/run/log")
_DATAGRAM = 65_000


def check(given: Mapping[str, str]) -> None:
    """Check options.

    Raises:
        InvalidConfig: A value is not taken.
    """
    _address(given.get("syslog-address", ""))
    _facility(given.get("syslog-facility", ""))
    if given.get("syslog-format", "") not in _FORMATS:
        raise _wrong("syslog-format", given, f"use one of {', '.join(_FORMATS[1:])}")


def check_here(given: Mapping[str, str]) -> None:
    """Check that what options name is on this host, for a new container: later it may be away for a while.

    Raises:
        InvalidConfig: A socket or a file is not there.
    """
    protocol, path, _ = _address(given.get("syslog-address", ""))
    if protocol.startswith("unix") and not os.path.exists(path):
        raise _wrong("syslog-address", given, f"there is no socket {path}")
    for name in ("syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key"):
        if given.get(name) and not os.path.isfile(given[name]):
            raise _wrong(name, given, "name a file of the host")


def _wrong(name: str, given: Mapping[str, str], do: str) -> InvalidConfig:
    return invalid("log.options", f"has an invalid {name} {given.get(name, '')!r:.200}", do)


def _address(text: str) -> tuple[str, str, int]:
    """Return protocol, host or path, and port."""
    if not text:
        return "", "", 0
    try:
        parts = urlsplit(text)
        protocol, host, port = parts.scheme, parts.hostname or "", parts.port or 0
        host.encode("idna")  # as looking it up does
    except ValueError:
        protocol, host, port = "", "", 0
        parts = urlsplit("")
    if protocol in ("unix", "unixgram") and parts.path.startswith("/"):
        return protocol, parts.path, 0
    if protocol in _PORTS and host:
        return protocol, host, port or _PORTS[protocol]
    do = "use udp://HOST:PORT, tcp://HOST:PORT, tcp+tls://HOST:PORT or unix:///PATH"
    raise _wrong("syslog-address", {"syslog-address": text}, do)


def _facility(text: str) -> int:
    if not text:
        return _FACILITIES["daemon"]
    if text in _FACILITIES:
        return _FACILITIES[text]
    if text.isascii() and text.isdigit() and len(text) <= 2 and int(text) < 24:
        return int(text)
    do = "use a name like daemon or local0, or 0 to 23"
    raise _wrong("syslog-facility", {"syslog-facility": text}, do)


class Syslog:
    """Sends records."""

    def __init__(self, source: Source) -> None:
        given = source.given
        self._facility = _facility(given.get("syslog-facility", "")) * 8
        self._form = given.get("syslog-format", "")
        self._tag = source.tag
        self._pid = os.getpid()
        self._host = socket.gethostname()
        self._protocol, self._target, self._port = _address(given.get("syslog-address", ""))
        self._counted = self._protocol == "tcp+tls" and self._form.startswith("rfc5424")
        self._datagrams: socket.socket | None = None
        self._stream: Connection | None = None
        if self._protocol in ("tcp", "tcp+tls"):
            tls = _tls(given) if self._protocol == "tcp+tls" else None
            self._stream = Connection(self._target, self._port, tls)

    async def send(self, messages: Sequence[Message]) -> None:
        """Send messages."""
        lines = [self.line(message) for message in messages if message.data]  # as Docker's
        if self._stream is not None:
            await self._stream.write(b"".join(lines))
            return
        for line in lines:
            await self._send_datagram(line)

    def close(self) -> None:
        """Close the connection."""
        if self._stream is not None:
            self._stream.close()
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None

    def line(self, message: Message) -> bytes:
        """Return a message as it goes over the wire."""
        level = _ERROR if message.stream == "stderr" else _INFORMATION
        head = f"<{self._facility + level}>{self._head(message.time_ns)}"
        line = head.encode("utf-8", "replace") + message.data + b"\n"
        return b"%d %b" % (len(line), line) if self._counted else line

    def _head(self, time_ns: int) -> str:
        seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
        tag, pid = self._tag, self._pid
        if self._form.startswith("rfc5424"):
            moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
            if self._form == "rfc5424micro":
                moment += f".{nanoseconds // 1000:06d}"
            return f"1 {moment}Z {self._host} {tag} {pid} {tag} - "
        local = time.localtime(seconds)
        moment = (
            f"{_MONTHS[local.tm_mon - 1]} {local.tm_mday:2d} {time.strftime('%H:%M:%S', local)}"
        )
        host = f"{self._host} " if self._form else ""
        return f"{moment} {host}{tag}[{pid}]: "

    async def _send_datagram(self, line: bytes) -> None:
        loop = asyncio.get_running_loop()
        if self._datagrams is None:
            self._datagrams = await self._open()
        try:
            await loop.sock_sendall(self._datagrams, line[:_DATAGRAM])
        except ConnectionRefusedError:
            if (
                self._port
            ):  # of a datagram before: nobody listens there now, and UDP does not promise more
                return
            self.close()
            raise
        except OSError:
            self.close()
            raise

    async def _open(self) -> socket.socket:
        if self._port:
            loop = asyncio.get_running_loop()
            found = await loop.getaddrinfo(self._target, self._port, type=socket.SOCK_DGRAM)
            family, kind, _, _, address = found[0]
            return _connected(family, kind, address)
        for path in [self._target] if self._target else _LOCAL:
            kinds = [socket.SOCK_DGRAM, socket.SOCK_STREAM]
            for kind in kinds[:1] if self._protocol == "unixgram" else kinds:
                try:
                    return _connected(socket.AF_UNIX, kind, path)
                except OSError:
                    continue
        raise ConnectionError("no syslog server listens on a unix socket here")


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def _connected(family: int, kind: int, address: object) -> socket.socket:
    made = socket.socket(family, kind)
    made.setblocking(False)
    try:
        made.connect(address)  # type: ignore[arg-type]
    except OSError:
        made.close()
        raise
    return made


def _tls(given: Mapping[str, str]) -> ssl.SSLContext:
    import ssl  # of whom it is asked for alone

    authority = given.get("syslog-tls-ca-cert")
    context = ssl.create_default_context(cafile=authority or None)
    if given.get("syslog-tls-skip-verify", ""):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if given.get("syslog-tls-cert") and given.get("syslog-tls-key"):
        context.load_cert_chain(Path(given["syslog-tls-cert"]), Path(given["syslog-tls-key"]))
    return context
