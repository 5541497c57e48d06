"""Modules of a few lines: rlimits, sysctls, mount table, populate."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from scow.kernel import mountinfo, trees
from scow.shim.confine import rlimits, sysctls
from scow.shim.errors import ShimError
from scow.shim.oci.config import Rlimit
from scow.shim.rootfs import devices, populate
from tests.support.deep import deep, depth


def test_rlimits() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    try:
        assert rlimits.apply([Rlimit("RLIMIT_CORE", 0, hard if hard >= 0 else 2**64 - 1)]) == []
        assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.parametrize("name", ["RLIMIT_NONE", "NOFILE", "setrlimit"])
def test_rlimits_that_are_none(name: str) -> None:
    with pytest.raises(ShimError) as raised:
        rlimits.apply([Rlimit(name, 1, 1)])
    assert raised.value.metadata["which"] == name


@pytest.mark.parametrize(
    "name",
    ["kernel.panic", "net.ipv4/../kernel/panic", "/etc/passwd", "net", "net..x", "kernel.shm"],
)
def test_sysctls_of_the_host_are_refused(name: str) -> None:
    with pytest.raises(ShimError) as raised:
        sysctls.apply({name: "1"}, {"network", "uts"})
    assert raised.value.reason == "INVALID_CONFIG"


def test_mount_table() -> None:
    entries = list(mountinfo.read())
    assert any(entry.mountpoint == "/" for entry in entries)
    assert any(entry.fstype == "proc" and entry.mountpoint == "/proc" for entry in entries)


def test_sizes_of_a_terminal() -> None:
    master, slave = os.openpty()
    try:
        devices.set_size(master, 12, 34)
        assert os.get_terminal_size(slave) == (34, 12)
        devices.set_size(master, 0, 99)
        assert os.get_terminal_size(slave) == (34, 12)
    finally:
        os.close(master)
        os.close(slave)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = tmp_path / "image"
    (image / "sub").mkdir(parents=True)
    (image / "sub/file").write_text("text")
    os.chmod(image / "sub/file", 0o4751)
    os.link(image / "sub/file", image / "hard")
    (image / "soft").symlink_to("/nowhere")
    os.mkfifo(image / "fifo")
    return image


def fill(image: Path, volume: Path) -> None:
    source, target = (os.open(path, os.O_PATH) for path in (image, volume))
    try:
        populate.populate(source, target)
    finally:
        os.close(source)
        os.close(target)


def test_populate(tmp_path: Path, image: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    inode = volume.stat().st_ino
    fill(image, volume)
    assert sorted(os.listdir(volume)) == ["fifo", "hard", "soft", "sub"]
    assert (volume / "hard").stat().st_ino == (volume / "sub/file").stat().st_ino
    assert (volume / "hard").stat().st_mode & 0o7777 == 0o4751
    assert os.readlink(volume / "soft") == "/nowhere"
    assert volume.stat().st_ino == inode


def test_populate_leaves_a_volume_with_files_alone(tmp_path: Path, image: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "own").touch()
    fill(image, volume)
    assert os.listdir(volume) == ["own"]


def test_populate_of_any_depth(tmp_path: Path) -> None:
    image, volume = tmp_path / "image", tmp_path / "volume"
    image.mkdir()
    volume.mkdir()
    levels = 500
    deep(image, levels)
    fill(image, volume)
    assert depth(volume) == levels
    os.mkdir(tmp_path / "again")
    (tmp_path / "again" / ".scow-populate").mkdir()
    deep(tmp_path / "again" / ".scow-populate", 500)
    fill(image, tmp_path / "again")
    assert depth(tmp_path / "again") == levels
    for each in (image, volume, tmp_path / "again"):
        trees.remove_tree(each)


def test_populate_goes_on_where_it_was_killed(tmp_path: Path, image: Path) -> None:
    volume = tmp_path / "volume"
    (volume / ".scow-populate" / "half").mkdir(parents=True)
    fill(image, volume)
    assert "half" not in os.listdir(volume)
    assert (volume / "sub/file").read_text() == "text"

    second = tmp_path / "second"
    (second / ".scow-populate-ready").mkdir(parents=True)
    (second / ".scow-populate-ready" / "rest").touch()
    (second / "moved").touch()
    fill(image, second)
    assert sorted(os.listdir(second)) == ["moved", "rest"]
