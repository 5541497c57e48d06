"""Containers whose writable layer has a limit: in the virtual machine alone, whose kernel has project quotas."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.busybox import import_busybox
from tests.support.engine import Engine
from tests.vm.test_volume_disks import _LIMITED

_MIB = 1 << 20


@pytest.fixture(params=_LIMITED)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine whose root is on a file system with project quotas."""
    command, options = _LIMITED[request.param]
    disk = tmp_path / "disk"
    with disk.open("wb") as file:
        file.truncate(512 * _MIB)
    subprocess.run([*command, disk], check=True)
    made = Engine()
    made.root.mkdir()
    subprocess.run(["mount", "-o", options, disk, made.root], check=True)
    try:
        made.start()
        import_busybox(made)
        yield made
    finally:
        made.remove_containers()
        made.stop()
        processes.kill(made.spawner_pid())  # its log is on that disk
        subprocess.run(["umount", made.root], check=True)
        left = made.destroy()
    assert not left


@pytest.mark.parametrize("users", [(), ("--userns", "auto")], ids=["host", "own"])
def test_a_full_layer(engine: Engine, users: tuple[str, ...]) -> None:
    write = "dd if=/dev/zero of=/big bs=1048576 count=24; sync; du -m /big | cut -f1"
    limit = ("--storage-opt", "size=8m")
    flags = ("--network", "none", *users)
    engine.cli("create", "--name", "small", *flags, *limit, "busybox", "sh", "-c", write)
    for _ in range(2):  # the limit is there at the next start too
        assert int(engine.cli("start", "-a", "small").stdout.split()[-1]) <= 8
    free = engine.cli("run", "--rm", *flags, "busybox", "sh", "-c", write)
    assert free.stdout.split()[-1] == "24"
    engine.cli("rm", "small")
