"""The shim's error and its way over pipes and wires."""

from __future__ import annotations

import errno

import grpc
import pytest

from scow.contract import errors as core
from scow.shim.errors import CODES, ShimError, from_exception, from_os_error


def test_over_a_pipe() -> None:
    error = ShimError("NOT_FOUND", "USER_NOT_FOUND", "no user x", what="user", which="x", do="")
    back = ShimError.from_json(error.to_json())
    assert (back.code, back.reason, back.message) == (error.code, error.reason, error.message)
    assert back.metadata == {"what": "user", "which": "x"}


def test_over_the_wire_the_services_make_their_class_of_it() -> None:
    error = ShimError("NOT_FOUND", "USER_NOT_FOUND", "no user x", what="user", which="x")
    status = error.to_status()
    assert (status.code, status.message) == (5, "no user x")
    made = core.from_wire(
        grpc.StatusCode.NOT_FOUND.value[0], "no user x", error.to_status().SerializeToString()
    )
    assert made.reason == "USER_NOT_FOUND"
    assert made.metadata == {"what": "user", "which": "x"}


def test_codes_are_gRPCs() -> None:  # noqa: N802
    for name, number in CODES.items():
        assert grpc.StatusCode[name].value[0] == number


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (errno.ENOSPC, "RESOURCE_EXHAUSTED", "DISK_FULL"),
        (errno.EMFILE, "RESOURCE_EXHAUSTED", "LIMIT_EXCEEDED"),
        (errno.ENOSYS, "FAILED_PRECONDITION", "KERNEL_UNSUPPORTED"),
        (errno.EPERM, "INTERNAL", "CONTAINER_SETUP_FAILED"),
    ],
)
def test_system_calls(number: int, code: str, reason: str) -> None:
    made = from_os_error(OSError(number, "x", "/path"), "do it")
    assert (made.code, made.reason) == (code, reason)
    assert made.metadata["errno"] == errno.errorcode[number]
    assert "could not do it /path" in made.message


def test_what_nobody_foresaw_is_internal() -> None:
    assert from_exception(ValueError("odd"), "do it").code == "INTERNAL"
    known = ShimError("NOT_FOUND", "X", "y")
    assert from_exception(known, "do it") is known


def test_exit_codes() -> None:
    assert ShimError("FAILED_PRECONDITION", "COMMAND_NOT_FOUND", "").exit_code == 127
    assert ShimError("FAILED_PRECONDITION", "COMMAND_NOT_EXECUTABLE", "").exit_code == 126
    assert ShimError("INTERNAL", "OTHER", "").exit_code == 128
