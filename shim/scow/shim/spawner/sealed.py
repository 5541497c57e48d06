"""Running the engine's interpreter from a read-only mount of its own.

A container may name /proc/self/exe as its program: then its process is this interpreter, and who holds /proc/PID/exe
could write to the host's file (CVE-2019-5736). What is executed from a detached, read-only copy of the file's mount
cannot be opened for writing by anybody.
"""

from __future__ import annotations

import os
import sys

from scow.kernel import syscalls

_DONE = "SCOW_SEALED"
_MOUNT_ATTR_RDONLY = 1


def seal(module: str) -> None:
    """Execute `python -m module` with the same arguments anew, sealed; return where that is so already.

    Raises:
        OSError: The kernel is older than 5.12, or this is not root.
    """
    if os.environ.pop(_DONE, "") == "1":
        return
    copy = syscalls.open_tree(
        syscalls.AT_FDCWD, os.path.realpath(sys.executable), syscalls.OPEN_TREE_CLONE
    )
    syscalls.mount_setattr(copy, set_=_MOUNT_ATTR_RDONLY)
    # The interpreter finds its packages by argv[0], not by the descriptor that it is executed from.
    arguments = [sys.executable, "-m", module, *sys.argv[1:]]
    os.execve(copy, arguments, {**os.environ, _DONE: "1"})
