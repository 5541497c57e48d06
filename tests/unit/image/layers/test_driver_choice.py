"""Which driver makes new layers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scow.contract.errors import InvalidConfig, KernelUnsupported
from scow.image.layers.drivers import probe
from scow.image.layers.drivers.choose import choose
from scow.image.workers.pool import Limits, UnpackPool

POOL = UnpackPool(1, 1, Limits(1, 1))

# Without CAP_SYS_ADMIN, as the image service is where it is a unit of its own.
_PROBE = """
import sys
from pathlib import Path
from scow.image.layers.drivers import probe
from scow.kernel import workers
workers.keep_capabilities(0)
print(probe.erofs(Path(sys.argv[1]), Path(sys.argv[1])))
"""


@pytest.mark.parametrize(
    ("wanted", "why", "names"),
    [
        ("auto", "", ["erofs", "overlay"]),
        ("auto", "old", ["overlay"]),
        ("overlay", "", ["overlay", "erofs"]),
        ("overlay", "old", ["overlay"]),
        ("erofs", "", ["erofs", "overlay"]),
    ],
)
def test_the_first_one_makes_new_layers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wanted: str, why: str, names: list[str]
) -> None:
    monkeypatch.setattr(probe, "erofs", lambda base, run: why)
    assert list(choose(wanted, tmp_path, tmp_path, POOL)) == names


def test_erofs_where_it_does_not_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(probe, "erofs", lambda base, run: "the kernel is old")
    with pytest.raises(KernelUnsupported, match="the kernel is old"):
        choose("erofs", tmp_path, tmp_path, POOL)


def test_a_driver_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig):
        choose("zfs", tmp_path, tmp_path, POOL)


def _without_capabilities(folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_process_that_may_not_mount_reads_what_another_found(tmp_path: Path) -> None:
    assert "may not mount" in _without_capabilities(tmp_path)
    subprocess.run(
        [
            sys.executable,
            "-m",
            "scow.image.layers.drivers.probe",
            "--root",
            tmp_path,
            "--run",
            tmp_path,
        ],
        check=True,
    )
    (tmp_path / "image").rmdir()  # nothing is left in it
    if os.geteuid() == 0:
        assert "may not mount" not in _without_capabilities(tmp_path)
        assert _without_capabilities(tmp_path) == probe.erofs(tmp_path, tmp_path)
