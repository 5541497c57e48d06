"""Go's literals: numbers, characters and strings."""

from __future__ import annotations

_SIMPLE = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    "'": "'",
    '"': '"',
}
# Letter after the backslash: number of hexadecimal digits.
_CODES = {"x": 2, "u": 4, "U": 8}
_INT64 = 1 << 63


def number(text: str) -> int | float:
    """Return the value of a number.

    Raises:
        ValueError: The literal is invalid; the message is Go's.
    """
    digits = text.replace("_", "").lower()
    is_hex = digits.lstrip("+-").startswith("0x")
    if not is_hex and any(mark in digits for mark in ".e"):
        return _float(text, digits)
    if is_hex and any(mark in digits for mark in ".p"):
        try:
            return float.fromhex(digits)
        except (ValueError, OverflowError):
            raise ValueError(f"illegal number syntax: {text!r}") from None
    try:
        value = int(digits, 8 if _is_old_octal(digits) else 0)
    except ValueError:
        raise ValueError(f'integer overflow: "{text}"') from None
    if not -_INT64 <= value < _INT64:
        raise ValueError(f'integer overflow: "{text}"')
    return value


def _is_old_octal(digits: str) -> bool:
    bare = digits.lstrip("+-")
    return len(bare) > 1 and bare[0] == "0" and bare[1].isdigit()


def _float(text: str, digits: str) -> float:
    try:
        value = float(digits)
    except ValueError:
        raise ValueError(f'bad number syntax: "{text}"') from None
    if value in (float("inf"), float("-inf")):
        raise ValueError(f'illegal number syntax: "{text}"')
    return value


def character(text: str) -> int:
    """Return the code of a character constant.

    Raises:
        ValueError: It does not hold exactly one character.
    """
    value = string(text)
    if len(value) != 1:
        raise ValueError(f"malformed character constant: {text}")
    return ord(value)


def string(text: str) -> str:
    """Return the value of a quoted string; bytes that are no UTF-8 as surrogateescape decodes them.

    Raises:
        ValueError: It has an invalid escape.
    """
    body, made, at = text[1:-1], bytearray(), 0
    while at < len(body):
        if body[at] != "\\":
            made += body[at].encode("utf-8", "surrogateescape")
            at += 1
            continue
        letter = body[at + 1 : at + 2]
        if letter in _SIMPLE and letter != ("'" if text[0] == '"' else '"'):
            made += _SIMPLE[letter].encode()
            at += 2
            continue
        length = _CODES.get(letter, 3)
        start = at + (2 if letter in _CODES else 1)
        made += _code(letter, body[start : start + length], length)
        at = start + length
    return made.decode("utf-8", "surrogateescape")


def _code(letter: str, digits: str, length: int) -> bytes:
    allowed = "0123456789abcdefABCDEF" if letter in _CODES else "01234567"
    if len(digits) != length or any(digit not in allowed for digit in digits):
        raise ValueError("invalid syntax")
    code = int(digits, 16 if letter in _CODES else 8)
    if letter in ("u", "U"):
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise ValueError("invalid syntax")
        return chr(code).encode()
    if code > 0xFF:
        raise ValueError("invalid syntax")
    return bytes([code])
