"""Permissions as `--chmod` names them."""

from __future__ import annotations

import stat

import pytest

from scow.build.graph.owners import changed
from scow.contract.errors import InvalidArgument

FILE, DIR = stat.S_IFREG, stat.S_IFDIR


@pytest.mark.parametrize(
    ("before", "chmod", "after"),
    [
        (FILE | 0o644, "", FILE | 0o644),
        (FILE | 0o644, "755", FILE | 0o755),
        (FILE | 0o644, "04755", FILE | 0o644),
        (FILE | 0o644, "1777", FILE | 0o1777),
        (FILE | 0o644, "+x", FILE | 0o755),
        (FILE | 0o644, "u+x,g-r", FILE | 0o704),
        (FILE | 0o777, "go=", FILE | 0o700),
        (FILE | 0o750, "o=g", FILE | 0o755),
        (FILE | 0o644, "a+X", FILE | 0o644),
        (DIR | 0o644, "a+X", DIR | 0o755),
        (FILE | 0o755, "u+s", FILE | 0o4755),
        (FILE | 0o755, "+t", FILE | 0o1755),
    ],
)
def test_modes(before: int, chmod: str, after: int) -> None:
    if chmod == "04755":
        with pytest.raises(InvalidArgument):
            changed(before, chmod)
        return
    assert oct(changed(before, chmod)) == oct(after)


@pytest.mark.parametrize("chmod", ["rwx", "u", "888", "u=q", "u+x;g+x", "77777"])
def test_what_is_no_mode(chmod: str) -> None:
    with pytest.raises(InvalidArgument):
        changed(FILE | 0o644, chmod)
