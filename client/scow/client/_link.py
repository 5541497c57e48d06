"""Where the engine is, and what every call carries. Shared by both faces of the client."""

from __future__ import annotations

import os
from contextvars import ContextVar

from scow.contract.backoff import Patience, Pauses
from scow.contract.errors import (
    InvalidArgument,
    PermissionDenied,
    ScowError,
    ServiceUnavailable,
    Unavailable,
    from_wire,
)

DEFAULT_HOST = "unix:///run/scow"
HOST_VARIABLE = "SCOW_HOST"
# The services of an engine; each has a socket of its name.
SERVICES = ("container", "image", "network", "volume")

# W3C Trace Context of the caller; travels with every call made while it is set.
traceparent: ContextVar[str] = ContextVar("traceparent", default="")

_UNAVAILABLE = 14
# Seconds between attempts, the first and the longest.
_PAUSE, _PAUSE_MAX = 0.02, 0.5


class WireError(Exception):
    """A call's status as a transport reports it; never leaves the client.

    Args:
        code: Canonical gRPC code.
        message: The status's message.
        details: The `grpc-status-details-bin` trailer, or empty.
    """

    def __init__(self, code: int, message: str, details: bytes = b"") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details


class Link:
    """One engine, as a client reaches it.

    Args:
        host: "unix://RUN_DIR"; None means the environment's SCOW_HOST, then unix:///run/scow.
        patience: Seconds for which calls wait for a service that is restarting.

    Raises:
        InvalidArgument: A host of another form.
    """

    def __init__(self, host: str | None = None, patience: float = 5.0) -> None:
        self.host = host or os.environ.get(HOST_VARIABLE) or DEFAULT_HOST
        scheme, separator, path = self.host.partition("://")
        if scheme != "unix" or not separator or not path:
            raise InvalidArgument(
                f"invalid host {self.host!r}: expected unix://RUN_DIR",
                what="host",
                which=self.host,
                do="name the folder of the engine's sockets, for example unix:///run/scow",
            )
        self.run = os.path.abspath(path)
        self.patience = patience

    def socket(self, service: str) -> str:
        """Return the path of a service's socket."""
        return f"{self.run}/{service}.sock"

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what each call carries."""
        trace = traceparent.get()
        return (("traceparent", trace),) if trace else ()

    def translate(self, service: str, error: WireError) -> ScowError:
        """Return the error of scow.contract.errors that a call's status stands for.

        This is the only place of the client where errors are made of statuses.
        """
        if error.details or error.code != _UNAVAILABLE:
            return from_wire(error.code, error.message, error.details)
        path = self.socket(service)
        if os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK):
            return PermissionDenied(
                f"{path} may not be opened by this user",
                what="socket",
                which=path,
                do="use root or join the group of the socket",
            )
        return ServiceUnavailable(
            f"the {service} service does not answer on {path}",
            what="service",
            which=path,
            do="start the engine with scowd, or name its run directory with SCOW_HOST",
        )

    def patience_of(self, timeout: float | None) -> Patience:
        """Return how long a call is made again.

        Args:
            timeout: Seconds for the whole call, or None.
        """
        return Patience(Pauses(_PAUSE, _PAUSE_MAX), self.patience, timeout)

    def worth_waiting(self, service: str, error: ScowError) -> bool:
        """Tell whether a service seems to be restarting, so that the call will succeed in a moment.

        A service that was never started has no socket; one that was killed leaves it behind, and one
        that is stopping says so.
        """
        if not isinstance(error, Unavailable):
            return False
        is_service = error.metadata.get("what") == "service"
        return is_service and os.path.exists(self.socket(service))


def request_id() -> str:
    """Return a new request id (a version 4 UUID; the uuid module takes 2 ms to import)."""
    raw = bytearray(os.urandom(16))
    raw[6] = (raw[6] & 0x0F) | 0x40
    raw[8] = (raw[8] & 0x3F) | 0x80
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
