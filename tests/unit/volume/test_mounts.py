import re
from pathlib import Path
from typing import Any

import pytest

from scow.api.volume.v1.volume_pb2 import MountRequest
from scow.contract.errors import BindSourceNotFound, InvalidMount
from scow.kernel import hostpath
from scow.volume import mounts
from scow.volume.drivers import Source


def bind(**fields: Any) -> MountRequest:
    return MountRequest(**{"type": "bind", "source": "/a", "target": "/x", **fields})


def named(**fields: Any) -> MountRequest:
    return MountRequest(**{"type": "volume", "source": "vol", "target": "/x", **fields})


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (bind(type="nfs"), 'invalid mount config for type "nfs": mount type unknown'),
        (bind(type="cluster"), "cluster volumes are swarm's"),
        (named(target="x"), "invalid mount path: 'x' mount path must be absolute"),
        (named(target=""), "field Target must not be empty"),
        (named(target="/"), "invalid specification: destination can't be '/'"),
        (named(target="/a/.."), "destination can't be '/'"),
        (bind(source=""), "field Source must not be empty"),
        (bind(source="rel"), "invalid mount path: 'rel' mount path must be absolute"),
        (bind(propagation="upward"), "invalid propagation mode: upward"),
        (bind(recursion="some"), "invalid recursion: some"),
        (bind(recursion="readonly"), "needs a read-only mount"),
        (bind(recursion="readonly", read_only=True, propagation="shared"), "rprivate"),
        (named(propagation="shared"), "field BindOptions must not be specified"),
        (named(create_source=True), "field BindOptions must not be specified"),
        (bind(type="tmpfs"), "field Source must not be specified"),
        (bind(tmpfs_size=1), "field TmpfsOptions must not be specified"),
        (bind(no_copy=True), "field VolumeOptions must not be specified"),
        (bind(exclusive=True), "field VolumeOptions must not be specified"),
        (bind(type="overlay", read_only=True), "writable and private"),
        (named(source="", read_only=True), "must not set ReadOnly mode when using anonymous"),
        (named(source="", subpath="a"), "must not set Subpath when using anonymous volumes"),
        (named(exclusive=True, read_only=True), "a read-only mount writes nothing"),
        (named(subpath="/a"), "subpath must be a relative path within the volume"),
        (named(subpath="a/../../b"), "subpath must be a relative path within the volume"),
    ],
)
def test_contradictions_are_refused(request_: MountRequest, fault: str) -> None:
    with pytest.raises(InvalidMount, match=re.escape(fault)) as caught:
        mounts.check(request_)
    assert caught.value.which == request_.target


def test_a_place_is_taken_once() -> None:
    with pytest.raises(InvalidMount, match=r"Duplicate mount point: /y/\.\./x/"):
        mounts.check_all([named(), bind(target="/y/../x/")])
    with pytest.raises(InvalidMount, match="Duplicate mount point: //x"):
        mounts.check_all([named(), bind(target="//x")])
    mounts.check_all([named(), bind(target="/x/y")])


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({}, ["rbind", "scow.checked", "rprivate", "rw"]),
        ({"read_only": True}, ["rbind", "scow.checked", "rprivate", "rro"]),
        ({"read_only": True, "recursion": "writable"}, ["rbind", "scow.checked", "rprivate", "ro"]),
        (
            {"read_only": True, "recursion": "readonly"},
            ["rbind", "scow.checked", "rprivate", "rro"],
        ),
        ({"read_only": True, "recursion": "disabled"}, ["bind", "scow.checked", "rprivate", "ro"]),
        ({"read_only": True, "propagation": "rslave"}, ["rbind", "scow.checked", "rslave", "ro"]),
    ],
)
def test_options_of_binds(fields: dict[str, object], options: list[str]) -> None:
    assert list(mounts.bind(bind(source="/", **fields)).options) == options


def test_a_bind_needs_its_source(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    request = bind(source=str(missing))
    with pytest.raises(BindSourceNotFound):
        mounts.bind(request)
    request.create_source = True
    mount = mounts.bind(request)
    assert list(mount.options) == ["rbind", "scow.make", "rprivate", "rw"]
    assert not missing.exists()  # it is made when it is mounted


def test_links_of_a_source_are_told(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    options = mounts.bind(bind(source=f"{tmp_path}/link")).options
    assert list(options)[1:3] == ["scow.checked", f"scow.link={tmp_path}/link"]


def test_links_that_come_while_a_source_is_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, look_up = tmp_path / "source", hostpath.links

    def links(path: str) -> list[str]:
        found = look_up(path)
        if not source.is_symlink():
            source.rmdir()
            source.symlink_to("/etc")
        return found

    source.mkdir()
    monkeypatch.setattr(hostpath, "links", links)
    with pytest.raises(InvalidMount, match="Too many levels of symbolic links"):
        mounts.bind(bind(source=str(source)))


def test_a_bind_below_a_file_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidMount, match="Not a directory"):
        mounts.bind(bind(source=str(tmp_path / "file/x"), create_source=True))


def test_tmpfs_has_dockers_defaults() -> None:
    options = mounts.tmpfs(MountRequest(type="tmpfs", target="/x", tmpfs_size=4096)).options
    assert set(options) == {"noexec", "nosuid", "nodev", "size=4096", "mode=1777", "rw"}


def test_options_of_a_tmpfs_replace_the_defaults() -> None:
    request = MountRequest(type="tmpfs", target="/x", tmpfs_options=["exec", "mode=700", "ro"])
    assert set(mounts.tmpfs(request).options) == {"nosuid", "nodev", "exec", "mode=700", "ro"}


@pytest.mark.parametrize(
    ("source", "read_only", "options"),
    [
        (Source("bind", "/v", ("rbind", "rprivate")), True, ["rbind", "rprivate", "rro"]),
        (Source("bind", "/v", ("bind", "ro")), False, ["bind", "rro"]),
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
