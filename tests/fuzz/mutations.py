"""Changes of valid input that keep it nearly valid."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.support.rawtar import base256, octal

_BLOCK = 512
# Where a header has its fields (POSIX.1-2017 pax, "ustar Interchange Format"): begin and width.
_FIELDS = (
    *((0, 100), (100, 8), (108, 8), (116, 8), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8)),
    *((329, 8), (337, 8), (345, 155), (386, 96), (482, 1), (483, 12)),
)
_NAMES = b"|.|..|/|a|f|d|x|w|../x|/etc|a/b/c|.wh.f|.wh..wh..opq|w/f|\xff|a\nb".split(b"|")
_VALUES = [0, 1, -1, 511, 512, 513, 1 << 20, 1 << 33, 1 << 62, (1 << 63) - 1, 1 << 63, -(1 << 63)]


def _number(value: int, width: int) -> bytes:
    if 0 <= value < 8 ** (width - 1):
        return octal(value, width)
    return base256(max(min(value, (1 << 8 * width - 2) - 1), -(1 << 8 * width - 2)), width)


@st.composite
def tars(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """Draw a tar of which some fields, bytes or blocks are others; checksums mostly stay right."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        if not data:
            break
        block = draw(st.integers(0, (len(data) - 1) // _BLOCK)) * _BLOCK
        change = draw(st.integers(0, 6))
        if change <= 3:
            _change_field(draw, data, block)
        elif change == 4:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        elif change == 5:  # a block twice
            data[block:block] = data[block : block + _BLOCK]
        else:
            del data[block : block + draw(st.sampled_from([1, _BLOCK, 2 * _BLOCK]))]
    return bytes(data)


def _change_field(draw: st.DrawFn, data: bytearray, block: int) -> None:
    if len(data) < block + _BLOCK:
        return
    begin, width = draw(st.sampled_from(_FIELDS))
    if width == 1:
        value = draw(st.sampled_from([b"%c" % kind for kind in b"01234567LKxgXSVMDN\0\x01"]))
    elif width in (8, 12):
        value = _number(draw(st.sampled_from(_VALUES)), width)
    else:
        value = draw(st.sampled_from(_NAMES))
    data[block + begin : block + begin + width] = value[:width].ljust(width, b"\0")
    data[block + 148 : block + 156] = b" " * 8
    data[block + 148 : block + 156] = b"%06o\0 " % sum(data[block : block + _BLOCK])


_ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "\ud800", [], {}, [None], {"a": 1}),
    *("sha256:" + "ab" * 32, "sha256:x", "linux", "arm"),
    *("9999-99-99", "0001-01-01T00:00:00Z", "2024-01-01T00:00:00.999999999999Z"),
]


@st.composite
def documents(draw: st.DrawFn, values: list[dict[str, Any]]) -> bytes:
    """Draw a JSON document of which some values are others, gone, or there once more."""
    value = json.loads(json.dumps(draw(st.sampled_from(values))))
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while True:
            keys: list[Any] = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and draw(st.integers(0, 4)):
                place = place[key]
                continue
            place[key] = copy.deepcopy(draw(st.sampled_from(_ODD)))
            break
    text = json.dumps(value)
    at = draw(st.integers(0, len(text)))
    if draw(st.integers(0, 3)) == 0:
        text = (
            text[:at]
            + draw(st.sampled_from(["", "{", "\\u0000", "[" * 2000, '"', ","]))
            + text[at:]
        )
    return text.encode("utf-8", "surrogatepass")
