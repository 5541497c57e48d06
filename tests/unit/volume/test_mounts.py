from pathlib import Path

import pytest

from scow.api.volume.v1.volume_pb2 import MountRequest
from scow.contract.errors import BindSourceNotFound, InvalidMount
from scow.volume import mounts
from scow.volume.drivers import Source


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (MountRequest(type="nfs", target="/x"), "type"),
        (MountRequest(type="volume", target="x"), "target"),
        (MountRequest(type="volume", target="/"), "target"),
        (MountRequest(type="volume", target="/a/.."), "target"),
        (MountRequest(type="bind", source="rel", target="/x"), "relative"),
        (MountRequest(type="bind", source="/a", target="/x", propagation="upward"), "propagation"),
        (MountRequest(type="volume", target="/x", propagation="shared"), "propagation"),
        (MountRequest(type="tmpfs", source="/a", target="/x"), "source"),
        (MountRequest(type="bind", source="/a", target="/x", tmpfs_size=1), "tmpfs"),
    ],
)
def test_contradictions_are_refused(request_: MountRequest, fault: str) -> None:
    with pytest.raises(InvalidMount, match=fault) as caught:
        mounts.check(request_)
    assert caught.value.which == request_.target


def test_a_bind_needs_its_source(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    request = MountRequest(type="bind", source=str(missing), target="/x")
    with pytest.raises(BindSourceNotFound):
        mounts.bind(request)
    request.create_source = True
    mount = mounts.bind(request)
    assert missing.is_dir()
    assert list(mount.options) == ["rbind", "rprivate", "rw"]


def test_a_bind_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    request = MountRequest(
        type="bind", source=str(tmp_path / "file/x"), target="/x", create_source=True
    )
    with pytest.raises(InvalidMount, match="Not a directory"):
        mounts.bind(request)


def test_tmpfs_has_dockers_defaults() -> None:
    options = mounts.tmpfs(MountRequest(type="tmpfs", target="/x", tmpfs_size=4096)).options
    assert set(options) == {"noexec", "nosuid", "nodev", "size=4096", "mode=1777", "rw"}


def test_options_of_a_tmpfs_replace_the_defaults() -> None:
    request = MountRequest(type="tmpfs", target="/x", tmpfs_options=["exec", "mode=700", "ro"])
    assert set(mounts.tmpfs(request).options) == {"nosuid", "nodev", "exec", "mode=700", "ro"}


@pytest.mark.parametrize(
    ("source", "read_only", "options"),
    [
        (Source("bind", "/v", ("rbind", "rprivate")), True, ["rbind", "rprivate", "ro"]),
        (Source("bind", "/v", ("bind", "ro")), False, ["bind", "ro"]),
        (Source("tmpfs", "tmpfs", ("size=1m", "rw")), False, ["size=1m", "rw"]),
    ],
)
def test_a_volume_is_what_its_driver_says(
    source: Source, read_only: bool, options: list[str]
) -> None:
    request = MountRequest(type="volume", source="v", target="/x", read_only=read_only)
    mount = mounts.volume(request, source)
    assert (mount.type, mount.source) == (source.type, source.source)
    assert list(mount.options) == options
