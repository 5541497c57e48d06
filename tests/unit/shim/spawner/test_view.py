from __future__ import annotations

from scow.shim.oci.config import Mount
from scow.shim.spawner.view import read_only


def test_what_was_changed_is_the_topmost_lower_directory() -> None:
    options = ("lowerdir=/l/2:/l/1", r"upperdir=/s\:x/fs", "workdir=/s/work", "userxattr")
    made = read_only(Mount("", "overlay", "overlay", options))
    assert made.options == (r"lowerdir=/s\:x/fs:/l/2:/l/1", "userxattr")


def test_other_mounts_stay() -> None:
    layer = Mount("", "erofs", "/l/1.erofs", ("device=/l/1.tar",))
    assert read_only(layer) is layer
