"""What a user namespace makes of mounts."""

from __future__ import annotations

import pytest

from scow.contract.errors import MountFailed
from scow.shim.oci import config
from scow.shim.oci.config import Mount
from scow.shim.rootfs import idmap

_SPEC = config.parse(
    {
        "process": {"args": ["x"]},
        "linux": {
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
            "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 10}],
        },
    },
    "/",
)


@pytest.mark.parametrize(
    ("mount", "options"),
    [
        (Mount("/a", "bind", "/b", ("rbind", "ro")), ("rbind", "ro", "scow.idmap=5")),
        (Mount("/a", "ext4", "/dev/x", ()), ("scow.idmap=5",)),
        (
            Mount("/a", "tmpfs", "t", ("uid=1", "gid=9", "size=1")),
            ("uid=1001", "gid=2009", "size=1"),
        ),
        (Mount("/dev/pts", "devpts", "d", ("gid=5",)), ("gid=2005",)),
        (Mount("/proc", "proc", "proc", ("ro",)), ("ro",)),
        (Mount("/dev/shm", "bind", "/dev/shm", ("rbind",)), ("rbind",)),
    ],
)
def test_options(mount: Mount, options: tuple[str, ...]) -> None:
    assert idmap.mapped(mount, _SPEC, 5).options == options
    assert idmap.mapped(mount, _SPEC, -1) is mount


def test_an_id_that_the_container_has_not() -> None:
    with pytest.raises(MountFailed):
        idmap.mapped(Mount("/a", "tmpfs", "t", ("uid=10",)), _SPEC, 5)
