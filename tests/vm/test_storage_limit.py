"""Limits of writable layers: in the virtual machine alone, whose kernel has project quotas."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.kernel import syscalls
from scow.shim.oci import config
from scow.shim.rootfs import storage
from tests.vm.test_volume_disks import _LIMITED

_MIB = 1 << 20


@pytest.fixture(params=_LIMITED)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A file system with project quotas."""
    command, options = _LIMITED[request.param]
    image, root = tmp_path / "disk", tmp_path / "root"
    root.mkdir()
    with image.open("wb") as file:
        file.truncate(512 * _MIB)
    subprocess.run([*command, image], check=True)
    subprocess.run(["mount", "-o", options, image, root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", root], check=True)


def test_an_overlay_ends_at_the_limit(disk: Path) -> None:
    """Although who writes here is privileged: overlayfs gives CAP_SYS_RESOURCE up."""
    for name in ("lower", "upper", "work", "merged"):
        (disk / name).mkdir()
    (disk / "upper/before").write_bytes(bytes(_MIB))
    options = tuple(f"{name}dir={disk / name}" for name in ("lower", "upper", "work"))
    spec = config.parse(
        {"process": {"args": ["true"]}, "annotations": {"scow.storage": f"99999:{8 * _MIB}"}},
        str(disk),
        (config.Mount("", "overlay", "overlay", options),),
    )
    for _ in range(2):  # as at the next start
        storage.limit(spec)
    syscalls.mount("overlay", str(disk / "merged"), "overlay", 0, ",".join(options))
    try:
        written = subprocess.run(
            ["dd", "if=/dev/zero", f"of={disk}/merged/big", "bs=1048576", "count=24", "conv=fsync"],
            capture_output=True,
        )
        assert written.returncode == 1, written.stderr
        assert (disk / "upper/big").stat().st_size <= 7 * _MIB
        (disk / "free").write_bytes(bytes(24 * _MIB))
    finally:
        subprocess.run(["umount", disk / "merged"], check=True)
