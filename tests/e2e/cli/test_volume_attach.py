"""Mounts that running and stopped containers get and lose."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.client import AsyncClient
from scow.contract.errors import MountNotFound
from tests.e2e.cli.support import mounts_of
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


@pytest.fixture
def box(engine: Engine) -> str:
    engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    return "box"


def inside(engine: Engine, script: str) -> str:
    return engine.cli("exec", "box", "sh", "-c", script).stdout


def refused(engine: Engine, *arguments: str) -> str:
    done = engine.cli("volume", *arguments, check=False)
    assert done.returncode == 1, done
    return done.stderr


def test_a_volume_comes_and_goes(engine: Engine, box: str) -> None:
    assert engine.cli("volume", "attach", box, "data:/new/place").stdout == "data\n"
    inside(engine, "echo kept >/new/place/file; grep -q ' /new/place ' /proc/mounts")
    shown = engine.cli("inspect", "-f", "{{range .Mounts}}{{.Destination}}{{end}}", box).stdout
    assert shown == "/new/place\n"
    uses = engine.cli("volume", "inspect", "-f", "{{range .Uses}}{{.Mounted}}{{end}}", "data")
    assert uses.stdout == "true\n"
    assert "is held by" in refused(engine, "rm", "data")
    assert engine.cli("volume", "detach", box, "/new/place").stdout == "/new/place\n"
    assert inside(engine, "ls /new/place; grep -c /new/place /proc/mounts; true") == "0\n"
    assert (
        engine.cli("run", "--rm", "-v", "data:/d", "busybox", "cat", "/d/file").stdout == "kept\n"
    )
    engine.cli("volume", "rm", "data")
    assert "has no mount at /new/place" in refused(engine, "detach", box, "/new/place")


def test_all_kinds(engine: Engine, box: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("host\n")
    kinds = [
        f"type=bind,src={tmp_path},dst=/a,ro",
        f"type=overlay,src={tmp_path},dst=/b",
        "type=tmpfs,dst=/c,tmpfs-size=64k",
        "type=volume,src=mem,dst=/d,volume-opt=type=tmpfs,volume-opt=device=tmpfs",
    ]
    engine.cli("volume", "attach", *[w for kind in kinds for w in ("--mount", kind)], box)
    script = (
        "cat /a/file; echo more >/b/file; echo x >/c/x; echo one >/d/file; (: >/a/n) 2>&1; true"
    )
    said = inside(engine, script)
    assert said.startswith("host\n")
    assert "Read-only file system" in said
    assert (tmp_path / "file").read_text() == "host\n"
    other = ["run", "--rm", "-v", "mem:/x", "busybox", "cat", "/x/file"]
    assert engine.cli(*other).stdout == "one\n"
    assert "Duplicate mount point: /a/../b" in refused(engine, "attach", box, f"{tmp_path}:/a/../b")
    assert "Duplicate mount point: //b" in refused(engine, "attach", box, f"{tmp_path}://b")
    engine.cli("volume", "detach", box, "/a", "/b", "/c", "//d")
    assert inside(engine, "ls /a /b /c /d | grep -v -e : -e '^$'; true") == ""
    assert "cannot be attached" in refused(
        engine, "attach", "--mount", "type=image,src=busybox,dst=/i", box
    )


def test_it_is_there_after_a_restart(engine: Engine, box: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("bound\n")
    engine.cli("volume", "attach", box, "data:/d", f"{tmp_path}:/b")
    inside(engine, "echo kept >/d/file")
    engine.cli("restart", "-t", "0", box)
    assert inside(engine, "cat /d/file /b/file") == "kept\nbound\n"
    engine.cli("volume", "detach", box, "/d")
    engine.cli("restart", "-t", "0", box)
    assert inside(engine, "ls /d; cat /b/file") == "bound\n"
    engine.cli("kill", box)
    engine.cli("wait", box)
    engine.cli("volume", "detach", box, "/b")
    engine.cli("volume", "attach", box, "data:/again:ro")
    engine.cli("start", box)
    assert inside(engine, "cat /again/file; ls /b") == "kept\n"


def test_one_that_is_in_use(engine: Engine, box: str) -> None:
    engine.cli("volume", "attach", box, "data:/d")
    engine.cli("exec", "-d", box, "sh", "-c", "cd /d && echo 1 >started && exec sleep 1000")
    inside(engine, "until [ -e /d/started ]; do :; done")
    assert "is used by processes" in refused(engine, "detach", box, "/d")
    assert inside(engine, "cat /d/started") == "1\n"
    engine.cli("volume", "detach", "--force", box, "/d")
    assert inside(engine, "ls /d") == ""


def test_what_cannot_be_attached_changes_nothing(engine: Engine, box: str) -> None:
    engine.cli("volume", "create", "-o", "type=nofs", "-o", "device=x", "bad")
    assert "there is no file system nofs" in refused(engine, "attach", box, "bad:/x")
    assert "does not exist" in refused(engine, "attach", "--mount", "type=bind,src=/n,dst=/x", box)
    assert "inside of the container's /proc" in refused(engine, "attach", box, "data:/proc/sys")
    assert "is a file" in refused(engine, "attach", box, "data:/etc/passwd")
    # What is undone is not what confines the container.
    assert "/proc" in refused(engine, "attach", box, "/etc/passwd://proc/keys")
    assert inside(engine, "grep -c ' /proc/keys ' /proc/mounts") == "1\n"
    assert "no such container" in refused(engine, "attach", "none", "data:/x").lower()
    assert engine.cli("inspect", "-f", "{{len .Mounts}}", box).stdout == "0\n"
    engine.cli("volume", "rm", "bad", "data")
    engine.cli("restart", "-t", "0", box)


def test_no_link_of_the_container_is_followed(engine: Engine, box: str) -> None:
    inside(engine, "ln -s /etc /link; ln -s /proc /p")
    engine.cli("volume", "attach", box, "data:/link/place")
    inside(engine, "echo 1 >/etc/place/file; rm /link; ln -s /proc /link")
    engine.cli("volume", "detach", box, "/link/place")
    assert inside(engine, "ls /etc/place") == ""
    assert "container's /proc" in refused(engine, "attach", box, "data:/p/sys")
    # A link in the place of a directory above: what is masked stays so, and the volume's mount is found.
    engine.cli("volume", "attach", box, "data:/a/keys")
    inside(engine, "mv /a /b; ln -s /proc /a")
    engine.cli("volume", "detach", box, "/a/keys")
    assert inside(engine, "grep -c ' /proc/keys ' /proc/mounts; ls /b/keys") == "1\n"


def test_owners_in_a_container_with_a_user_namespace(engine: Engine) -> None:
    make = "touch /d/file && chown 7:8 /d/file"
    engine.cli("run", "--rm", "-v", "owned:/d", "busybox", "sh", "-c", make)
    engine.cli("run", "-d", "--name", "mapped", "--userns", "auto", "busybox", "sleep", "100")
    engine.cli("volume", "attach", "mapped", "owned:/d")
    look = "touch /d/new && stat -c %u:%g /d /d/file /d/new"
    done = engine.cli("exec", "mapped", "sh", "-c", look)
    assert done.stdout.split() == ["0:0", "7:8", "0:0"]
    place = Path(engine.cli("volume", "inspect", "-f", "{{.Mountpoint}}", "owned").stdout.strip())
    assert (place / "new").stat().st_uid == 0
    engine.cli("volume", "attach", "--mount", "type=tmpfs,target=/t", "mapped")
    assert engine.cli("exec", "mapped", "stat", "-c", "%u", "/t").stdout == "0\n"
    engine.cli("rm", "-f", "mapped")
    engine.cli("volume", "rm", "owned")


def test_what_a_container_has_renamed_is_detached(engine: Engine, box: str) -> None:
    engine.cli("volume", "attach", box, "data:/a/b/c")
    inside(engine, "echo 1 >/a/b/c/file; mv /a /moved")
    engine.cli("volume", "detach", box, "/a/b/c")
    assert inside(engine, "ls /moved/b/c; grep -c /moved /proc/mounts; true") == "0\n"
    engine.cli("volume", "rm", "data")


def test_mounts_of_the_start_are_detached_behind_links_and_names(engine: Engine) -> None:
    engine.cli("run", "--name", "linked", "busybox", "sh", "-c", "mkdir /r; ln -s /r /link")
    engine.cli("commit", "linked", "linked")
    given = ["-v", "one:/link/one", "-v", "two:/two/in", "-v", "three:/three"]
    given += ["--tmpfs", "/dev/shm", "--name", "box"]
    engine.cli("run", "-d", *given, "linked", "sleep", "1000")
    inside(engine, "mv /two /else; cd /three; echo x >/r/one/x")
    for target in ("/link/one", "/two/in", "//three/", "/dev/shm"):
        engine.cli("volume", "detach", "box", target)
    script = "ls /r/one /else/in /three; grep -cE ' (/r|/else|/three|/dev/shm)' /proc/mounts; true"
    assert inside(engine, script).splitlines()[-1] == "0"
    engine.cli("volume", "rm", "one", "two", "three")


def test_a_mount_over_a_mount_is_not_taken_for_it(engine: Engine) -> None:
    engine.cli("run", "-d", "--privileged", "--name", "box", "busybox", "sleep", "1000")
    engine.cli("volume", "attach", "box", "data:/d")
    inside(engine, "mount -t tmpfs over /d")
    assert "mounts over" in refused(engine, "detach", "box", "/d")
    assert "is held by" in refused(engine, "rm", "data")
    inside(engine, "umount /d")
    engine.cli("volume", "detach", "box", "/d")
    engine.cli("volume", "rm", "data")


def test_one_writer_holds_for_attachments(engine: Engine, box: str) -> None:
    own = ["--mount", "type=volume,src=data,dst=/x,exclusive"]
    engine.cli("run", "-d", "--name", "other", *own, "busybox", "sleep", "1000")
    assert "only writer" in refused(engine, "attach", box, "data:/x")
    engine.cli("volume", "attach", box, "data:/x:ro")


async def test_the_library(engine: Engine, box: str) -> None:
    with engine.client() as client:
        made = client.containers.attach_mount(box, "data:/d:ro")
        assert (made.name, made.destination, made.read_only) == ("data", "/d", True)
        client.containers.detach_mount(box, "/d")
    async with AsyncClient(engine.host) as client:
        await client.containers.attach_mount(box, "data:/d")
        await client.containers.detach_mount(box, "/d", force=True)
        with pytest.raises(MountNotFound):
            await client.containers.detach_mount(box, "/d")


def test_a_kill_between_record_and_mount(own_engine: Engine) -> None:
    engine = own_engine
    engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "1000")
    engine.cli("volume", "attach", "box", "data:/d")
    inside(engine, "echo kept >/d/file")
    for service in ("container", "volume"):
        engine.kill_service(service)
        engine.wait_healthy()
    assert inside(engine, "cat /d/file") == "kept\n"
    assert "is held by" in refused(engine, "rm", "data")
    # What is on record and not there, as after a kill before it was made, is taken back without complaint.
    pid = engine.cli("inspect", "-f", "{{.State.Pid}}", "box").stdout.strip()
    subprocess.run(["nsenter", "-t", pid, "-m", "/bin/busybox", "umount", "/d"], check=True)
    engine.cli("volume", "detach", "box", "/d")
    engine.cli("volume", "rm", "data")
    engine.cli("rm", "-f", "box")
