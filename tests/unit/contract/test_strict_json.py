"""JSON that means one thing, or nothing."""

from __future__ import annotations

import pytest

from scow.contract import strict_json


def test_what_is_legal() -> None:
    document = '{"a": [1, -2.5e3, true, null, "\\u00e9 \\ud83d\\ude00 \u00e9"], "b": {}}'.encode()
    assert strict_json.loads(document) == {
        "a": [1, -2500.0, True, None, "\u00e9 \U0001f600 \u00e9"],
        "b": {},
    }


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b'{"a": 1} {}',
        b'{"a": 1, "a": 1}',
        b'[{"a": {"b": 1, "b": 2}}]',
        b'"\\ud800"',
        b'{"\\udc00": 1}',
        b'"\xff"',
        '"text"'.encode("utf-16"),
        b'\xef\xbb\xbf"text"',
        b"NaN",
        b"[-Infinity]",
        b"[" * 100_000,
        b"[" * 3000 + b'"\\u0041"' + b"]" * 3000,
        b"9" * 5000,
        b"[1e999]",
    ],
)
def test_what_is_not(document: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  which words depends on the parser
        strict_json.loads(document)
