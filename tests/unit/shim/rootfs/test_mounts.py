"""Sorting of mount options."""

from __future__ import annotations

import pytest

from scow.contract.errors import ScowError
from scow.kernel import syscalls
from scow.shim.rootfs import mounts, overlay


def test_flags_and_data() -> None:
    parsed = mounts.parse_options(("ro", "nosuid", "size=1m", "mode=755", "defaults"))
    assert parsed.set == 0x1 | 0x2
    assert parsed.data == ["size=1m", "mode=755"]
    assert not parsed.bind


def test_the_last_one_wins() -> None:
    parsed = mounts.parse_options(("ro", "rw", "nodev", "dev", "noexec"))
    assert (parsed.set, parsed.clear) == (0x8, 0x1 | 0x4)


def test_times_exclude_each_other() -> None:
    parsed = mounts.parse_options(("noatime", "strictatime"))
    assert parsed.set == 0x20
    assert parsed.clear == 0x70  # the kernel wants all of the mask cleared


def test_recursive_flags() -> None:
    parsed = mounts.parse_options(("rbind", "rro", "rnosuid"))
    assert (parsed.bind, parsed.recursive) == (True, True)
    assert (parsed.set, parsed.recursive_set) == (0, 0x1 | 0x2)


@pytest.mark.parametrize(
    ("option", "kind", "recursive"),
    [
        ("private", syscalls.MS_PRIVATE, False),
        ("rprivate", syscalls.MS_PRIVATE, True),
        ("rshared", syscalls.MS_SHARED, True),
        ("slave", syscalls.MS_SLAVE, False),
        ("runbindable", syscalls.MS_UNBINDABLE, True),
    ],
)
def test_propagation(option: str, kind: int, recursive: bool) -> None:
    parsed = mounts.parse_options((option,))
    assert (parsed.propagation, parsed.propagation_recursive) == (kind, recursive)


def test_lower_directories_are_split_at_plain_colons() -> None:
    assert overlay.split_lower(r"/a:/b\:c:/d") == ["/a", r"/b\:c", "/d"]
    assert overlay.split_lower("") == []


def test_shortened_options_are_relative_to_the_common_parent() -> None:
    base, data = overlay.shorten(["lowerdir=/x/layers/1/fs:/x/layers/2/fs", "upperdir=/u"])
    assert (base, data) == ("/x/layers", "lowerdir=1/fs:2/fs,upperdir=/u")


def test_a_layer_that_holds_the_others_is_named_too() -> None:
    base, data = overlay.shorten(["lowerdir=/x/a:/x/a/b"])
    assert (base, data) == ("/x", "lowerdir=a:a/b")


def test_too_many_layers() -> None:
    lower = ":".join(f"/x/{'long' * 20}{number}" for number in range(200))
    with pytest.raises(ScowError) as raised:
        overlay.shorten([f"lowerdir={lower}"])
    assert raised.value.reason == "MOUNT_FAILED"
