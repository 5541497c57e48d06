"""Bounds of a container's texts, whether the caller or the image gives them.

The guide has them as a table (docs/guide/engine.md, "Limits").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.container.model.invalid import invalid
from scow.contract.errors import LimitExceeded
from scow.core import labels

# Bytes of a whole configuration as a message.
CONFIG_MAX = 4 << 20
# Bytes of one argument or variable, without its NUL: the kernel's MAX_ARG_STRLEN (execve(2)).
ARGUMENT_MAX = (128 << 10) - 1
# The kernel's PATH_MAX, without the NUL.
PATH_MAX = 4095
_USER_MAX = 256
# Docker's last user and group.
_ID_MAX = (1 << 31) - 1


def check_size(config: ContainerConfig) -> None:
    """Refuse a configuration that every list and record of the container would carry.

    Raises:
        LimitExceeded: It has more than CONFIG_MAX bytes.
    """
    size = config.ByteSize()
    if size > CONFIG_MAX:
        raise _exceeded(
            "config", f"has {size} bytes", f"use at most {CONFIG_MAX}; give data as files"
        )


def check_texts(field: str, texts: Iterable[str]) -> None:
    """Refuse arguments that no process can be given.

    Raises:
        InvalidConfig: One has a NUL.
        LimitExceeded: One is too long.
    """
    for text in texts:
        if "\0" in text:
            raise invalid(field, "has a NUL in it", "take it out")
        # Most are short: a character has four bytes at most.
        if len(text) > ARGUMENT_MAX // 4 and len(text.encode("utf-8", "replace")) > ARGUMENT_MAX:
            raise _exceeded(
                field,
                f"has an entry of {len(text)} characters",
                f"use at most {ARGUMENT_MAX} bytes, which is what the kernel takes",
            )


def check_env(field: str, env: Iterable[str]) -> None:
    """Refuse variables that no process can be given.

    Raises:
        InvalidConfig: One has a NUL or no name.
        LimitExceeded: One is too long.
    """
    entries = list(env)
    check_texts(field, entries)
    for text in entries:
        if not text.partition("=")[0]:
            raise invalid(field, f"has {text!r} without a name", "use KEY=VALUE")


def check_labels(field: str, given: Mapping[str, str]) -> None:
    """Refuse labels that are together too long.

    Raises:
        LimitExceeded: They are.
    """
    labels.check(field, given)


def check_path(field: str, path: str) -> None:
    """Refuse a path that is not absolute, too long, or has a NUL; an empty one means that there is none.

    Raises:
        InvalidConfig: It is one of these.
    """
    if "\0" in path:
        raise invalid(field, "has a NUL in it", "take it out")
    if path and not path.startswith("/"):
        raise invalid(field, f"is {path!r}", "use an absolute path")
    if len(path.encode("utf-8", "replace")) > PATH_MAX:
        raise invalid(field, f"has {len(path)} characters", f"use at most {PATH_MAX} bytes")


def check_user(field: str, user: str) -> None:
    """Refuse a user that no file of users can have: "name", "uid", either with ":group".

    Raises:
        InvalidConfig: It has too many characters, or some that cannot be shown, or too high a number.
    """
    if len(user) > _USER_MAX or not user.isprintable():
        raise invalid(field, f"is {user!r}", f"use up to {_USER_MAX} printable characters")
    for part in user.split(":"):
        if part.isascii() and part.isdigit() and (len(part) > 10 or int(part) > _ID_MAX):
            raise invalid(field, f"is {user!r}", f"use numbers from 0 to {_ID_MAX}")


def _exceeded(field: str, why: str, do: str) -> LimitExceeded:
    return LimitExceeded(f"{field} {why}", what="field", which=field, do=do)
