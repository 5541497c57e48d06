"""`log` of a container's configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass

from scow.api.container.v1.container_pb2 import LogConfig
from scow.container.model.invalid import invalid

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([bkmgt]?)(i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_MOST = 1 << 62


@dataclass(frozen=True, slots=True)
class LogOptions:
    """How a container's output is logged.

    Attributes:
        driver: "json-file" or "none".
        max_size: Bytes of one file; 0 means the engine's.
        max_files: How many files, the one that is written included; 0 means the engine's.
    """

    driver: str = "json-file"
    max_size: int = 0
    max_files: int = 0


def parse(log: LogConfig) -> LogOptions:
    """Read the options.

    Raises:
        InvalidConfig: An unknown driver or option, or a value that it does not take.
    """
    driver = log.driver or "json-file"
    if driver not in ("json-file", "none"):
        raise invalid("log.driver", f"is {driver!r}", "use json-file or none")
    unknown = set(log.options) - {"max-size", "max-file"}
    if unknown or (driver == "none" and log.options):
        name = min(unknown or log.options)
        raise invalid("log.options", f"has {name!r}", "json-file takes max-size and max-file")
    return LogOptions(
        driver, _size(log.options.get("max-size", "")), _count(log.options.get("max-file", ""))
    )


def _size(text: str) -> int:
    if text in ("", "-1"):
        return 0
    match = _SIZE.fullmatch(text)
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if not 1 <= size <= _MOST:
        raise invalid("log.options", f"has max-size {text!r}", 'use a size like "10m"')
    return size


def _count(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 4) or not 1 <= int(text) <= 1000:
        raise invalid("log.options", f"has max-file {text!r}", "use 1 to 1000")
    return int(text)
