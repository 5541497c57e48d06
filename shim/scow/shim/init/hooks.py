"""OCI hooks: programs of the host that are executed on the way to a container's start (runtime specification, "Hooks").

Those of `prestart` and `createRuntime` are in the host's namespaces, those of `createContainer` in the container's,
before the root file system is pivoted into; the program is the host's in both cases. Each gets the state on its
standard input.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterable
from typing import Any

from scow.contract.errors import ContainerSetupFailed, ScowError
from scow.shim.oci.config import Hook

_SECONDS = 60
_OUTPUT = 500


def run(hooks: Iterable[Hook], state: dict[str, Any]) -> None:
    """Execute hooks one after the other.

    Args:
        hooks: Which.
        state: Of the container.

    Raises:
        ContainerSetupFailed: One failed, with what it printed last, or took longer than it may.
    """
    for hook in hooks:
        _run(hook, json.dumps(state).encode())


def _run(hook: Hook, state: bytes) -> None:
    given = os.memfd_create("state", os.MFD_CLOEXEC)
    said = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        os.write(given, state)
        os.lseek(given, 0, os.SEEK_SET)
        code = _wait(_spawn(hook, given, said), hook.timeout or _SECONDS)
        if code:
            size = os.fstat(said).st_size
            text = os.pread(said, _OUTPUT, max(size - _OUTPUT, 0)).decode("utf-8", "replace")
            raise _failed(hook, f"ended with {code}: {text.strip()}")
    except TimeoutError as error:
        raise _failed(hook, f"took longer than {hook.timeout or _SECONDS} seconds") from error
    except OSError as error:
        raise _failed(hook, error.strerror or str(error)) from error
    finally:
        os.close(given)
        os.close(said)


def _spawn(hook: Hook, given: int, said: int) -> int:
    environment = dict(entry.partition("=")[::2] for entry in hook.env)
    descriptors = [(os.POSIX_SPAWN_DUP2, given, 0)]
    descriptors += [(os.POSIX_SPAWN_DUP2, said, number) for number in (1, 2)]
    return os.posix_spawn(
        hook.path, hook.args or (hook.path,), environment, file_actions=descriptors
    )


def _wait(pid: int, seconds: float) -> int:
    """Wait for a child; return its exit code, negative for a signal."""
    ended = os.pidfd_open(pid)
    try:
        if not select.select([ended], [], [], seconds)[0]:
            os.kill(pid, signal.SIGKILL)
            raise TimeoutError
    finally:
        os.close(ended)
        _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _failed(hook: Hook, why: str) -> ScowError:
    text = f"the hook {hook.path} failed: {why}"
    return ContainerSetupFailed(text, what="hook", which=hook.path)
