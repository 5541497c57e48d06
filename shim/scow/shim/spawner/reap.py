"""Ends what a shim that died left behind: `python -m scow.shim.spawner.reap --state-dir DIR [--force]`.

The kernel ends a container's init with its shim (PR_SET_PDEATHSIG), and with the init its pid namespace; what
remains is the cgroup, in it processes of a container without a pid namespace of its own, and the exit that nobody
recorded.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from scow.contract.errors import ContainerSetupFailed, ScowError, ShimRunning
from scow.contract.shim_files import Exit, State
from scow.kernel import identity
from scow.shim import cgroup
from scow.shim.keeper import exit_record

SHIM_DIED = "the shim died; its container was ended"
_PATIENCE_SECONDS = 10.0


def reap(state_dir: str, *, force: bool = False) -> Exit:
    """End the container of a state directory and return its exit record, making one where there is none.

    Raises:
        ShimRunning when the shim lives and not `force`;
            ContainerSetupFailed when processes do not die.
    """
    state = State.read(state_dir)
    if state is not None:
        _end_shim(state, force)
        _kill(state.pid, state.pid_start_ticks)
        if not cgroup.end(tuple(state.cgroups), _PATIENCE_SECONDS):
            text = f"processes of {state.id} do not die"
            raise ContainerSetupFailed(text, what="container", which=state.id)
    record = Exit.read(state_dir)
    if record is None:
        record = Exit(128 + signal.SIGKILL, int(signal.SIGKILL), time.time_ns(), error=SHIM_DIED)
        exit_record.write_exit(state_dir, record)
    return record


def sweep(parent: str) -> bool:
    """Remove an engine's cgroup parent; False when a container is left in it."""
    removed = True
    for directory in cgroup.discover().parents(parent):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            continue
        except OSError:
            removed = False
    return removed


def _end_shim(state: State, force: bool) -> None:
    if not identity.alive(state.shim_pid, state.shim_start_ticks):
        return
    if not force:
        raise ShimRunning(
            f"the shim of {state.id} lives",
            what="container",
            which=state.id,
            do="ask it to shut down, or use force",
        )
    _kill(state.shim_pid, state.shim_start_ticks)


def _kill(pid: int, ticks: int) -> None:
    """Kill a process, if it still is the one, and wait until it is gone or a zombie."""
    identity.kill(pid, ticks)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline and identity.alive(pid, ticks):
        time.sleep(0.001)


def main() -> int:
    """Run the command; print the record as JSON."""
    parser = argparse.ArgumentParser(prog="scow.shim.spawner.reap")
    parser.add_argument("--state-dir", required=True)
    parser.add_argument("--force", action="store_true", help="kill the shim if it lives")
    options = parser.parse_args()
    try:
        record = reap(options.state_dir, force=options.force)
    except ScowError as error:
        print(f"scow.shim.spawner.reap: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(record.encode().decode())  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
