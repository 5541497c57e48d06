"""Mounts into a container, with roots that try to lead them astray."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from scow.contract.errors import ScowError
from tests.integration.shim.bundles import config
from tests.integration.shim.conftest import MakeBox
from tests.integration.shim.drive import Box, reason


def bind(source: Path, destination: str, *options: str) -> dict[str, Any]:
    return {
        "destination": destination,
        "type": "bind",
        "source": str(source),
        "options": ["rbind", *options],
    }


def with_mounts(*mounts: dict[str, Any], script: str) -> dict[str, Any]:
    made = config(args=["sh", "-c", script])
    made["mounts"] += mounts
    return made


def upper(container: Box) -> Path:
    """Return the folder whose files the image seems to have."""
    return container.bundle / "upper"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "file").write_text("from the host")
    return directory


def test_directories_and_files(box: MakeBox, source: Path) -> None:
    made = with_mounts(
        bind(source, "/data"),
        bind(source / "file", "/etc/app.conf", "ro"),
        script="cat /data/file /etc/app.conf; echo new >/data/new; echo x >/etc/app.conf",
    )
    result = box(made).run()
    assert result.text == "from the host" * 2
    assert b"Read-only file system" in result.err
    assert (source / "new").read_text() == "new\n"


def test_flags_of_a_bind(box: MakeBox, source: Path) -> None:
    made = with_mounts(
        bind(source, "/data", "ro", "noexec", "nosuid", "nodev"),
        script="grep ' /data ' /proc/self/mountinfo",
    )
    options = box(made).run().text.split()[5].split(",")
    assert {"ro", "noexec", "nosuid", "nodev"} <= set(options)


def test_a_missing_source_is_named(box: MakeBox, tmp_path: Path) -> None:
    container = box(with_mounts(bind(tmp_path / "none", "/data"), script="true")).spawn()
    with pytest.raises(ScowError) as raised:
        container.start()
    assert reason(raised.value) == "BIND_SOURCE_NOT_FOUND"
    assert raised.value.metadata["which"] == str(tmp_path / "none")
    assert container.wait().code == 128


@pytest.mark.parametrize(
    ("link", "target", "inside"),
    [
        ("escape", "/", "."),
        ("escape", "../../../../../..", "."),
        ("escape", "/etc", "etc"),
        ("escape", "/proc/self/root", None),
        ("escape", "/made/up", "made/up"),
    ],
)
def test_symbolic_links_stay_below_the_root(
    box: MakeBox, source: Path, link: str, target: str, inside: str | None
) -> None:
    destination = f"/{link}/scow-test-mark"
    container = box(with_mounts(bind(source, destination), script=f"cat {destination}/file"))
    (upper(container) / link).symlink_to(target)
    if inside is None:
        with pytest.raises(ScowError):
            container.run()
    else:
        assert container.run().text == "from the host"
        assert (upper(container) / inside / "scow-test-mark").is_dir()
    for host in ("/scow-test-mark", "/etc/scow-test-mark", "/made/up/scow-test-mark"):
        assert not os.path.lexists(host)


def test_a_dangling_link_as_destination_is_followed_inside(box: MakeBox, source: Path) -> None:
    made = with_mounts(bind(source / "file", "/etc/resolv.conf"), script="cat /etc/resolv.conf")
    container = box(made)
    (upper(container) / "etc").mkdir()
    (upper(container) / "etc/resolv.conf").symlink_to("../run/scow-test/resolv.conf")
    assert container.run().text == "from the host"
    assert (upper(container) / "run/scow-test/resolv.conf").exists()
    assert not os.path.lexists("/run/scow-test")


def test_a_loop_of_links_is_an_error(box: MakeBox, source: Path) -> None:
    container = box(with_mounts(bind(source, "/a/x"), script="true"))
    (upper(container) / "a").symlink_to("b")
    (upper(container) / "b").symlink_to("a")
    with pytest.raises(ScowError) as raised:
        container.run()
    assert raised.value.metadata["errno"] == "ELOOP"


@pytest.mark.parametrize("place", ["/proc", "/sys"])
def test_proc_and_sys_as_links_are_refused(box: MakeBox, place: str) -> None:
    container = box()
    (upper(container) / place[1:]).symlink_to("/tmp")
    with pytest.raises(ScowError) as raised:
        container.run()
    assert raised.value.metadata["which"] == place


@pytest.mark.parametrize(
    "place",
    [
        "/proc",
        "/proc/self/attr",
        "/proc/sys/kernel",
        "/proc/1/fd",
        "/p",
        "/p/acpi",
        "/made/../proc",
    ],
)
@pytest.mark.parametrize("kind", ["bind", "tmpfs"])
def test_mounts_at_and_inside_of_proc_are_refused(
    box: MakeBox, source: Path, place: str, kind: str
) -> None:
    entry = bind(source, place)
    if kind == "tmpfs":
        entry = {"destination": place, "type": "tmpfs", "source": "tmpfs", "options": []}
    container = box(with_mounts(entry, script="true"))
    (upper(container) / "p").symlink_to("/proc")
    with pytest.raises(ScowError) as raised:
        container.run()
    assert reason(raised.value) in {"INVALID_MOUNT", "CONTAINER_SETUP_FAILED"}


@pytest.mark.parametrize(
    ("place", "shown"),
    [
        ("/proc/cpuinfo", "/proc/cpuinfo"),
        ("/proc/sys/kernel/ns_last_pid", "/proc/sys/kernel/ns_last_pid"),
        ("/p/uptime", "/proc/uptime"),
    ],
)
def test_files_that_only_show_numbers_may_be_covered(
    box: MakeBox, source: Path, place: str, shown: str
) -> None:
    container = box(with_mounts(bind(source / "file", place), script=f"cat {shown}"))
    (upper(container) / "p").symlink_to("/proc")
    assert container.run().text == "from the host"


def test_a_procfs_may_be_at_proc_and_anything_at_sys(box: MakeBox, source: Path) -> None:
    made = with_mounts(
        bind(Path("/proc"), "/proc"),
        bind(source, "/s/firmware"),
        script="cat /sys/firmware/file; test -e /proc/self && echo proc",
    )
    made["linux"]["maskedPaths"] = []
    container = box(made)
    (upper(container) / "s").symlink_to("/sys")
    assert container.run().text == "from the hostproc"


def test_a_hostile_dev(box: MakeBox) -> None:
    container = box(config(args=["sh", "-c", "ls -ld /dev; test -c /dev/null && echo null"]))
    (upper(container) / "dev").symlink_to("/tmp")
    result = container.run()
    assert "null" in result.text
    assert not list((upper(container)).glob("tmp/null"))  # a tmpfs covers it


def test_shared_propagation_brings_later_mounts(box: MakeBox, source: Path) -> None:
    made = with_mounts(bind(source, "/data", "rslave"), script="sleep 1000")
    made["linux"]["rootfsPropagation"] = "rslave"
    assert box(made).start().output("cat", "/data/file") == "from the host"


def test_an_option_that_the_file_system_refuses(box: MakeBox) -> None:
    entry = {"destination": "/x", "type": "tmpfs", "source": "tmpfs", "options": ["size=banana"]}
    container = box(with_mounts(entry, script="true")).spawn()
    with pytest.raises(ScowError) as raised:
        container.start()
    assert reason(raised.value) == "MOUNT_FAILED"
    assert "size" in str(raised.value)
    assert container.wait().code == 128


def test_a_root_without_an_overlay(box: MakeBox) -> None:
    made = config(args=["sh", "-c", "touch /made; cat /etc/passwd | head -n 1"])
    container = box(made)
    (container.bundle / "rootfs.json").unlink()
    from tests.integration.shim.bundles import unpack_base

    unpack_base(container.bundle / "rootfs")
    assert container.run().text.startswith("root:")
    assert (container.bundle / "rootfs/made").exists()
    assert list((container.bundle / "rootfs/proc").iterdir()) == []


def test_a_layer_that_is_missing(box: MakeBox) -> None:
    container = box()
    text = (container.bundle / "rootfs.json").read_text()
    (container.bundle / "rootfs.json").write_text(text.replace("/base", "/none"))
    container.spawn()
    with pytest.raises(ScowError) as raised:
        container.launch()
    assert reason(raised.value) == "MOUNT_FAILED", str(raised.value)


def test_more_layers_than_a_page_of_options(box: MakeBox) -> None:
    container = box(config(args=["cat", "/mark"]))
    layers = container.spawner.home / container.name / ("long" * 20)
    names = []
    for number in range(60):
        (layers / f"{number:02}").mkdir(parents=True)
        names.append(str(layers / f"{number:02}"))
    (layers / "59/mark").write_text("deep")
    (layers / "base").symlink_to(container.spawner.base)
    text = (container.bundle / "rootfs.json").read_text()
    lower = ":".join([*names, f"{layers}/base"])
    text = text.replace(f"lowerdir={container.spawner.base}", f"lowerdir={lower}")
    (container.bundle / "rootfs.json").write_text(text)
    assert len(text) > 4096
    assert container.run().text == "deep"


def test_spawn_refuses_what_is_no_mount(box: MakeBox) -> None:
    made = config()
    made["mounts"].append("nonsense")
    with pytest.raises(ScowError) as raised:
        box(made).spawn()
    assert raised.value.reason == "INVALID_CONFIG"
