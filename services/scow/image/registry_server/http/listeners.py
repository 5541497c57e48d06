"""Addresses and TLS."""

from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scow.contract.errors import AddressInUse, InvalidConfig
from scow.core.config import ServeSection
from scow.core.loopback import is_loopback


@dataclass(frozen=True)
class Address:
    """A host and a port to listen on."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return "HOST:PORT"."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that a text means; without a host all of IPv4 is meant.

    Raises:
        InvalidConfig: It is none.
    """
    host, colon, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    plain = ":" not in host or host == f"[{bare}]"
    if not colon or not plain or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
        raise InvalidConfig(
            f"image.serve.address has {text!r}",
            what="configuration key",
            which="image.serve.address",
            do="give HOST:PORT, IPv6 as [ADDRESS]:PORT",
        )
    return Address(bare or "0.0.0.0", int(port))  # all of it, as asked for


def check_plain(settings: ServeSection, addresses: list[Address]) -> None:
    """Check that nothing but the loopback interface is served without TLS, unless that is asked for.

    Raises:
        InvalidConfig: It is.
    """
    if settings.certificate is not None or settings.plain_http:
        return
    for address in addresses:
        if not is_loopback(address.host):
            raise InvalidConfig(
                f"{address} would be served by plain HTTP",
                what="configuration key",
                which="image.serve.address",
                do="set image.serve.certificate and image.serve.key, or image.serve.plain_http",
            )


class Certificate:
    """The certificate and its key, read again when they change.

    Raises:
        InvalidConfig: They cannot be read or do not fit.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self._changed: tuple[int, ...] = ()
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.refresh()

    def refresh(self) -> None:
        """Read them again if they have changed; connections that are open keep theirs.

        Raises:
            InvalidConfig: They are wrong; those that were read before stay good.
        """
        certificate, key = self._files
        try:
            changed = tuple(path.stat().st_mtime_ns for path in self._files)
            if changed == self._changed:
                return
            trial = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            trial.load_cert_chain(certificate, key)
            self.context.load_cert_chain(certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidConfig(
                f"the certificate {certificate} with the key {key} cannot be used: {error}",
                what="configuration key",
                which="image.serve.certificate",
                do="give PEM files of a certificate and of its own key, without a password",
            ) from error
        self._changed = changed


def make_certificate(settings: ServeSection) -> Certificate | None:
    """Return the configured certificate, None without one.

    Raises:
        InvalidConfig: It cannot be used, or one of its halves is missing.
    """
    if settings.certificate is None and settings.key is None:
        return None
    if settings.certificate is None or settings.key is None:
        missing = "certificate" if settings.certificate is None else "key"
        raise InvalidConfig(
            f"image.serve.{missing} is missing",
            what="configuration key",
            which=f"image.serve.{missing}",
            do="set both image.serve.certificate and image.serve.key",
        )
    return Certificate(settings.certificate, settings.key)


async def listen(
    make: Callable[[], asyncio.Protocol], address: Address, certificate: Certificate | None
) -> asyncio.Server:
    """Listen on an address.

    Args:
        make: Makes what talks on a connection.
        address: The address.
        certificate: None means plain HTTP.

    Raises:
        AddressInUse: Somebody else does.
        InvalidConfig: It is not this machine's, or may not be listened on.
    """
    context = certificate.context if certificate else None
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(make, address.host, address.port, ssl=context)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"somebody listens on {address}",
                what="address",
                which=str(address),
                do="stop them or choose another image.serve.address",
            ) from error
        raise InvalidConfig(
            f"{address} cannot be listened on: {error.strerror or error}",
            what="configuration key",
            which="image.serve.address",
            do="give an address of this machine",
        ) from error
