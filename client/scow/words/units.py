"""Sizes and durations for people, with the words and the rounding of Docker's go-units."""

from __future__ import annotations

_SIZES = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def human_size(size: float, digits: int = 4) -> str:
    """Return bytes as "1.234MB": powers of 1000, so many digits at most."""
    return _scaled(size, 1000, _SIZES, digits)


def binary_size(size: float) -> str:
    """Return bytes as "7.758GiB": powers of 1024."""
    return _scaled(size, 1024, _BINARY, 4)


def _scaled(size: float, base: int, units: tuple[str, ...], digits: int) -> str:
    number = 0
    while size >= base and number < len(units) - 1:
        size /= base
        number += 1
    return f"{size:.{digits}g}{units[number]}"


def human_duration(seconds: float) -> str:
    """Return how long something took, "3 minutes" or "About an hour"."""
    whole = int(seconds)
    if whole < 1:
        return "Less than a second"
    if whole < _MINUTE:
        return "1 second" if whole == 1 else f"{whole} seconds"
    if whole < 2 * _MINUTE:
        return "About a minute"
    if whole < _HOUR:
        return f"{whole // _MINUTE} minutes"
    return _long_duration(int(seconds / _HOUR + 0.5))


def _long_duration(hours: int) -> str:
    if hours <= 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    if hours < 24 * 7 * 2:
        return f"{hours // 24} days"
    if hours < 24 * 30 * 2:
        return f"{hours // 24 // 7} weeks"
    if hours < 24 * 365 * 2:
        return f"{hours // 24 // 30} months"
    return f"{hours // 24 // 365} years"


# Bytes are 64 bits with a sign wherever they are kept.
_ROOM = 1 << 63


def parse_size(text: str) -> int:
    """Return the bytes of "64m", "1.5GiB" or "1024"; units are powers of 1024.

    Raises:
        ValueError: No such size.
    """
    number = text.rstrip("bBiIkKmMgGtTpP ")
    suffix = text[len(number) :].strip().lower().removesuffix("b").removesuffix("i")
    try:
        value = float(number) * _UNITS[suffix]
    except (ValueError, KeyError):
        raise ValueError(f"invalid size: {text!r}") from None
    if not 0 <= value < _ROOM:
        raise ValueError(f"invalid size: {text!r}")
    return int(value)
