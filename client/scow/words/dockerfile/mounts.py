"""`RUN --mount=type=...,...`: what is mounted while a program runs.

https://docs.docker.com/reference/dockerfile/#run---mount
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace

from scow.words import units
from scow.words.dockerfile.problem import Problem, did_you_mean
from scow.words.dockerfile.syntax import Mount

TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
SHARING = ("shared", "private", "locked")
_NUMBER_MAX = (1 << 32) - 1
_SIZE_MAX = (1 << 63) - 1
_ALIASES = {
    "src": "source",
    "dst": "target",
    "destination": "target",
    "ro": "readonly",
    "rw": "readwrite",
}
_KEYS = {
    "bind": ("type", "from", "source", "target", "readonly", "readwrite"),
    "cache": (
        *("type", "id", "from", "source", "target", "readonly", "readwrite"),
        *("sharing", "mode", "uid", "gid"),
    ),
    "tmpfs": ("type", "target", "size", "readonly", "readwrite"),
    "secret": ("type", "id", "source", "target", "env", "required", "mode", "uid", "gid"),
    "ssh": ("type", "id", "target", "required", "mode", "uid", "gid"),
}
_BOOLEANS = ("readonly", "readwrite", "required")
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


def _same(text: str) -> str:
    return text


def parse(text: str, expand: Callable[[str], str] = _same) -> Mount:
    """Read the value of `--mount`.

    Args:
        text: "type=cache,target=/root/.cache": fields as in CSV.
        expand: Replaces variables in a value.

    Raises:
        Problem: An unknown field, one that the type does not take, or a value of a wrong form.
    """
    fields = _fields(text)
    kind = "bind"
    for key, value in fields:
        if key == "type":
            kind = expand(value or "").lower()
    if kind not in TYPES:
        raise Problem(f"unknown type of mount {kind!r}", did_you_mean(kind, TYPES))
    mount = Mount(type=kind, read_only=kind not in ("cache", "tmpfs"))
    for key, value in fields:
        if key not in _KEYS[kind]:
            known = any(key in keys for keys in _KEYS.values())
            raise Problem(
                f"a mount of the type {kind} takes no {key!r}"
                if known
                else f"unknown field {key!r}",
                f"use {', '.join(_KEYS[kind])}" if known else did_you_mean(key, _KEYS[kind]),
            )
        if value is None and key not in _BOOLEANS:
            raise Problem(f"the field {key!r} has no value", f"write {key}=VALUE")
        mount = _with(mount, key, None if value is None else _expanded(key, value, expand))
    return _checked(mount)


def references(text: str) -> str:
    """Return the name after `from=` of a mount, which has no variables; empty without one.

    Raises:
        Problem: It has a variable: what is to be built must be known before variables are.
    """
    for key, value in _fields(text):
        if key == "from" and value:
            if "$" in value[:-1]:
                raise Problem(
                    "'from' of a mount takes no variables",
                    "write FROM $NAME AS stage with a global ARG, and from=stage",
                )
            return value
    return ""


def _expanded(key: str, value: str, expand: Callable[[str], str]) -> str:
    return value if key == "from" else expand(value)


def _fields(text: str) -> list[tuple[str, str | None]]:
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error as error:
        raise Problem(f"the mount {text!r} cannot be read: {error}", "close quotes") from None
    found = []
    for field in rows[0] if rows else ():
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        found.append((_ALIASES.get(key, key), value if equals else None))
    return found


def _with(mount: Mount, key: str, value: str | None) -> Mount:
    given = value or ""
    match key:
        case "readonly":
            return replace(mount, read_only=_boolean(key, value))
        case "readwrite":
            return replace(mount, read_only=not _boolean(key, value))
        case "required":
            return replace(mount, is_required=_boolean(key, value))
        case "source":
            return replace(mount, source=given)
        case "target":
            return replace(mount, target=given)
        case "id":
            return replace(mount, id=given)
        case "env":
            return replace(mount, env=given)
        case "from":
            return replace(mount, from_name=given)
        case "size":
            return replace(mount, size=_size(given))
        case "sharing":
            return replace(mount, sharing=_sharing(given.lower()))
        case "mode":
            return replace(mount, mode=_number(key, given, 8))
        case "uid":
            return replace(mount, uid=_number(key, given, 10))
        case "gid":
            return replace(mount, gid=_number(key, given, 10))
    return mount  # the type, which is known


def _sharing(text: str) -> str:
    if text not in SHARING:
        raise Problem(f"unknown sharing {text!r}", did_you_mean(text, SHARING))
    return text


def _boolean(key: str, value: str | None) -> bool:
    if value is None or value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise Problem(f"{key!r} of a mount is true or false, not {value!r}", f"write {key}=true")


def _number(key: str, text: str, base: int) -> int:
    digits = "01234567" if base == 8 else "0123456789"
    if not text or len(text) > 12 or text.strip(digits) or int(text, base) > _NUMBER_MAX:
        raise Problem(
            f"{key!r} of a mount is {'an octal' if base == 8 else 'a'} number, not {text!r}",
            "write mode=0755" if base == 8 else f"write {key}=1000",
        )
    return int(text, base)


def _size(text: str) -> int:
    try:
        size = units.parse_size(text)
    except ValueError:
        size = -1
    if not 0 <= size <= _SIZE_MAX:
        raise Problem(f"'size' of a mount is bytes, not {text!r}", "write size=64m")
    return size


def _checked(mount: Mount) -> Mount:
    if mount.type == "secret":
        if not mount.source and not mount.target and not mount.id:
            raise Problem("the secret has no id", "write id=NAME")
        if mount.source and mount.id:
            raise Problem(
                "the secret has both an id and a source, which are the same", "keep the id"
            )
    elif mount.type in ("bind", "cache", "tmpfs") and not mount.target:
        raise Problem(f"the mount of the type {mount.type} has no target", "write target=/PATH")
    return mount
