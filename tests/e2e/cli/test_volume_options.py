"""Volumes that their options place elsewhere: mounted by the first container that uses them until the last one ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.support import mounts_of
from tests.support.disks import loop_device
from tests.support.engine import Engine, as_root

pytestmark = as_root()


@pytest.fixture(autouse=True)
def nothing_left(engine: Engine) -> Iterator[None]:
    yield
    engine.remove_containers()
    names = engine.cli("volume", "ls", "-q").stdout.split()
    if names:
        engine.cli("volume", "rm", *names)
    assert mounts_of(engine) == []


# Bytes of the smallest disk that mkfs(8) takes.
SMALLEST = {"ext4": 16 << 20, "btrfs": 128 << 20, "xfs": 320 << 20}


def create(engine: Engine, **options: str) -> None:
    flags = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    engine.cli("volume", "create", *flags, "vol")


def run(engine: Engine, script: str, *arguments: str) -> str:
    flags = arguments or ("-v", "vol:/x")
    return engine.cli("run", "--rm", *flags, "busybox", "sh", "-c", script).stdout


def background(engine: Engine, name: str, script: str, mount: str = "vol:/x") -> None:
    command = ["sh", "-c", f"{script}; echo ready; exec sleep 100"]
    engine.cli("run", "-d", "--name", name, "-v", mount, "busybox", *command)
    engine.cli("exec", name, "sh", "-c", "until [ -e /x ]; do :; done")


def test_a_tmpfs_is_one_for_all_from_the_first_to_the_last(engine: Engine) -> None:
    create(engine, type="tmpfs", device="tmpfs", o="size=128k,mode=770")
    background(engine, "one", "echo from one >/x/file")
    assert run(engine, "cat /x/file; echo from two >/x/two") == "from one\n"
    background(engine, "three", "true", "vol:/x:ro")
    engine.cli("exec", "one", "cat", "/x/two")
    engine.cli("rm", "-f", "one")
    assert run(engine, "cat /x/file /x/two; stat -c %a /x; touch /x/new") == (
        "from one\nfrom two\n770\n"
    )
    refused = engine.cli("exec", "three", "touch", "/x/more", check=False)
    assert "Read-only file system" in refused.stderr
    engine.cli("rm", "-f", "three")
    assert run(engine, "ls /x") == ""


@pytest.mark.parametrize(
    "flags", [("--size", "10m"), ("--inodes", "5"), ("-o", "size=10m")], ids=["size", "inodes", "o"]
)
def test_no_volume_is_made_without_its_limits(engine: Engine, flags: tuple[str, ...]) -> None:
    done = engine.cli("volume", "create", *flags, "vol", check=False)
    assert done.returncode == 1
    assert "enforces no limits" in done.stderr
    assert engine.cli("volume", "ls", "-q").stdout == ""
    mount = "type=volume,src=vol,dst=/x,volume-opt=size=10m"
    assert engine.cli("run", "--rm", "--mount", mount, "busybox", check=False).returncode == 125
    assert engine.cli("volume", "ls", "-q").stdout == ""


def test_it_is_one_in_several_places_of_a_container(engine: Engine) -> None:
    create(engine, type="tmpfs", device="tmpfs")
    places = ["-v", "vol:/x", "-v", "vol:/y:ro", "-v", "vol:/z"]
    script = "echo 1 >/x/file; cat /y/file; echo 2 >/z/file; cat /x/file; (: >/y/n) 2>&1; true"
    assert run(engine, script, *places).startswith("1\n2\n")
    background(engine, "one", "echo here >/x/file")
    engine.cli("volume", "attach", "one", "vol:/also:ro")
    assert engine.cli("exec", "one", "cat", "/also/file").stdout == "here\n"


def test_it_outlives_the_services(own_engine: Engine) -> None:
    create(own_engine, type="tmpfs", device="tmpfs")
    background(own_engine, "one", "echo kept >/x/file", "vol:/x")
    for service in ("container", "volume"):
        own_engine.kill_service(service)
        own_engine.wait_healthy()
    assert run(own_engine, "cat /x/file") == "kept\n"
    own_engine.cli("rm", "-f", "one")


def test_a_place_behind_a_link(engine: Engine) -> None:
    create(engine, type="tmpfs", device="tmpfs")
    background(engine, "one", "echo linked >/x/file; true", "vol:/x")
    engine.cli("rm", "-f", "one")
    engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "100")
    engine.cli("exec", "box", "ln", "-s", "/etc", "/linked")
    engine.cli("commit", "box", "linked")
    command = ["sh", "-c", "echo linked >/linked/vol/file; exec sleep 100"]
    engine.cli("run", "-d", "--name", "two", "-v", "vol:/linked/vol", "linked", *command)
    engine.cli("exec", "two", "sh", "-c", "until [ -s /etc/vol/file ]; do :; done")
    assert run(engine, "cat /x/file") == "linked\n"
    engine.cli("rm", "-f", "two", "box")
    engine.cli("rmi", "linked")


@pytest.mark.parametrize("kind", SMALLEST)
def test_a_device(engine: Engine, tmp_path: Path, kind: str) -> None:
    with loop_device(tmp_path / "disk", SMALLEST[kind], [f"mkfs.{kind}", "-q"]) as device:
        create(engine, type=kind, device=device, o="noatime")
        background(engine, "one", "echo kept >/x/file; mkdir -p /x/a/b")
        assert run(engine, "cat /x/file; grep ' /x ' /proc/mounts").startswith(
            f"kept\n{device} /x {kind}"
        )
        engine.cli("rm", "-f", "one")
        part = ["--mount", "type=volume,src=vol,dst=/x,volume-subpath=a"]
        assert run(engine, "ls /x", *part) == "b\n"
        assert "noatime" in run(engine, "cat /x/file; grep ' /x ' /proc/mounts")


def test_an_overlay(engine: Engine, tmp_path: Path) -> None:
    for name in ("lower", "upper", "work"):
        (tmp_path / name).mkdir()
    (tmp_path / "lower/file").write_text("lower\n")
    options = ",".join(f"{n}dir={tmp_path}/{n}" for n in ("lower", "upper", "work"))
    create(engine, type="overlay", device="overlay", o=options)
    background(engine, "one", "cat /x/file >/x/copy")
    assert run(engine, "cat /x/copy; echo two >/x/two") == "lower\n"
    assert (tmp_path / "upper/two").read_text() == "two\n"


def test_a_directory(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound\n")
    create(engine, type="none", device=str(tmp_path), o="bind,ro")
    assert run(engine, "cat /x/file; touch /x/new 2>&1; true").endswith("Read-only file system\n")
    assert engine.cli("volume", "inspect", "-f", "{{.Mountpoint}}", "vol").stdout.endswith(
        "/vol/_data\n"
    )


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "size=1m,bogus=1,mode=700"},
            "the option 'bogus=1' is refused: tmpfs: Unknown parameter 'bogus'",
        ),
        (
            {"type": "tmpfs", "device": "tmpfs", "o": "size=lots"},
            "the option 'size=lots' is refused: tmpfs: Bad value for 'size'",
        ),
        (
            {"type": "nofs", "device": "x"},
            "there is no file system nofs in this kernel",
        ),
        ({"type": "ext4", "device": "/dev/null"}, "could not mount ext4 at /x"),
        ({"type": "ext4", "device": "/no/such"}, "could not mount ext4 at /x"),
        ({"type": "ext4", "device": "/dev/zero", "o": "loop"}, "the option 'loop' is refused"),
        ({"type": "none", "device": "/no/such"}, "the source /no/such of the mount at /x does not"),
        (
            {"type": "nfs", "device": ":/x", "o": "addr=no.such.invalid"},
            "error resolving passed in network volume address no.such.invalid",
        ),
        *(
            (
                {"type": kind, "device": device, "o": "addr=127.0.0.1"},
                f"there is no file system {kind} in this kernel",
            )
            for kind, device in (("nfs", ":/x"), ("nfs4", ":/x"), ("cifs", "//127.0.0.1/x"))
            if f"\t{kind}\n" not in Path("/proc/filesystems").read_text()  # else see tests/vm
        ),
    ],
)
def test_what_is_refused_is_named(engine: Engine, options: dict[str, str], fault: str) -> None:
    create(engine, **options)
    done = engine.cli("run", "--rm", "-v", "vol:/x", "busybox", "true", check=False)
    assert done.returncode == 125
    assert fault in done.stderr
