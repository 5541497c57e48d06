"""Errors, as Docker's clients know them: a status, and a message."""

from __future__ import annotations

from aiohttp import web

from scow.contract.errors import (
    AlreadyExists,
    CommandNotExecutable,
    CommandNotFound,
    ContainerNotFound,
    FailedPrecondition,
    ImageNotFound,
    InvalidArgument,
    NetworkNotFound,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ScowError,
    Unauthenticated,
    Unavailable,
    Unimplemented,
    VolumeNotFound,
)
from scow.docker.answers import answer

# The first that an error is an instance of decides.
_STATUS: tuple[tuple[type[ScowError], int], ...] = (
    (InvalidArgument, 400),
    (Unauthenticated, 401),
    (PermissionDenied, 403),
    (NotFound, 404),
    (AlreadyExists, 409),
    (FailedPrecondition, 409),
    (ResourceExhausted, 503),
    (Unavailable, 503),
    (Unimplemented, 501),
)
_WORDS: dict[type[ScowError], str] = {
    ContainerNotFound: "No such container: {}",
    ImageNotFound: "No such image: {}",
    NetworkNotFound: "network {} not found",
    VolumeNotFound: "get {}: no such volume",
    # From these two texts clients make the exit codes 127 and 126.
    CommandNotFound: 'exec: "{}": executable file not found in $PATH: unknown',
    CommandNotExecutable: 'exec: "{}": permission denied: unknown',
}


def words(error: ScowError) -> str:
    """Return an error in Docker's words, where its clients know them, and else in the service's."""
    known = _WORDS.get(type(error))
    return known.format(error.which) if known and error.which else str(error)


def status_of(error: ScowError) -> int:
    """Return the status of an error."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def failure(status: int, message: str) -> web.Response:
    """Return an error as Docker's clients expect it."""
    return answer({"message": message}, status)
