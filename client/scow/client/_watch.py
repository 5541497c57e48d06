"""Going on with a stream after its service restarted."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from scow.api.types.v1.types_pb2 import Compacted, Event


class _Request(Protocol):
    from_revision: int


class _Response(Protocol):
    @property
    def event(self) -> Event: ...
    @property
    def compacted(self) -> Compacted: ...
    def WhichOneof(self, oneof_group: Any) -> str | None: ...  # noqa: N802  protobuf's name


Q = TypeVar("Q", bound=_Request)


def resume_watch(request: Q, last: _Response | None) -> Q:
    """Return the request that continues a watch after its last message."""
    if last is not None:
        if last.WhichOneof("message") == "event":
            request.from_revision = last.event.revision + 1
        else:
            request.from_revision = last.compacted.oldest_revision
    return request
