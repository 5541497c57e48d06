"""Errors on their way: from the kernel's to scow's own, between forked processes, and to an exit code."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Any

from scow.contract.errors import (
    ContainerSetupFailed,
    DiskFull,
    KernelUnsupported,
    LimitExceeded,
    ScowError,
    of_reason,
)

# Exit code of a container whose process could not be executed, by reason (Docker's codes).
_EXIT_CODES = {"COMMAND_NOT_FOUND": 127, "COMMAND_NOT_EXECUTABLE": 126}


def exit_code(error: ScowError) -> int:
    """Return the exit code to record when an error kept the container's process from running."""
    return _EXIT_CODES.get(error.reason, 128)


def to_json(error: ScowError) -> dict[str, Any]:
    """Return the object that crosses a pipe between forked processes."""
    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
    }


def from_json(data: Mapping[str, Any]) -> ScowError:
    """Undo `to_json`."""
    return of_reason(data["reason"], data["metadata"], data["message"], data["code"])


def from_os_error(error: OSError, doing: str, **metadata: str) -> ScowError:
    """Make the typed error of a failed system call; `doing` completes "could not ..."."""
    number = error.errno or 0
    name = errno.errorcode.get(number, "UNKNOWN")
    path = str(error.filename) if error.filename is not None else ""
    facts = {"errno": name, "path": path, **metadata}
    cls: type[ScowError] = ContainerSetupFailed
    if number in (errno.ENOSPC, errno.EDQUOT):
        cls = DiskFull
    elif number in (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EAGAIN):
        cls = LimitExceeded
    elif number in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENODEV):
        cls = KernelUnsupported
    where = f" {path}" if path and path not in doing else ""
    return cls(f"could not {doing}{where}: {os.strerror(number)}", **facts)


def from_exception(error: BaseException, doing: str) -> ScowError:
    """Make the typed error of any exception: known ones keep their facts, others are INTERNAL."""
    if isinstance(error, ScowError):
        return error
    if isinstance(error, OSError) and error.errno:
        return from_os_error(error, doing)
    text = f"could not {doing}: {type(error).__name__}: {error}"
    return ContainerSetupFailed(text)
