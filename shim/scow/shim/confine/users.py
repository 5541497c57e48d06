"""Users and groups, looked up in the container's own /etc/passwd and /etc/group.

Called inside the container's root. The files belong to the image, which may be hostile: only regular files of a
bounded size are read, lines that do not parse are skipped, and nss is never asked (it would load
the container's libraries into the engine's process).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass

from scow.contract.errors import UserNotFound
from scow.kernel import rootpath

_MAX_BYTES = 16 << 20
_MAX_ID = (1 << 32) - 2  # (uid_t)-1 means "unchanged" to setresuid(2)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process is."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


def resolve(
    user: str, extra_groups: Iterable[str], passwd: str = "/etc/passwd", group: str = "/etc/group"
) -> Identity:
    """Resolve `name`, `uid`, `name:group` or `uid:gid`; empty means uid 0.

    As in Docker, a number needs no entry, and naming a group drops the supplementary groups of the user. The primary
    group is always among the supplementary ones: a setgid program that changes it leaves them, so that a file which
    denies something to the user's own group (mode 0705) goes on denying it (CVE-2022-36109).

    Raises:
        UserNotFound, naming the user or the group.
    """
    name, colon, group_name = user.partition(":")
    name = name or "0"
    entry = _find_user(_rows(passwd, 7), name)
    groups = _rows(group, 4)
    if entry is not None:
        uid, gid, home, login = int(entry[2]), int(entry[3]), entry[5], entry[0]
    else:
        uid, gid, home, login = _number(name, "user", user), 0, "/", ""
    if colon and group_name:
        gid = _group_id(groups, group_name)
        supplementary: list[int] = []
    else:
        supplementary = [int(row[2]) for row in groups if login and login in row[3].split(",")]
    supplementary += [_group_id(groups, extra) for extra in extra_groups]
    unique = tuple(dict.fromkeys((gid, *supplementary)))
    return Identity(uid, gid, unique, home or "/")


def home_of(uid: int, passwd: str = "/etc/passwd") -> str:
    """Return the home directory of a uid, or "/"."""
    for row in _rows(passwd, 7):
        if int(row[2]) == uid:
            return row[5] or "/"
    return "/"


def _rows(path: str, columns: int) -> list[list[str]]:
    """Return the rows of a passwd(5) or group(5) file whose numeric columns are numbers."""
    numeric = (2, 3) if columns == 7 else (2,)
    rows = []
    for line in _read(path).splitlines():
        row = line.strip().split(":")
        if line.startswith("#") or len(row) < columns:
            continue
        if all(_is_id(row[index]) for index in numeric):
            rows.append(row)
    return rows


def _read(path: str) -> str:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # In the root: a link by way of /proc could lead out of the container.
        fd = rootpath.open_in(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return ""
    finally:
        os.close(root)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return file.read(_MAX_BYTES).decode("utf-8", "surrogateescape")


def _find_user(rows: list[list[str]], name: str) -> list[str] | None:
    for row in rows:
        if row[0] == name:
            return row
    for row in rows:
        if _is_id(name) and int(row[2]) == int(name):
            return row
    return None


def _group_id(rows: list[list[str]], name: str) -> int:
    for row in rows:
        if row[0] == name:
            return int(row[2])
    return _number(name, "group", name)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MAX_ID


def _number(text: str, what: str, given: str) -> int:
    if _is_id(text):
        return int(text)
    message = f"the container has no {what} {text}"
    raise UserNotFound(message, what=what, which=given)
