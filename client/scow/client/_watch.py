"""Going on with a stream after its service restarted."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from scow.api.types.v1.types_pb2 import Compacted, Event
from scow.contract.errors import InvalidArgument


def parse_cursor(text: str) -> dict[str, int]:
    """Return the revisions of "container:12,image:3", by service.

    Raises:
        InvalidArgument: No such form.
    """
    places = {}
    for part in text.split(",") if text else ():
        name, _, revision = part.partition(":")
        if not (name and revision.isascii() and revision.isdigit() and len(revision) < 19):
            raise InvalidArgument(
                f"invalid cursor {text[:200]!r}", what="cursor", do="use that of another stream"
            )
        places[name] = int(revision)
    return places


class _Request(Protocol):
    from_revision: int


class _Response(Protocol):
    @property
    def event(self) -> Event: ...
    @property
    def compacted(self) -> Compacted: ...
    @property
    def position(self) -> int: ...
    def WhichOneof(self, oneof_group: Any) -> str | None: ...  # noqa: N802  protobuf's name


Q = TypeVar("Q", bound=_Request)


def resume_watch(request: Q, last: _Response | None) -> Q:
    """Return the request that continues a watch after its last message."""
    if last is not None:
        kind = last.WhichOneof("message")
        if kind == "event":
            request.from_revision = last.event.revision + 1
        elif kind == "position":
            request.from_revision = last.position
        else:
            request.from_revision = last.compacted.oldest_revision
    return request
