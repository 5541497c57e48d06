"""The two files of a state directory: what to clean up when the shim dies, and how the container ended."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from typing import Any

STATE = "state.json"
EXIT = "exit.json"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended: `code` is 128+n when signal n ended it; `error` says why it never ran."""

    code: int
    signal: int
    time_ns: int
    oom_killed: bool = False
    error: str = ""


@dataclass(slots=True)
class State:
    """What is needed to end a container without its shim; written before the first resource is made."""

    id: str
    version: str
    shim_pid: int
    shim_start_ticks: int
    pid: int = 0
    pid_start_ticks: int = 0
    cgroups: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def from_status(status: int, *, oom_killed: bool = False, error: str = "") -> Exit:
    """Make the record of a wait(2) status, with the time of now."""
    now = time.time_ns()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Exit(128 + number, number, now, oom_killed, error)
    return Exit(os.WEXITSTATUS(status), 0, now, oom_killed, error)


def write_state(directory: str, state: State) -> None:
    """Replace state.json. No fsync: what it describes does not survive the machine either."""
    _replace(directory, STATE, asdict(state), sync=False)


def add_warnings(directory: str, warnings: list[str]) -> None:
    """Keep warnings where `state.json` tells them."""
    state = read_state(directory)
    if state is not None and warnings:
        state.warnings += warnings
        write_state(directory, state)


def read_state(directory: str) -> State | None:
    """Read state.json; None when there is none."""
    data = _load(directory, STATE)
    return None if data is None else State(**data)


def as_dict(record: Exit) -> dict[str, Any]:
    """Return the record as it stands in exit.json."""
    return asdict(record)


def write_exit(directory: str, record: Exit) -> None:
    """Write exit.json so that it survives a crash of the machine."""
    _replace(directory, EXIT, asdict(record), sync=True)


def read_exit(directory: str) -> Exit | None:
    """Read exit.json; None when there is none."""
    data = _load(directory, EXIT)
    return None if data is None else Exit(**data)


def _load(directory: str, name: str) -> dict[str, Any] | None:
    try:
        with open(os.path.join(directory, name), "rb") as file:
            data: dict[str, Any] = json.load(file)
            return data
    except FileNotFoundError:
        return None


def _replace(directory: str, name: str, data: dict[str, Any], *, sync: bool) -> None:
    path = os.path.join(directory, name)
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(
        fd, "wb"
    ) as file:  # its write is whole or an error, os.write may be cut by a full disk
        file.write(json.dumps(data).encode())
        file.flush()
        if sync:
            os.fsync(fd)
    os.rename(temporary, path)
    if sync:
        parent = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)
