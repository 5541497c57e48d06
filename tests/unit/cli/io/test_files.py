"""Files of variables and of labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.cli.flags.parser import UsageError
from scow.cli.io.files import labels, variables


def _write(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "file"
    path.write_bytes(content)
    return str(path)


def test_variables(tmp_path: Path) -> None:
    path = _write(tmp_path, b"\xef\xbb\xbfA=1\r\n  # no\n\n\tB=x = y #z\nHOME\nNOT_HERE\nC=\n")
    assert variables([path], ["D"], {"HOME": "/root", "D": "4"}) == [
        "A=1",
        "B=x = y #z",
        "HOME=/root",
        "C=",
        "D=4",
    ]
    # As a flag it goes to the engine, which takes the image's variable away.
    assert variables([path], ["NOT_HERE"], {}) == ["A=1", "B=x = y #z", "C=", "NOT_HERE"]


def test_labels_without_value_are_empty(tmp_path: Path) -> None:
    assert labels([_write(tmp_path, b"a\nb=1=2\n")], ["b=3"]) == {"a": "", "b": "3"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"=x", "no variable name on line 1"),
        (b"A=1\nB C=2", "variable 'B C' contains whitespaces"),
        (b"\xff", "contains invalid utf8 bytes at line 1"),
    ],
)
def test_wrong_lines(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        variables([_write(tmp_path, content)], [])
