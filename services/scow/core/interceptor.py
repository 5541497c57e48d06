"""What happens around every RPC: trace and actor, logging, metrics, and the translation of errors.

This is the only place where errors of scow.contract.errors become gRPC statuses.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import structlog
from structlog.contextvars import bound_contextvars

from scow.contract.errors import DETAILS_KEY, Internal, ScowError, Unavailable
from scow.core.actor import current_actor
from scow.core.admission import Admission, client_of
from scow.core.trace import current_deadline, current_traceparent, new_traceparent

_log = structlog.get_logger()

# Calls that last as long as the caller likes: cut when the service stops, where others are drained. Those that stream
# count by their name alone; the network service's Attach, which does not, is a change that has to come to its end.
_LONG_STREAMS = frozenset({"Watch", "Logs", "Attach", "Exec", "Hold", "Stats"})
_LONG_ANSWERS = frozenset({"Wait"})
# Fields that name the object of a request, the first that it has.
_OBJECT_FIELDS = ("container", "image", "owner", "network", "name", "reference")

Observe = Callable[[str, str, float], None]
Context = grpc.aio.ServicerContext[Any, Any]


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler of a server.

    Args:
        admission: Counts calls, and refuses those that are too many.
        observe: Called after each RPC with its method, the code's name and the seconds it took.
    """

    def __init__(self, admission: Admission, observe: Observe | None = None) -> None:
        self._admission = admission
        self._observe = observe
        self._long: set[asyncio.Task[Any]] = set()
        self._stopping = False
        self._under_way = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._last = time.monotonic()

    def idle_seconds(self) -> float:
        """Return for how long there was no call."""
        return 0.0 if self._under_way else time.monotonic() - self._last

    def cut_long_calls(self) -> None:
        """End calls that could last for ever with UNAVAILABLE; new ones end at once."""
        self._stopping = True
        for task in self._long:
            task.cancel()

    async def quiet(self, seconds: float) -> None:
        """Wait until no call is under way, for so long at most: also one that was cancelled cleans up."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._quiet.wait(), seconds)

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        details: grpc.HandlerCallDetails,
    ) -> Any:
        """Return the handler, wrapped; health and reflection are left as they are."""
        handler = await continuation(details)
        if handler is None or not details.method.startswith("/scow."):
            return handler
        metadata = dict(details.invocation_metadata or ())
        call = _Call(self, details.method, metadata, streams=handler.response_streaming)
        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
            (True, True): grpc.stream_stream_rpc_method_handler,
        }[handler.request_streaming, handler.response_streaming]
        inner = (
            handler.unary_unary
            or handler.unary_stream
            or handler.stream_unary
            or handler.stream_stream
        )
        wrap = call.streaming(inner) if handler.response_streaming else call.unary(inner)
        return make(wrap, handler.request_deserializer, handler.response_serializer)


class _Call:
    """One RPC under way."""

    def __init__(
        self, owner: CallInterceptor, method: str, metadata: dict[str, Any], *, streams: bool
    ) -> None:
        self._owner = owner
        self._method = method
        self._metadata = metadata
        self._long = is_long(method, streams=streams)

    def unary(self, inner: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def handle(request: Any, context: Context) -> Any:
            with _Around(self, request, context) as around:
                try:
                    with around.admitted():
                        return await inner(request, context)
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  translated
                    await around.fail(error)

        return handle

    def streaming(self, inner: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
        async def handle(request: Any, context: Context) -> AsyncIterator[Any]:
            with _Around(self, request, context) as around:
                responses = inner(request, context)
                try:
                    with around.admitted():
                        async for response in responses:
                            yield response
                except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  translated
                    await around.fail(error)
                finally:
                    # Without this a generator that the caller left runs its clean-up only when collected.
                    await responses.aclose()  # type: ignore[attr-defined]

        return handle


class _Around:
    """Sets the context of a call, and tells of its end."""

    def __init__(self, call: _Call, request: Any, context: Context) -> None:
        self._call = call
        self._context = context
        self._code = "OK"
        self._began = time.monotonic()
        metadata = call._metadata
        traceparent = str(metadata.get("traceparent") or new_traceparent())
        current_actor.set(str(metadata.get("scow-actor", "")))
        current_traceparent.set(traceparent)
        remaining = context.time_remaining()
        current_deadline.set(None if remaining is None else self._began + remaining)
        self._bound = bound_contextvars(
            method=call._method, traceparent=traceparent, **_names(request)
        )

    def __enter__(self) -> _Around:
        self._bound.__enter__()
        owner = self._call._owner
        owner._under_way += 1
        owner._quiet.clear()
        if self._call._long and (task := asyncio.current_task()) is not None:
            owner._long.add(task)
            task.add_done_callback(owner._long.discard)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        owner = self._call._owner
        owner._under_way -= 1
        if not owner._under_way:
            owner._quiet.set()
        owner._last = time.monotonic()
        seconds = owner._last - self._began
        if kind in (asyncio.CancelledError, GeneratorExit):
            self._code = "CANCELLED"
        _log.debug("call", code=self._code, ms=round(seconds * 1000, 2))
        if owner._observe is not None:
            owner._observe(self._call._method, self._code, seconds)
        # A generator that is closed from another context cannot reset its variables; they end with it.
        with contextlib.suppress(ValueError):
            self._bound.__exit__(None, None, None)

    def admitted(self) -> contextlib.AbstractContextManager[None]:
        """Count the call while the block runs.

        Raises:
            TooManyCalls: It is one too many.
        """
        client = client_of(self._context.peer(), self._call._metadata)
        return self._call._owner._admission.entered(client)

    async def fail(self, error: BaseException) -> None:
        """End the call with the error's status. Does not return."""
        if isinstance(error, asyncio.CancelledError):
            if not self._call._owner._stopping:
                raise error
            error = Unavailable(
                "the service is stopping", what="service", do="try again in a moment"
            )
        if not isinstance(error, ScowError):
            _log.error("defect", exc_info=error)
            error = Internal(
                f"{type(error).__name__}: {error}",
                what="method",
                which=self._call._method,
                do="see the service's log",
            )
        self._code = error.code_name
        _log.info("call failed", code=error.code_name, reason=error.reason, error=error.message)
        self._context.set_trailing_metadata(((DETAILS_KEY, error.to_details()),))
        await self._context.abort(grpc.StatusCode[error.code_name], error.message)


def is_long(method: str, *, streams: bool) -> bool:
    """Tell whether a call lasts as long as its caller likes.

    Args:
        method: "/scow.api.container.v1.ContainerService/Wait".
        streams: Whether its responses are a stream.
    """
    return method.rpartition("/")[2] in (_LONG_STREAMS if streams else _LONG_ANSWERS)


def _names(request: Any) -> dict[str, str]:
    names: dict[str, str] = {}
    if request_id := getattr(request, "request_id", ""):
        names["request_id"] = request_id
    for name in _OBJECT_FIELDS:
        value = getattr(request, name, "")
        if value and isinstance(value, str):
            names["object"] = value
            break
    return names
