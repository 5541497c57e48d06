"""Where plugins are.

A plugin NAME is found by `NAME.sock` or `NAME/NAME.sock`, its socket, or by `NAME.spec` or `NAME.json` (or in a folder
NAME), which says where its socket is: a line "unix:///PATH", or an object with "Addr". Earlier folders win.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}")
_SUFFIXES = (".sock", ".spec", ".json")
_SPEC_MAX = 1 << 16
_UNIX = "unix://"


@dataclass(frozen=True)
class Found:
    """A plugin that is there, or that something speaks of.

    Attributes:
        name: Its name, which volumes have as their driver.
        source: The file by which it was found.
        socket: Its socket's path; empty when it cannot be used.
        fault: Why it cannot be used; empty otherwise.
    """

    name: str
    source: str
    socket: str = ""
    fault: str = ""


def find(folders: Sequence[Path], name: str) -> Found | None:
    """Look for one plugin."""
    if not NAME.fullmatch(name):
        return None
    for suffix in _SUFFIXES:
        for folder in folders:
            for path in (folder / f"{name}{suffix}", folder / name / f"{name}{suffix}"):
                if (found := _read(name, path, suffix)) is not None:
                    return found
    return None


def find_all(folders: Sequence[Path]) -> list[Found]:
    """Return all plugins by name."""
    names: set[str] = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            names.update(_name(entry) for entry in os.scandir(folder))
    found = (find(folders, name) for name in sorted(names))
    return [each for each in found if each is not None]


def _name(entry: os.DirEntry[str]) -> str:
    stem, suffix = os.path.splitext(entry.name)
    return stem if suffix in _SUFFIXES else entry.name


def _read(name: str, path: Path, suffix: str) -> Found | None:
    try:
        if suffix == ".sock":
            return Found(name, str(path), str(path)) if stat.S_ISSOCK(path.stat().st_mode) else None
        with path.open("rb") as file:
            text = file.read(_SPEC_MAX + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Found(name, str(path), fault=f"{path} cannot be read: {error.strerror}")
    address, fault = _address(text, suffix)
    if not fault and not address.startswith(f"{_UNIX}/"):
        fault = f"{path} names no unix socket: {address[:100]!r}"
    return Found(name, str(path), "" if fault else address.removeprefix(_UNIX), fault)


def _address(text: bytes, suffix: str) -> tuple[str, str]:
    """Return the address that a specification gives, or what is wrong with it."""
    if len(text) > _SPEC_MAX:
        return "", f"its specification is longer than {_SPEC_MAX} bytes"
    try:
        if suffix == ".spec":
            return text.decode().strip(), ""
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return "", f"its specification cannot be read: {error}"
    address = value.get("Addr") if isinstance(value, dict) else None
    return (address, "") if isinstance(address, str) else ("", 'its specification has no "Addr"')
