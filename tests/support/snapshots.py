"""What a container would do to a snapshot and see in it, done by a process in a mount namespace of its own."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from typing import Any

from scow.api.types.v1.types_pb2 import Mount


def inside(mounts: Iterable[Mount], script: str = "") -> dict[str, tuple[Any, ...]]:
    """Run a shell script in a snapshot's root directory; return what is there afterwards (`layertars.describe`)."""
    entries = [
        {"type": mount.type, "source": mount.source, "options": list(mount.options)}
        for mount in mounts
    ]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.snapshots", json.dumps(entries), script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, tuple[Any, ...]] = ast.literal_eval(done.stdout)
    return found


def main() -> None:
    """Mount, run, describe."""
    from scow.kernel import syscalls
    from scow.shim.oci.config import Mount as Entry
    from scow.shim.rootfs import root as rootfs
    from tests.support.layertars import describe

    entries, script = sys.argv[1:]
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_PRIVATE | syscalls.MS_REC, None)
    with tempfile.TemporaryDirectory() as folder:
        made = [
            Entry("", entry["type"], entry["source"], tuple(entry["options"]))
            for entry in json.loads(entries)
        ]
        rootfs.mount_entries(folder, made, {})
        if script:
            subprocess.run(["bash", "-euc", script], cwd=folder, check=True, stdout=sys.stderr)
        root = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        print(repr(describe(root)))
        os.close(root)
        syscalls.umount(folder, syscalls.MNT_DETACH)


if __name__ == "__main__":
    main()
