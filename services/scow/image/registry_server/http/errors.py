"""Refusals: the errors of the distribution API, with their codes and HTTP statuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from scow.contract.errors import (
    DigestMismatch,
    DiskFull,
    InvalidArgument,
    InvalidManifest,
    InvalidReference,
    LimitExceeded,
    NotFound,
    ScowError,
)

# The specification, "Error Codes", with the status that goes with each.
STATUS = {
    "BLOB_UNKNOWN": 404,
    "BLOB_UPLOAD_INVALID": 400,
    "BLOB_UPLOAD_UNKNOWN": 404,
    "DIGEST_INVALID": 400,
    "MANIFEST_BLOB_UNKNOWN": 400,
    "MANIFEST_INVALID": 400,
    "MANIFEST_UNKNOWN": 404,
    "NAME_INVALID": 400,
    "NAME_UNKNOWN": 404,
    "SIZE_INVALID": 400,
    "UNAUTHORIZED": 401,
    "DENIED": 403,
    "UNSUPPORTED": 405,
    "TOOMANYREQUESTS": 429,
    # Not of the specification, but what clients know from the distribution project.
    "RANGE_INVALID": 416,
    "PAGINATION_NUMBER_INVALID": 400,
    "UNKNOWN": 500,
}

_OF_ERRORS: tuple[tuple[type[ScowError], str, int], ...] = (
    (InvalidReference, "NAME_INVALID", 400),
    (InvalidManifest, "MANIFEST_INVALID", 400),
    (LimitExceeded, "MANIFEST_INVALID", 413),
    (DigestMismatch, "DIGEST_INVALID", 400),
    (DiskFull, "UNKNOWN", 507),
    (NotFound, "MANIFEST_UNKNOWN", 404),
    (InvalidArgument, "UNSUPPORTED", 400),
)


class Refusal(Exception):
    """A request that is not met.

    Args:
        code: Of `STATUS`.
        message: For people.
        status: When it is not the one that goes with the code.
        detail: What programs may want to know.
        headers: Further headers of the answer.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 0,
        detail: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status or STATUS[code]
        self.detail = detail
        self.headers = dict(headers or {})

    def answer(self) -> web.Response:
        """Return the answer in the specification's form."""
        error = {"code": self.code, "message": self.message, "detail": self.detail}
        return web.json_response(
            {"errors": [error]}, status=self.status, headers=self.headers or None
        )


def refusal_of(error: ScowError) -> Refusal:
    """Return the refusal that an error of the domain is."""
    for kind, code, status in _OF_ERRORS:
        if isinstance(error, kind):
            return Refusal(code, error.message, status=status, detail=error.metadata)
    return Refusal("UNKNOWN", error.message, detail=error.metadata)
