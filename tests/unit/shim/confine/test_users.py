"""Users and groups of a container's files, hostile ones included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scow.contract.errors import ScowError
from scow.shim.confine import users
from scow.shim.confine.users import Identity

PASSWD = """# comment
root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:App:/home/app:/bin/sh
123:x:7:8:a name of digits:/n:/bin/sh
broken line
bad:x:no:1:::
huge:x:99999999999:1::/:
negative:x:-1:1::/:
nohome:x:5:5:::/bin/sh
"""
GROUP = """root:x:0:
app:x:1001:
audio:x:29:app,other
video:x:44:app
wheel:x:10:root
broken
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return str(tmp_path / "passwd"), str(tmp_path / "group")


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Identity(0, 0, (0, 10), "/root")),
        ("root", Identity(0, 0, (0, 10), "/root")),
        ("app", Identity(1000, 1001, (1001, 29, 44), "/home/app")),
        ("1000", Identity(1000, 1001, (1001, 29, 44), "/home/app")),
        ("app:audio", Identity(1000, 29, (29,), "/home/app")),
        ("app:77", Identity(1000, 77, (77,), "/home/app")),
        ("4242", Identity(4242, 0, (0,), "/")),
        ("4242:4343", Identity(4242, 4343, (4343,), "/")),
        ("123", Identity(7, 8, (8,), "/n")),
        ("nohome", Identity(5, 5, (5,), "/")),
        (":audio", Identity(0, 29, (29,), "/root")),
    ],
)
def test_resolve(files: tuple[str, str], user: str, expected: Identity) -> None:
    assert users.resolve(user, (), *files) == expected


def test_further_groups(files: tuple[str, str]) -> None:
    found = users.resolve("app", ("wheel", "5", "audio"), *files)
    assert found.groups == (1001, 29, 44, 10, 5)


@pytest.mark.parametrize(
    ("user", "what"),
    [("nobody", "user"), ("app:none", "group"), ("bad", "user"), ("huge", "user"), ("-1", "user"),
     ("4294967295", "user"), ("٣", "user")],
)  # fmt: skip
def test_who_is_not_there(files: tuple[str, str], user: str, what: str) -> None:
    with pytest.raises(ScowError) as raised:
        users.resolve(user, (), *files)
    assert (raised.value.reason, raised.value.metadata["what"]) == ("USER_NOT_FOUND", what)


def test_without_files_numbers_do(tmp_path: Path) -> None:
    none = str(tmp_path / "none")
    assert users.resolve("5:6", (), none, none) == Identity(5, 6, (6,), "/")
    assert users.home_of(5, none) == "/"


def test_home_of(files: tuple[str, str]) -> None:
    assert users.home_of(1000, files[0]) == "/home/app"


def test_a_fifo_or_a_device_does_not_hang(tmp_path: Path) -> None:
    fifo = tmp_path / "passwd"
    os.mkfifo(fifo)
    assert users.resolve("5", (), str(fifo), "/dev/zero") == Identity(5, 0, (0,), "/")
