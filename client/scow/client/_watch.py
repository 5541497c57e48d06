"""Going on with a stream after its service restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from scow.api.types.v1.types_pb2 import Compacted, Event

if TYPE_CHECKING:
    from scow.api.container.v1.container_pb2 import LogsRequest, LogsResponse


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


def resume_logs(request: LogsRequest, last: LogsResponse | None) -> LogsRequest:
    """Return the request that continues a log after its last record."""
    if last is not None:
        request.since.FromNanoseconds(last.time.ToNanoseconds() + 1)
        request.ClearField("tail")
    return request
