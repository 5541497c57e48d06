"""The codes that errors have, and how errors cross the wire; `scow.contract.errors` has the tree.

Neither grpc nor protobuf is imported until an error crosses the wire: the command line imports this before it knows
whether it needs either.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from scow.api.types.v1 import errors_pb2

DOMAIN = "scow"
DETAILS_KEY = "grpc-status-details-bin"
_TYPE_URL = "type.googleapis.com/google.rpc.ErrorInfo"

# Bytes of a message and of each value of the metadata. gRPC takes 8 KiB of trailers in all, and errors quote what
# strangers wrote.
_MESSAGE_MAX = 1000
_VALUE_MAX = 500

_by_code: dict[int, type[ScowError]] = {}
_by_reason: dict[str, type[ScowError]] = {}


class ScowError(Exception):
    """An error with a gRPC code, a reason, and metadata that tells what, which and what to do.

    Args:
        message: One sentence for people.
        what: Kind of the object, "image".
        which: Its name, as the caller gave it.
        do: What the caller can do about it.
        facts: Further metadata.
    """

    code: ClassVar[int] = 2
    code_name: ClassVar[str] = "UNKNOWN"
    reason: str = "UNKNOWN"

    def __init__(
        self, message: str, *, what: str = "", which: str = "", do: str = "", **facts: str
    ) -> None:
        super().__init__(message)
        self.message = _bounded(message, _MESSAGE_MAX)
        given = {"what": what, "which": which, "do": do, **facts}
        self.metadata = {key: _bounded(value, _VALUE_MAX) for key, value in given.items() if value}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.reason = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).upper()
        _by_reason[cls.reason] = cls
        _by_code.setdefault(cls.code, cls)

    def __str__(self) -> str:
        """Return the message and, where it adds something, what to do."""
        advice = self.metadata.get("do", "")
        return f"{self.message}: {advice}" if advice else self.message

    @property
    def which(self) -> str:
        """Name of the object that the error is about, or empty."""
        return self.metadata.get("which", "")

    def to_status(self) -> errors_pb2.Status:
        """Return the google.rpc.Status with an ErrorInfo."""
        from scow.api.types.v1 import errors_pb2

        info = errors_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata)
        status = errors_pb2.Status(code=self.code, message=self.message)
        status.details.add(type_url=_TYPE_URL, value=info.SerializeToString())
        return status

    def to_details(self) -> bytes:
        """Return the serialized google.rpc.Status for the `grpc-status-details-bin` trailer."""
        return self.to_status().SerializeToString()


def _bounded(text: str, limit: int) -> str:
    """Return a text as it goes over the wire: valid UTF-8, its end cut off if it is longer than that."""
    data = text.encode("utf-8", "backslashreplace")
    if len(data) > limit:
        return data[: limit - 3].decode("utf-8", "ignore") + "..."
    return data.decode()


class InvalidArgument(ScowError):
    """The request itself is wrong."""

    code = 3
    code_name = "INVALID_ARGUMENT"


class NotFound(ScowError):
    """What the request names does not exist."""

    code = 5
    code_name = "NOT_FOUND"


class AlreadyExists(ScowError):
    """What the request would make exists."""

    code = 6
    code_name = "ALREADY_EXISTS"


class FailedPrecondition(ScowError):
    """The object or the machine is not in a state in which the request can be met."""

    code = 9
    code_name = "FAILED_PRECONDITION"


class PermissionDenied(ScowError):
    """The caller may not do this."""

    code = 7
    code_name = "PERMISSION_DENIED"


class Unauthenticated(ScowError):
    """Credentials are missing or wrong."""

    code = 16
    code_name = "UNAUTHENTICATED"


class ResourceExhausted(ScowError):
    """A quota, disk, address pool or rate is used up."""

    code = 8
    code_name = "RESOURCE_EXHAUSTED"


class Aborted(ScowError):
    """A concurrent change was in the way; the request can be tried again."""

    code = 10
    code_name = "ABORTED"


class OutOfRange(ScowError):
    """A position is beyond what there is."""

    code = 11
    code_name = "OUT_OF_RANGE"


class Unimplemented(ScowError):
    """The service does not do this."""

    code = 12
    code_name = "UNIMPLEMENTED"


class Internal(ScowError):
    """A defect of scow: the log has more."""

    code = 13
    code_name = "INTERNAL"


class Unavailable(ScowError):
    """A service or registry cannot be reached now; the request can be tried again."""

    code = 14
    code_name = "UNAVAILABLE"


class DeadlineExceeded(ScowError):
    """The caller's deadline passed."""

    code = 4
    code_name = "DEADLINE_EXCEEDED"


class Cancelled(ScowError):
    """The caller went away."""

    code = 1
    code_name = "CANCELLED"


class DataLoss(ScowError):
    """Bytes are not what they must be."""

    code = 15
    code_name = "DATA_LOSS"


def from_wire(code: int, message: str, details: bytes = b"") -> ScowError:
    """Return the error that a gRPC status stands for.

    Args:
        code: Canonical gRPC code.
        message: The status's message.
        details: The `grpc-status-details-bin` trailer, if there was one.
    """
    return of_reason(*(_read_details(details) if details else ("", {})), message, code)


def of_reason(reason: str, metadata: Mapping[str, str], message: str, code: int) -> ScowError:
    """Return the error of a reason; of one that is not known here, the error of its code."""
    cls = _by_reason.get(reason) or _by_code.get(code, ScowError)
    error = cls(message)
    error.metadata = dict(metadata)
    if reason and reason != cls.reason:  # a newer service's reason: keep it visible
        error.reason = reason
    return error


def _read_details(details: bytes) -> tuple[str, dict[str, str]]:
    from google.protobuf.message import DecodeError

    from scow.api.types.v1 import errors_pb2

    try:
        status = errors_pb2.Status.FromString(details)
        for any_message in status.details:
            if any_message.type_url == _TYPE_URL:
                info = errors_pb2.ErrorInfo.FromString(any_message.value)
                return info.reason, dict(info.metadata)
    except DecodeError:
        pass
    return "", {}
