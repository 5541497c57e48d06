"""Times: as flags have them, `--since` and `--until`, and as Docker prints them."""

from __future__ import annotations

import re
import time

_NANO = 1_000_000_000
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|ms|s|m|h)")
_STAMP = re.compile(r"(\d+)(?:\.(\d{1,9}))?")
_DATE = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?)?(Z|[+-]\d\d:\d\d)?"
)


def parse_time(text: str) -> int:
    """Return the nanoseconds since 1970 (UTC) of a time.

    Args:
        text: A date as RFC 3339 writes it, also cut short ("2026-01-02T15:04"), in local time without
            an offset; seconds since 1970; or how long ago, as Go writes durations ("1m30s"); "-5m" is in five minutes.

    Raises:
        ValueError: None of these.
    """
    if match := _STAMP.fullmatch(text):
        return int(match[1]) * _NANO + int((match[2] or "").ljust(9, "0"))
    if (date := _DATE.fullmatch(text)) is not None:
        return _date(date)
    sign, length = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    pieces = list(_DURATION.finditer(length))
    if pieces and "".join(piece[0] for piece in pieces) == length:
        ago = sign * sum(float(piece[1]) * _SECONDS[piece[2]] for piece in pieces)
        return time.time_ns() - int(ago * _NANO)
    raise ValueError(
        f"failed to parse value as time or duration: {text!r}: use 2026-01-02T15:04:05Z, 10m or seconds"
    )


def _date(match: re.Match[str]) -> int:
    from datetime import datetime

    day, minute, second, fraction, offset = match.groups()
    iso = f"{day}T{minute or '00:00'}:{second or '00'}{offset or ''}"
    moment = datetime.fromisoformat(iso)  # without an offset: local time, which timestamp() knows
    return int(moment.timestamp()) * _NANO + int((fraction or "").ljust(9, "0"))


def format_time(nanoseconds: int) -> str:
    """Return a time as logs have it: RFC 3339, UTC, nine decimals."""
    seconds, fraction = divmod(nanoseconds, _NANO)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{fraction:09}Z"


def whole_moment(nanoseconds: int) -> str:
    """Return a time as `history` has it: RFC 3339, UTC, whole seconds; 0 is Go's zero time."""
    return moment(nanoseconds - nanoseconds % _NANO)


def moment(nanoseconds: int) -> str:
    """Return a time as `inspect` has it: RFC 3339, UTC, no more decimals than needed; 0 is Go's zero time."""
    if not nanoseconds:
        return "0001-01-01T00:00:00Z"
    return format_time(nanoseconds).removesuffix("Z").rstrip("0").rstrip(".") + "Z"


def local_date(nanoseconds: int) -> str:
    """Return a time as tables have it, "2026-01-02 15:04:05 +0100 CET"."""
    return time.strftime("%Y-%m-%d %H:%M:%S %z %Z", time.localtime(nanoseconds // _NANO))
