"""A full disk: a typed error, nothing half-made, and all is well once there is room."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile

from tests.support import processes
from tests.support.archives import docker_archive, tar
from tests.support.busybox import import_busybox
from tests.support.engine import Engine

_MIB = 1 << 20


def _big_tar(size: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("big")
        entry.size = size
        tar.addfile(entry, io.BytesIO(os.urandom(size)))
    return stream.getvalue()


def test_a_full_disk() -> None:
    engine = Engine()
    engine.root.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", engine.root], check=True)
    try:
        engine.start()
        import_busybox(engine)
        done = engine.cli("import", "-", "big", stdin=_big_tar(60 * _MIB), check=False)
        assert done.returncode == 1
        assert "no space is left to write" in done.stderr
        assert "big" not in engine.cli("images").stdout
        archive = tar(docker_archive([_big_tar(60 * _MIB)], "big:1"))
        done = engine.cli("load", stdin=archive, check=False)
        assert done.returncode == 1
        assert "no space is left to write" in done.stderr
        free = os.statvfs(engine.root)
        assert free.f_bavail * free.f_frsize > 30 * _MIB, "what failed keeps its bytes"
        assert engine.cli("run", "--rm", "busybox", "echo", "fine").stdout == "fine\n"
    finally:
        engine.remove_containers()
        engine.stop()
        processes.kill(engine.spawner_pid())  # its log is on that disk
        # A shim that waits for the next container ends a moment after its spawner.
        away = ["umount", str(engine.root)]
        processes.wait_for(
            lambda: subprocess.run(away, check=False).returncode == 0, "the end of who has files"
        )
        left = engine.destroy()
    assert not left
