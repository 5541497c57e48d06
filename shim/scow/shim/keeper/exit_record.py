"""Writing the two files of a state directory: what to clean up when the shim dies, and how the container ended."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, replace

from scow.contract.shim_files import EXIT, STATE, Exit, State
from scow.shim.keeper.usage import Usage


def from_status(status: int, *, oom_killed: bool = False, error: str = "") -> Exit:
    """Make the record of a wait(2) status, with the time of now."""
    now = time.time_ns()
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return Exit(128 + number, number, now, oom_killed, error)
    return Exit(os.WEXITSTATUS(status), 0, now, oom_killed, error)


def with_usage(record: Exit, oom_kills: int, used: Usage) -> Exit:
    """Return a record with what the container used."""
    return replace(record, oom_kills=oom_kills, **asdict(used))


def write_state(directory: str, state: State) -> None:
    """Replace state.json. No fsync: what it describes does not survive the machine either."""
    _replace(directory, STATE, state.encode(), sync=False)


def add_warnings(directory: str, warnings: list[str]) -> None:
    """Keep warnings where `state.json` tells them."""
    state = State.read(directory)
    if state is not None and warnings:
        state.warnings += warnings
        write_state(directory, state)


def write_exit(directory: str, record: Exit) -> None:
    """Write exit.json so that it survives a crash of the machine."""
    _replace(directory, EXIT, record.encode(), sync=True)


def _replace(directory: str, name: str, data: bytes, *, sync: bool) -> None:
    path = os.path.join(directory, name)
    temporary = f"{path}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(
        fd, "wb"
    ) as file:  # its write is whole or an error, os.write may be cut by a full disk
        file.write(data)
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
