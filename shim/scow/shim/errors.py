"""The shim's one error, and how it crosses pipes and sockets.

The shim may not import the services' tree of errors; it has one class with the same four facts: gRPC code,
reason, message, metadata. Between the forked processes it travels as JSON, to clients as
google.rpc.Status with an ErrorInfo, from which the client makes the class named by the reason.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from scow.api.types.v1 import errors_pb2

CODES = {
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "DATA_LOSS": 15,
}

_TYPE_URL = "type.googleapis.com/google.rpc.ErrorInfo"

# Exit code of a container whose process could not be executed, by reason (Docker's codes).
_EXIT_CODES = {"COMMAND_NOT_FOUND": 127, "COMMAND_NOT_EXECUTABLE": 126}


class ShimError(Exception):
    """An error with a gRPC code (by name), a reason, a message and metadata (what, which, do, ...)."""

    def __init__(self, code: str, reason: str, message: str, **metadata: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = {key: value for key, value in metadata.items() if value}

    @property
    def exit_code(self) -> int:
        """Exit code to record when this error kept the container's process from running."""
        return _EXIT_CODES.get(self.reason, 128)

    def to_json(self) -> dict[str, Any]:
        """Return the object that crosses a pipe or the spawner's socket."""
        return {
            "code": self.code,
            "reason": self.reason,
            "message": self.message,
            "metadata": self.metadata,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ShimError:
        """Undo `to_json`."""
        return ShimError(data["code"], data["reason"], data["message"], **data["metadata"])

    def to_status(self) -> errors_pb2.Status:
        """Return the google.rpc.Status with an ErrorInfo."""
        info = errors_pb2.ErrorInfo(reason=self.reason, domain="scow", metadata=self.metadata)
        status = errors_pb2.Status(code=CODES[self.code], message=self.message)
        status.details.add(type_url=_TYPE_URL, value=info.SerializeToString())
        return status


def from_os_error(error: OSError, doing: str, **metadata: str) -> ShimError:
    """Make the typed error of a failed system call; `doing` completes "could not ..."."""
    number = error.errno or 0
    name = errno.errorcode.get(number, "UNKNOWN")
    path = str(error.filename) if error.filename is not None else ""
    facts = {"errno": name, "path": path, **metadata}
    if number in (errno.ENOSPC, errno.EDQUOT):
        code, reason = "RESOURCE_EXHAUSTED", "DISK_FULL"
    elif number in (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        code, reason = "RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED"
    elif number in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV):
        code, reason = "FAILED_PRECONDITION", "KERNEL_UNSUPPORTED"
    else:
        code, reason = "INTERNAL", "CONTAINER_SETUP_FAILED"
    where = f" {path}" if path and path not in doing else ""
    return ShimError(code, reason, f"could not {doing}{where}: {os.strerror(number)}", **facts)


def from_exception(error: BaseException, doing: str) -> ShimError:
    """Make the typed error of any exception: known ones keep their facts, others are INTERNAL."""
    if isinstance(error, ShimError):
        return error
    if isinstance(error, OSError) and error.errno:
        return from_os_error(error, doing)
    text = f"could not {doing}: {type(error).__name__}: {error}"
    return ShimError("INTERNAL", "CONTAINER_SETUP_FAILED", text)
