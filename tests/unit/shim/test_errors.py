"""The shim's errors: of the kernel's, over pipes, and as exit codes."""

from __future__ import annotations

import errno

import pytest

from scow.contract.errors import (
    CommandNotExecutable,
    CommandNotFound,
    ContainerSetupFailed,
    DiskFull,
    KernelUnsupported,
    LimitExceeded,
    ScowError,
    UserNotFound,
)
from scow.shim.errors import exit_code, from_exception, from_json, from_os_error, to_json


def test_over_a_pipe() -> None:
    error = UserNotFound("no user x", what="user", which="x", do="")
    back = from_json(to_json(error))
    assert (type(back), back.message) == (UserNotFound, error.message)
    assert back.metadata == {"what": "user", "which": "x"}


@pytest.mark.parametrize(
    ("number", "cls"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EMFILE, LimitExceeded),
        (errno.ENOSYS, KernelUnsupported),
        (errno.EPERM, ContainerSetupFailed),
    ],
)
def test_system_calls(number: int, cls: type[ScowError]) -> None:
    made = from_os_error(OSError(number, "x", "/path"), "do it")
    assert type(made) is cls
    assert made.metadata["errno"] == errno.errorcode[number]
    assert "could not do it /path" in made.message


def test_what_nobody_foresaw_is_internal() -> None:
    assert type(from_exception(ValueError("odd"), "do it")) is ContainerSetupFailed
    known = UserNotFound("y")
    assert from_exception(known, "do it") is known


def test_exit_codes() -> None:
    assert exit_code(CommandNotFound("")) == 127
    assert exit_code(CommandNotExecutable("")) == 126
    assert exit_code(ContainerSetupFailed("")) == 128
