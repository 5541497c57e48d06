"""`-v`, `--mount`, `--volumes-from`, `--tmpfs` and `--read-only-tmpfs`, as the kernel and the container see them."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.engine import Engine, as_root

pytestmark = as_root()
_libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Path]:
    """A directory with a mount below it."""
    below = tmp_path / "below"
    below.mkdir()
    (tmp_path / "file").write_text("of the host\n")
    tmp_path.chmod(0o751)
    assert _libc.mount(b"tmpfs", os.fsencode(below), b"tmpfs", 0, b"size=64k") == 0
    (below / "deep").write_text("deep\n")
    yield tmp_path
    assert _libc.umount2(os.fsencode(below), 2) == 0


@pytest.fixture(autouse=True)
def no_volumes(engine: Engine) -> Iterator[None]:
    yield
    engine.remove_containers()
    names = engine.cli("volume", "ls", "-q").stdout.split()
    if names:
        engine.cli("volume", "rm", *names)


def run(engine: Engine, *arguments: str, script: str) -> str:
    return engine.cli("run", "--rm", *arguments, "busybox", "sh", "-c", script).stdout


def refused(engine: Engine, *arguments: str) -> str:
    done = engine.cli("create", *arguments, "busybox", "true", check=False)
    assert done.returncode != 0
    return done.stderr


def test_a_read_only_bind_is_read_only_with_what_is_below(engine: Engine, tree: Path) -> None:
    script = "cat /x/below/deep; (: >/x/new) 2>&1; (: >/x/below/new) 2>&1; true"
    for form in (["-v", f"{tree}:/x:ro"], ["--mount", f"type=bind,src={tree},dst=/x,ro"]):
        said = run(engine, *form, script=script)
        assert said.count("Read-only file system") == 2
        assert said.startswith("deep\n")
    assert not (tree / "new").exists()
    assert not (tree / "below/new").exists()


def test_what_is_below_a_bind_as_asked(engine: Engine, tree: Path) -> None:
    mount = f"type=bind,src={tree},dst=/x"
    assert run(engine, "--mount", f"{mount},bind-recursive=disabled", script="ls /x/below") == ""
    script = ": >/x/below/new && (: >/x/new) 2>&1; true"
    writable = run(engine, "--mount", f"{mount},ro,bind-recursive=writable", script=script)
    assert "Read-only file system" in writable
    assert (tree / "below/new").exists()
    script = "(: >/x/below/newer) 2>&1; true"
    forced = f"{mount},ro,bind-propagation=rprivate,bind-recursive=readonly"
    assert "Read-only file system" in run(engine, "--mount", forced, script=script)


def test_an_overlay_takes_what_is_written_and_forgets_it(engine: Engine, tree: Path) -> None:
    mount = f"type=overlay,src={tree},dst=/x,tmpfs-size=128k"
    script = (
        "cat /x/file; echo changed >/x/file; cat /x/file; echo new >/x/new; rm -r /x/below/deep;"
        " ls /x /x/below; stat -c %a /x; dd if=/dev/zero of=/x/big bs=1k count=512 2>&1 | head -1"
    )
    said = run(engine, "--mount", mount, script=script)
    assert said == (
        "of the host\nchanged\n/x:\nbelow\nfile\nnew\n\n/x/below:\n751\n"
        "dd: error writing '/x/big': No space left on device\n"
    )
    assert (tree / "file").read_text() == "of the host\n"
    assert (tree / "below/deep").exists()
    assert not (tree / "new").exists()


def test_a_part_of_a_volume(engine: Engine) -> None:
    run(engine, "-v", "vol:/v", script="mkdir -p /v/a/b; echo part >/v/a/b/file; ln -s a/b /v/l")
    run(engine, "-v", "vol:/v", script="ln -s /etc /v/out; ln -s ../.. /v/up; ln -s x /v/dangling")
    for path in ("a/b", "a/../a/b", "l"):
        mount = f"type=volume,src=vol,dst=/x,volume-subpath={path}"
        assert run(engine, "--mount", mount, script="cat /x/file") == "part\n"
    single = "type=volume,src=vol,dst=/x,volume-subpath=a/b/file,ro"
    assert run(engine, "--mount", single, script="cat /x") == "part\n"
    for path, fault in (
        ("out", "leads out of it"),
        ("up", "leads out of it"),
        ("none", "cannot open none in it: No such file"),
    ):
        mount = f"type=volume,src=vol,dst=/x,volume-subpath={path}"
        done = engine.cli("run", "--rm", "--mount", mount, "busybox", "true", check=False)
        assert done.returncode == 125
        assert fault in done.stderr
    outside = refused(engine, "--mount", "type=volume,src=vol,dst=/x,volume-subpath=../vol")
    assert "subpath must be a relative path within the volume" in outside


def test_options_and_labels_of_a_volume_that_is_made(engine: Engine) -> None:
    mount = (
        "type=volume,src=vol,dst=/x,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"
        '"volume-opt=o=size=64k,mode=700",volume-label=a=b'
    )
    script = "stat -f -c %T /x; stat -c %a /x; df -k /x | tail -1"
    kind, mode, size = run(engine, "--mount", mount, script=script).splitlines()
    assert (kind, mode, size.split()[1]) == ("tmpfs", "700", "64")
    with engine.client() as client:
        made = client.volumes.get("vol")
    assert dict(made.labels) == {"a": "b"}
    assert made.options["o"] == "size=64k,mode=700"


def test_an_image(engine: Engine) -> None:
    engine.cli(
        "run", "--name", "maker", "busybox", "sh", "-c", "mkdir /d; echo 1 >/d/one; rm /bin/sleep"
    )
    engine.cli("commit", "maker", "tools")
    engine.cli("rm", "maker")
    whole = "type=image,source=tools,target=/x"
    script = "cat /x/d/one; test -e /x/bin/sleep; echo $?; ls -A /x/proc; (: >/x/new) 2>&1; true"
    said = run(engine, "--mount", whole, script=script)
    assert said.startswith("1\n1\n")
    assert "Read-only file system" in said
    part = "type=image,source=tools,target=/x,image-subpath=d"
    flags = ["--name", "user", "--mount", part, "--mount", f"{whole}/deep"]
    engine.cli("create", *flags, "busybox", "sh", "-c", "ls /x; ls /x/deep | wc -l")
    refused_ = engine.cli("start", "-a", "user", check=False)
    assert "Read-only file system" in refused_.stderr  # no place can be made in an image
    engine.cli("rm", "user")
    engine.cli("run", "--name", "user", "--mount", part, "busybox", "cat", "/x/one")
    in_use = engine.cli("rmi", "tools", check=False)
    assert in_use.returncode == 1
    assert engine.cli("start", "-a", "user").stdout == "1\n"
    engine.cli("rm", "user")
    engine.cli("rmi", "tools")
    missing = refused(engine, "--mount", "type=image,source=none,target=/x")
    assert "none" in missing
    outside = refused(engine, "--mount", "type=image,source=busybox,target=/x,image-subpath=../a")
    assert "subpath must be a relative path within the image" in outside


def test_volumes_from_containers_in_any_state(engine: Engine, tree: Path) -> None:
    made = ["-v", f"{tree}:/b:ro", "-v", "vol:/v", "-v", "/anon", "--tmpfs", "/t"]
    engine.cli("create", "--name", "source", *made, "busybox", "sleep", "100")
    script = "grep -c -E ' /(b|v|anon) ' /proc/mounts; test -e /t; echo $?; cat /b/file"
    for state in ("created", "running", "exited"):
        if state == "running":
            engine.cli("start", "source")
        if state == "exited":
            engine.cli("kill", "source")
        assert run(engine, "--volumes-from", "source", script=script) == "3\n1\nof the host\n"
    run(engine, "--volumes-from", "source", script="echo shared >/anon/file; echo 1 >/v/file")
    said = run(
        engine, "--volumes-from", "source:ro", script="cat /anon/file; (: >/v/new) 2>&1; true"
    )
    assert said.startswith("shared\n")
    assert "Read-only" in said
    said = run(engine, "--volumes-from", "source", "-v", "/etc:/b", script="ls /b/file 2>&1; true")
    assert "No such file" in said
    assert "no such container" in refused(engine, "--volumes-from", "none").lower()
    engine.cli("rm", "-v", "source")
    assert engine.cli("volume", "ls", "-q").stdout == "vol\n"


def test_read_only_with_places_to_write(engine: Engine) -> None:
    script = "for d in / /run /tmp /var/tmp; do (: >$d/new) 2>/dev/null && echo $d; done; true"
    assert run(engine, "--read-only", script=script) == ""
    assert (
        run(engine, "--read-only", "--read-only-tmpfs", script=script) == "/run\n/tmp\n/var/tmp\n"
    )
    both = ["--read-only", "--read-only-tmpfs", "-v", "vol:/tmp:ro"]
    assert run(engine, *both, script=script) == "/run\n/var/tmp\n"


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["-v", "/tmp:/x", "-v", "/etc:/x"], "Duplicate mount point: /x"),
        (["-v", "/tmp:/x", "--tmpfs", "/x/../x"], "Duplicate mount point: /x/../x"),
        (["-v", "a:/x"], "volume name 'a' is too short"),
        (["-v", "rel/path:/x"], "'rel/path' includes invalid characters for a volume name"),
        (["--mount", "type=foo,dst=/x"], 'invalid mount config for type "foo": mount type unknown'),
        (["--mount", "type=cluster,src=a,dst=/x"], "cluster volumes are swarm's"),
        (
            ["--mount", "type=bind,src=/no/such,dst=/x"],
            'invalid mount config for type "bind": bind source path does not exist: /no/such',
        ),
        (["--mount", "type=bind,src=rel,dst=/x"], "invalid mount path: 'rel' mount path must be"),
        (
            ["--mount", "type=volume,dst=/x,ro"],
            "must not set ReadOnly mode when using anonymous volumes",
        ),
        (["--mount", "type=volume,src=vx,dst=/x,volume-opt=foo=1"], 'create vx: invalid option: "'),
        (["--mount", "type=volume,src=vx,dst=/x,volume-driver=none"], "no volume driver 'none'"),
    ],
)
def test_refusals_in_dockers_words(engine: Engine, arguments: list[str], fault: str) -> None:
    assert fault in refused(engine, *arguments)
    assert engine.cli("volume", "ls", "-q").stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["-v", "/tmp:/x", "-v", "/tmp:/x"],
        ["-v", "/x", "-v", "/x"],
        ["-v", "/x", "-v", "vol:/x"],
        ["-v", "/tmp:/x:z,cached,ro,rslave"],
        ["--mount", "type=bind,src=/tmp,dst=/x,consistency=delegated"],
        ["--tmpfs", "/x", "--tmpfs", "/x"],
    ],
)
def test_what_docker_takes(engine: Engine, arguments: list[str]) -> None:
    engine.cli("create", *arguments, "busybox", "true")


def test_sources_with_strange_names(engine: Engine, tmp_path: Path) -> None:
    for name in ("ü ,x", "new\nline", "-rf", "scow.link=", "%s {} $HOME"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("found\n")
        mount = f'type=bind,"src={tmp_path}/{name}",dst=/x'
        assert run(engine, "--mount", mount, script="cat /x/file") == "found\n"


def test_a_source_that_vanishes(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    engine.cli("create", "--name", "box", "-v", "vol:/v", "--mount",
               f"type=bind,src={tmp_path}/gone,dst=/x", "busybox", "true")  # fmt: skip
    (tmp_path / "gone").rmdir()
    done = engine.cli("start", "box", check=False)
    assert f"the source {tmp_path}/gone of the mount at /x does not exist" in done.stderr
    uses = engine.cli("volume", "inspect", "-f", "{{range .Uses}}{{.Mounted}}{{end}}", "vol")
    assert uses.stdout == "false\n"
    (tmp_path / "gone").mkdir()
    engine.cli("start", "-a", "box")


def test_a_read_only_file_system(engine: Engine, tree: Path) -> None:
    below = os.fsencode(tree / "below")
    assert _libc.mount(b"none", below, b"", 0x20 | 0x1, b"") == 0  # MS_REMOUNT, MS_RDONLY
    assert "Read-only" in run(engine, "-v", f"{tree}/below:/x", script="touch /x/n 2>&1; true")
    flags = ["--rm", "-v", f"{tree}/below/new:/x", "busybox", "true"]
    done = engine.cli("run", *flags, check=False)
    assert done.returncode == 125
    assert f"cannot use {tree}/below/new: Read-only file system" in done.stderr


def test_one_writer(engine: Engine) -> None:
    own = ["--mount", "type=volume,src=vol,dst=/x,exclusive"]
    engine.cli("run", "-d", "--name", "one", *own, "busybox", "sleep", "100")
    for arguments in (own, ["-v", "vol:/x"]):
        done = engine.cli("run", "--rm", *arguments, "busybox", "true", check=False)
        assert done.returncode == 125
        assert "only writer" in done.stderr
    assert run(engine, "-v", "vol:/x:ro", script="echo read") == "read\n"
    engine.cli("kill", "one")
    engine.cli("wait", "one")
    assert run(engine, *own, script="echo written") == "written\n"
    engine.cli("run", "-d", "--name", "two", "-v", "vol:/x", "busybox", "sleep", "100")
    done = engine.cli("start", "one", check=False)
    assert "only writer" in done.stderr
