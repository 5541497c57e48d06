"""What the image service tells of its store."""

from __future__ import annotations

from pathlib import Path

import pytest

from scow.image.catalog.info import filesystem

_MOUNTS = r"""21 1 8:1 / / rw - ext4 /dev/sda1 rw
22 21 0:5 / /var/lib rw,nosuid shared:2 - xfs /dev/sdb rw
23 22 0:6 / /var/lib/a\040b rw - tmpfs tmpfs rw
24 23 0:7 / /var/lib/a\040b rw - btrfs /dev/sdc rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv", "ext4"),
        ("/var/lib/scow", "xfs"),
        ("/var/library", "ext4"),
        ("/var/lib/a b/c", "btrfs"),
    ],
)
def test_filesystem(path: str, kind: str) -> None:
    assert filesystem(Path(path), _MOUNTS) == kind


def test_no_mounts() -> None:
    assert filesystem(Path("/x"), "") == ""
