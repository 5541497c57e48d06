"""`diff` and `cp`, beside dockerd's."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scow.contract.errors import ContainerNotRunning, ScowError
from tests.e2e.cli.support import mounts_of
from tests.support import copies
from tests.support.busybox import rootfs_tar
from tests.support.engine import BIN, Engine
from tests.support.peers import Docker, Net

pytestmark = pytest.mark.xdist_group("files-like-docker")

CHANGES = """
mkdir -p /home/app/x; rm /bin/awk; chmod 700 /var; echo x > /etc/passwd; echo y > /etc/new
mkdir -p /a/b/c; touch /a/b/f; rm -r /home/app; mkdir /home/app; touch /home/app/z; touch /tmp/t; rm /tmp/t
rm -r /var/www; touch /var/www; rm /bin/top; mkdir /bin/top; touch /bin/top/x; mkdir /root/q; rmdir /root/q
ln -s a /lnk; chown 5 /etc/group; mkfifo /fifo; mknod /null c 1 3
"""


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    net = Net()
    with Docker(net) as docker:
        docker.cli("import", "-", "busybox", stdin=rootfs_tar())
        yield docker
    net.close()


def test_diff_tells_what_dockers_tells(engine: Engine, docker: Docker) -> None:
    make = ("run", "--network=none", "--name=changed", "-v=/data/inner", "busybox", "sh", "-c")
    docker.cli(*make, CHANGES)
    engine.cli(*make, CHANGES)
    told = engine.cli("diff", "changed").stdout.splitlines()
    assert sorted(told) == sorted(docker.cli("diff", "changed").splitlines())
    assert told[:3] == ["A /a", "A /a/b", "A /a/b/c"]


def test_diff_of_a_running_container_and_of_none(engine: Engine) -> None:
    engine.cli("run", "-d", "--network=none", "--name=runs", "busybox", "sleep", "1000")
    assert engine.cli("container", "diff", "runs").stdout == ""
    engine.cli("exec", "runs", "sh", "-c", "echo > /made")
    assert engine.cli("diff", "runs").stdout == "A /made\n"
    refused = engine.cli("diff", "nobody", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no such container: nobody" in refused.stderr


class Both:
    """A container of each engine, and local files, made anew for each case."""

    def __init__(self, engine: Engine, docker: Docker, base: Path) -> None:
        self.base = base
        self._commands = {"docker": docker.command(), "scow": [str(BIN / "scow")]}
        self._env = engine.env
        for name in self._commands:
            run = ("run", "-d", "--network=none", "--name=both", "busybox", "sleep", "1000")
            assert self.run(name, *run).returncode == 0

    def run(
        self, name: str, *arguments: str, cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [*self._commands[name], *arguments]
        return subprocess.run(command, env=self._env, cwd=cwd, capture_output=True, text=True)

    def copied_in(self, name: str, source: str, target: str) -> tuple[int, list[str]]:
        """Copy into the container; return the exit code and what is there then."""
        folder = self.base / name
        made = self.run(name, "exec", "both", "sh", "-c", copies.CONTAINER)
        assert made.returncode == 0, made.stderr
        done = self.run(name, "cp", *source.split(), f"both:{target}", cwd=folder)
        shown = self.run(name, "exec", "both", "sh", "-c", copies.SHOWN)
        return done.returncode, shown.stdout.splitlines()

    def copied_out(self, name: str, source: str, target: str) -> tuple[int, list[str]]:
        """Copy out of the container; return the exit code and what is there then."""
        folder = self.base / f"{name}-out"
        shutil.rmtree(folder, ignore_errors=True)
        copies.make_local(folder)
        *flags, path = source.split()
        done = self.run(name, "cp", *flags, f"both:{path}", target, cwd=folder)
        return done.returncode, copies.local_tree(folder)


@pytest.fixture
def both(engine: Engine, docker: Docker, tmp_path: Path) -> Iterator[Both]:
    made = Both(engine, docker, tmp_path)
    yield made
    made.run("docker", "rm", "-f", "both")


def test_copies_into_a_container_go_where_dockers_go(both: Both) -> None:
    for name in ("docker", "scow"):
        copies.make_local(both.base / name)
    wrong = []
    for source, target in copies.IN:
        ours, theirs = (both.copied_in(name, source, target) for name in ("scow", "docker"))
        if ours != theirs:
            wrong.append((source, target, ours, theirs))
    assert not wrong


def test_copies_out_of_a_container_go_where_dockers_go(both: Both) -> None:
    for name in ("docker", "scow"):
        assert both.run(name, "exec", "both", "sh", "-c", copies.CONTAINER).returncode == 0
    wrong = []
    for source, target in copies.OUT:
        ours, theirs = (both.copied_out(name, source, target) for name in ("scow", "docker"))
        if ours != theirs:
            wrong.append((source, target, ours, theirs))
    assert not wrong


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b"), "must specify at least one container source"),
        (("x:/a", "y:/b"), "copying between containers is not supported"),
        (("", "y:/b"), "source can not be empty"),
        (("y:/b", ""), "destination can not be empty"),
        (("-", "nobody:/"), "no such container: nobody"),
    ],
)
def test_command_lines_that_mean_nothing_are_refused(
    engine: Engine, words: tuple[str, str], said: str
) -> None:
    refused = engine.cli("cp", *words, check=False)
    assert refused.returncode == 1
    assert said in refused.stderr


def test_tars_go_in_and_come_out_with_all_that_they_have(engine: Engine) -> None:
    engine.cli("run", "-d", "--network=none", "--name=tars", "busybox", "sleep", "1000")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, kind, mode in (
            ("made", tarfile.DIRTYPE, 0o1777),
            ("made/null", tarfile.CHRTYPE, 0o666),
            ("made/setuid", tarfile.REGTYPE, 0o4755),
            ("made/hard", tarfile.LNKTYPE, 0o4755),
            ("made/link", tarfile.SYMTYPE, 0o777),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.uid, entry.gid = kind, mode, 7, 8
            entry.devmajor, entry.devminor = 1, 3
            entry.linkname = "/etc/passwd" if kind == tarfile.SYMTYPE else "made/setuid"
            tar.addfile(entry)
    engine.cli("cp", "-", "tars:/tmp", stdin=stream.getvalue())
    script = "cd /tmp/made && stat -c '%n %F %a %u:%g %h %t:%T' . null setuid hard link"
    told = engine.cli("exec", "tars", "sh", "-c", script).stdout.splitlines()
    assert told == [
        ". directory 1777 7:8 2 0:0",
        "null character special file 666 7:8 1 1:3",
        "setuid regular empty file 4755 7:8 2 0:0",
        "hard regular empty file 4755 7:8 2 0:0",
        "link symbolic link 777 7:8 1 0:0",
    ]
    out = subprocess.run(
        [BIN / "scow", "cp", "tars:/tmp/made", "-"], env=engine.env, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(out.stdout)) as tar:
        found = {entry.name: (entry.type, entry.mode, entry.uid) for entry in tar}
    assert found["made/null"] == (tarfile.CHRTYPE, 0o666, 7)
    assert {found["made/hard"][0], found["made/setuid"][0]} == {tarfile.REGTYPE, tarfile.LNKTYPE}


def test_a_stopped_container_has_its_volumes_and_keeps_what_is_copied(
    engine: Engine, tmp_path: Path
) -> None:
    folder, file = tmp_path / "bound", tmp_path / "file"
    folder.mkdir()
    file.write_text("copied")
    mounts = (f"-v={folder}:/bound", "-v=named:/named", f"-v={folder}:/held:ro")
    command = ("cat", "/bound/one", "/named/one", "/one")
    engine.cli("create", "--network=none", "--name=stopped", *mounts, "busybox", *command)
    for place in ("/bound", "/named", "/"):
        engine.cli("cp", str(file), f"stopped:{place}/one")
    assert (folder / "one").read_text() == "copied"
    refused = engine.cli("cp", str(file), "stopped:/held/one", check=False)
    assert "mounted volume is marked read-only" in refused.stderr
    engine.cli("cp", "stopped:/held/one", str(tmp_path / "back"))
    assert (tmp_path / "back").read_text() == "copied"
    assert engine.cli("start", "-a", "stopped").stdout == "copied" * 3
    engine.cli("cp", "stopped:/one", str(tmp_path / "again"))
    assert not mounts_of(engine)
    engine.cli("rm", "-v", "stopped")
    engine.cli("volume", "rm", "named")


def test_what_only_a_start_mounts_is_not_copied_before(engine: Engine, tmp_path: Path) -> None:
    """Files below it would be read, and what is written would be hidden by the start."""
    engine.cli("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "elsewhere")
    mounts = ("-v=elsewhere:/link/deep", "-v=inner:/link/deep/inner", "-v=plain:/plain")
    script = "cat /link/deep/given; sleep 1000"
    engine.cli("create", "--network=none", "--name=late", *mounts, "busybox", "sh", "-c", script)
    file, tree = tmp_path / "file", tmp_path / "tree"
    file.write_text("copied")
    (tree / "link/deep").mkdir(parents=True)
    (tree / "link/deep/given").touch()
    for place in ("/link/deep", "/link/deep/given", "/link/deep/inner/x/given"):
        refused = engine.cli("cp", str(file), f"late:{place}", check=False)
        assert refused.returncode == 1
        assert "only while the container runs" in refused.stderr
        assert "start the container first" in refused.stderr
    for place in ("/link/deep", "/link/deep/.", "/link", "/"):
        refused = engine.cli("cp", f"late:{place}", str(tmp_path / "out"), check=False)
        assert (refused.returncode, "only while the container runs" in refused.stderr) == (1, True)
    refused = engine.cli("cp", f"{tree}/.", "late:/", check=False)
    assert (refused.returncode, "Read-only file system" in refused.stderr) == (1, True)
    engine.cli("cp", str(file), "late:/plain/given")
    engine.cli("cp", str(file), "late:/link/given")
    assert engine.cli("cp", "late:/plain/given", "-").stdout
    engine.cli("start", "late")
    engine.cli("exec", "late", "test", "!", "-e", "/link/deep/given")
    engine.cli("cp", str(file), "late:/link/deep/given")
    assert engine.cli("exec", "late", "cat", "/link/deep/given").stdout == "copied"
    engine.cli("rm", "-f", "late")
    engine.cli("volume", "rm", "elsewhere", "inner", "plain")
    assert not mounts_of(engine)


class Ending(io.BytesIO):
    """A tar during which a container ends."""

    engine: Engine
    left = 2

    def read(self, size: int | None = -1) -> bytes:
        self.left -= 1
        if not self.left:
            self.engine.cli("kill", "ends")
            self.engine.cli("wait", "ends")
        return super().read(1024 if self.left >= 0 else size)


def test_a_container_that_ends_during_a_copy_is_told_of(engine: Engine) -> None:
    """With its mounts gone the rest would be written, and read, below them."""
    flags = ("-d", "--network=none", "--name=ends", "-v=/data", "-v=/data/deep")
    fill = "dd if=/dev/urandom of=/aaa bs=1M count=64 2>/dev/null; echo x > /data/x; touch /ready; sleep 1000"
    engine.cli("run", *flags, "busybox", "sh", "-c", fill)
    engine.cli("exec", "ends", "sh", "-c", "until [ -e /ready ]; do :; done")
    stream = Ending()
    stream.engine = engine
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name in ("first", "data/late"):
            tar.addfile(tarfile.TarInfo(name))
    with engine.client() as client:
        with client.containers.copy_out_stream("ends", "/") as messages:
            first = next(iter(messages))
            assert first.HasField("stat")
            engine.cli("kill", "ends")
            engine.cli("wait", "ends")
            with pytest.raises(ContainerNotRunning, match="ended meanwhile"):
                for _ in messages:
                    pass
        for place, told in (("/", True), ("/data", True), ("/data/deep", False), ("/tmp", False)):
            engine.cli("start", "ends")
            stream.left = 2
            stream.seek(0)
            with pytest.raises(ContainerNotRunning) if told else contextlib.nullcontext():
                client.containers.copy_in("ends", stream, place)
    engine.cli("rm", "-f", "-v", "ends")


def test_owners_are_those_that_a_user_namespace_has(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    os.chown(file, 7, 8)
    engine.cli("run", "-d", "--userns=auto", "--network=none", "--name=own", "busybox", "cat")
    for step in ("running", "stopped"):
        engine.cli("cp", str(file), f"own:/{step}")
        out = engine.cli("cp", f"own:/{step}", "-").stdout
        with tarfile.open(fileobj=io.BytesIO(out.encode())) as tar:
            assert [(entry.uid, entry.gid) for entry in tar] == [(7, 8)]
        engine.cli("stop", "-t", "0", "own")
    engine.cli("rm", "own")


@pytest.mark.parametrize("running", [True, False])
def test_a_read_only_root_takes_copies_into_volumes_alone(engine: Engine, running: bool) -> None:
    flags = ("--network=none", "--name=sealed", "--read-only", "-v=/data")
    engine.cli("create", *flags, "busybox", "sleep", "1000")
    if running:
        engine.cli("start", "sealed")
    engine.cli("cp", "/etc/hostname", "sealed:/data/in")
    engine.cli("cp", "sealed:/data/in", "-")
    refused = engine.cli("cp", "/etc/hostname", "sealed:/etc/in", check=False)
    assert refused.returncode == 1
    assert "container rootfs is marked read-only" in refused.stderr


def test_the_kernels_files_are_not_copied(engine: Engine) -> None:
    engine.cli("run", "-d", "--network=none", "--name=kernel", "busybox", "sleep", "1000")
    for path in ("/proc/1/environ", "/proc/self/root/etc", "/sys/kernel", "/proc/1/fd/0"):
        assert "Could not find" in engine.cli("cp", f"kernel:{path}", "-", check=False).stderr
        refused = engine.cli("cp", "/etc/hostname", f"kernel:{path}/x", check=False)
        assert "Could not find" in refused.stderr
    whole = subprocess.run(
        [BIN / "scow", "cp", "kernel:/", "-"], env=engine.env, capture_output=True, check=True
    )
    with tarfile.open(fileobj=io.BytesIO(whole.stdout)) as tar:
        names = tar.getnames()
    assert "./proc" in names
    assert not [name for name in names if name.startswith(("./proc/", "./sys/", "./dev/"))]


# What a container does to have a copy reach outside: it changes a directory and links to everywhere for each other.
SWAPS = """
mkdir -p /w/d /w/p; ln -s / /w/l1; ln -s ../../../../../../.. /w/l2; ln -s /proc/1/root /w/l3
ln -s /proc/self/cwd /w/l4; ln -s BASE /w/l5; echo inside > /w/d/secret
while :; do for l in l1 l2 l3 l4 l5; do
 mv /w/d /w/p/d; mv /w/$l /w/d; mv /w/d /w/$l; mv /w/p/d /w/d
done; done
"""


def test_nothing_reaches_outside_whatever_the_container_swaps(
    engine: Engine, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of the host")
    before = {path: path.stat().st_mtime_ns for path in (Path("/"), tmp_path)}
    script = SWAPS.replace("BASE", str(tmp_path))
    engine.cli("run", "-d", "--network=none", "--name=swaps", "busybox", "sh", "-c", script)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for number in range(40):
            for name in (f"d/planted{number}", f"planted{number}"):
                entry = tarfile.TarInfo(name)
                entry.mode = 0o4777
                tar.addfile(entry)
        folder = tarfile.TarInfo("d")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o6777
        tar.addfile(folder)
    done = 0
    with engine.client() as client:
        for _ in range(10):
            for place in ("/w", "/w/d"):
                stream.seek(0)
                with contextlib.suppress(ScowError):
                    client.containers.copy_in("swaps", stream, place)
                    done += 1
            for place in ("/w/d", "/w/d/secret", "/w/d/."):
                got = bytearray()
                with contextlib.suppress(ScowError):
                    with client.containers.copy_out_stream("swaps", place) as messages:
                        for message in messages:
                            got += message.chunk
                    done += 1
                assert b"of the host" not in got
    assert done  # some of them were between two changes
    assert not list(Path("/").glob("planted*")) + list(tmp_path.glob("planted*"))
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert (tmp_path.stat().st_mode | secret.stat().st_mode) & 0o6000 == 0
