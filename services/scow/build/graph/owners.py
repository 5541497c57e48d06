"""Owners and permissions as COPY names them: `--chown=USER[:GROUP]` by the files of the stack, `--chmod`."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence

from scow.api.image.v1.layer_pb2 import Layer
from scow.build.peers.layers import Layers
from scow.contract.errors import FileNotFound, InvalidArgument, UserNotFound

# Bytes of /etc/passwd and /etc/group that are read.
_READ_MAX = 4 << 20
_ID_MAX = (1 << 32) - 2
_CLAUSE = re.compile(r"([ugoa]*)([-+=])([rwxXstugo]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}


async def resolve(layers: Layers, stack: Sequence[Layer], owner: str) -> tuple[int, int]:
    """Return the user and group that `USER[:GROUP]` means; a user alone is its number as group, too.

    Raises:
        UserNotFound: The stack has no such user or group.
        InvalidArgument: A number that is none.
    """
    user, _, group = owner.partition(":")
    uid = _number(user)
    if uid is None:
        fields = await _line(layers, stack, "/etc/passwd", user, "user")
        uid = int(fields[2])
    if not group:
        return uid, uid
    gid = _number(group)
    if gid is None:
        gid = int((await _line(layers, stack, "/etc/group", group, "group"))[2])
    return uid, gid


def _number(text: str) -> int | None:
    if not text:
        return 0
    if not _is_id(text):
        return None
    if len(text) > 10 or int(text) > _ID_MAX:
        raise InvalidArgument(
            f"{text} is no user or group", what="owner", which=text, do="use a smaller number"
        )
    return int(text)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit()


async def _line(
    layers: Layers, stack: Sequence[Layer], path: str, name: str, what: str
) -> list[str]:
    data = b""
    try:
        async for piece in layers.read(stack, path.encode()):
            data += piece.chunk
            if len(data) > _READ_MAX:
                break
    except FileNotFound:
        pass
    for line in data.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and _is_id(fields[2]) and len(fields[2]) <= 10:
            return fields
    raise UserNotFound(
        f"there is no {what} {name} in {path} of the stage",
        what=what,
        which=name,
        do=f"make the {what} before, or use a number",
    )


def changed(mode: int, chmod: str) -> int:
    """Return a mode, with its type, as `--chmod` makes it.

    Raises:
        InvalidArgument: It is neither an octal number nor symbolic (chmod(1)).
    """
    if not chmod:
        return mode
    kind = stat.S_IFMT(mode)
    if re.fullmatch(r"[0-7]{1,4}", chmod):
        return kind | int(chmod, 8)
    permissions = stat.S_IMODE(mode)
    for clause in chmod.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise InvalidArgument(
                f"{chmod} is not a mode", what="mode", which=chmod, do="use 755, or u=rwx,go=rx"
            )
        permissions = _applied(permissions, *match.groups(), is_directory=stat.S_ISDIR(mode))
    return kind | permissions


def _applied(mode: int, who: str, operator: str, what: str, *, is_directory: bool) -> int:
    reach = _union(_WHO[each] for each in (who.replace("a", "ugo") or "ugo"))
    bits = 0
    for letter in what:
        if letter in "rwx":
            bits |= {"r": 0o444, "w": 0o222, "x": 0o111}[letter]
        elif letter == "X":
            bits |= 0o111 if is_directory or mode & 0o111 else 0
        elif letter == "s":
            bits |= 0o6000
        elif letter == "t":
            bits |= 0o1000
        else:
            of = mode >> {"u": 6, "g": 3, "o": 0}[letter] & 7
            bits |= of << 6 | of << 3 | of
    bits &= reach
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    return mode & ~(reach & 0o777) & ~(reach & 0o6000) | bits


def _union(values: Iterable[int]) -> int:
    found = 0
    for value in values:
        found |= value
    return found
