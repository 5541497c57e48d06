"""Logs: structlog to standard error, JSON when it is not a terminal.

The request id, the traceparent and the object of an RPC are bound by the server's interceptor, so every
line that a call writes has them.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from scow.core.config import LogSection

# Without the values of variables: passwords and tokens are among them.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure(section: LogSection, service: str, stream: TextIO = sys.stderr) -> None:
    """Set up structlog for this process.

    Args:
        section: The configuration's part.
        service: Name that every line carries.
        stream: Where lines go.
    """
    plain = section.format == "console" or (section.format == "auto" and stream.isatty())
    renderer = structlog.dev.ConsoleRenderer() if plain else structlog.processors.JSONRenderer()
    level = logging.getLevelNamesMapping()[section.level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _TRACEBACKS if not plain else _keep,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)


def _keep(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return event
