"""Ways out of a container that others have found, each as an attempt from inside.

What is tried by system calls is in `tests/support/escape.c`, which prints what was not refused. Each attempt is made
with the default confinement, in the host's user namespace and in one of the container's own.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cli.support import field
from tests.support.busybox import rootfs_tar
from tests.support.engine import BIN, Engine
from tests.support.processes import children
from tests.support.terminal import Terminal

SOURCE = Path(__file__).parents[2] / "support/escape.c"
MODES = pytest.mark.parametrize("users", [(), ("--userns", "auto")], ids=["host", "own"])
Users = tuple[str, ...]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("escape") / "escape"
    subprocess.run(["gcc", "-static", "-O1", "-o", path, SOURCE], check=True)
    return path


def tried(engine: Engine, program: Path, users: Users, *words: str, flags: Users = ()) -> str:
    """Return what an attempt printed: what was not refused."""
    place = ("-v", f"{program}:/escape:ro")
    return engine.cli("run", "--rm", *users, *flags, *place, "busybox", "/escape", *words).stdout


@MODES
def test_nothing_in_proc_and_sys_is_writable(engine: Engine, program: Path, users: Users) -> None:
    """core_pattern, sysrq-trigger, uevent_helper, release_agent and whatever else there is."""
    folders = (
        "/proc/sys",
        "/sys",
        "/proc/bus",
        "/proc/fs",
        "/proc/irq",
        "/proc/acpi",
        "/proc/scsi",
    )
    assert tried(engine, program, users, "writable", *folders) == ""
    script = "for f in sysrq-trigger kcore keys timer_list; do head -c 1 /proc/$f | wc -c; done"
    out = engine.cli(
        "run",
        "--rm",
        *users,
        "busybox",
        "sh",
        "-c",
        script + "; echo > /proc/sysrq-trigger || echo no",
    )
    assert out.stdout.split()[1:] == ["0", "0", "0", "no"]


@MODES
def test_devices_beyond_the_list(engine: Engine, program: Path, users: Users) -> None:
    """Nodes can be made (but not in a user namespace), also of the host's disks; none of them opens."""
    assert tried(engine, program, users, "devices") == ""
    given = ("--device", "/dev/kmsg:/dev/kmsg:r")
    assert "c 1:11 1" not in tried(engine, program, users, "devices", flags=given)


@MODES
def test_namespaces_mounts_and_keys(engine: Engine, program: Path, users: Users) -> None:
    """unshare, clone and clone3 flags, the mount calls, keyrings, modules, and the like under the default profile."""
    assert tried(engine, program, users, "kernel") == ""
    # Root's capabilities in there are no more than the container's.
    assert tried(engine, program, (*users, "-u", "1000"), "kernel") == ""


@MODES
def test_cgroup_release_agent(engine: Engine, users: Users) -> None:
    """CVE-2022-0492."""
    script = (
        "unshare -UrmC true && echo namespaces; mkdir /tmp/c;"
        " mount -t cgroup -o memory x /tmp/c && echo mounted;"
        " for f in $(find /sys/fs/cgroup -name release_agent -o -name notify_on_release); do"
        " (echo 1 > $f) && echo $f; done; mkdir /sys/fs/cgroup/*/x && echo made; true"
    )
    assert engine.cli("run", "--rm", *users, "busybox", "sh", "-c", script).stdout == ""


@MODES
def test_processes_of_others(engine: Engine, program: Path, users: Users) -> None:
    """ptrace, kcmp and /proc/PID, where the pid namespace is the host's, or a container's with other ids."""
    assert tried(engine, program, users, "process", "1", flags=("--pid", "host")) == ""
    engine.cli("run", "-d", "--name", "victim", "--userns", "auto", "busybox", "sleep", "60")
    shared = ("--userns", "private:500000:65536", "--pid", "container:victim")
    assert tried(engine, program, shared, "process", "1") == ""
    # The engine's own processes that are about to become a container's program are nobody's to look into.
    shim = int(
        Path(f"/proc/{field(engine, 'victim', '{{.State.Pid}}')}/stat").read_text().split()[3]
    )
    assert tried(engine, program, users, "process", str(shim), flags=("--pid", "host")) == ""


@MODES
def test_the_engines_program(engine: Engine, users: Users) -> None:
    """CVE-2019-5736: by /proc/self/exe as the program, and by /proc/PID/exe of who executes into the container."""
    interpreter = Path(sys.executable).resolve()
    before = hashlib.sha256(interpreter.read_bytes()).digest()
    done = engine.cli("run", "--rm", *users, "busybox", "/proc/self/exe", "--version", check=False)
    assert done.returncode != 0 or "Python" in done.stdout
    overwrite = (
        "while :; do for p in /proc/[0-9]*; do case $(readlink $p/exe) in *busybox|'') ;;"
        " *) (: >> $p/exe) 2>/dev/null && echo opened > /caught;; esac; done; done"
    )
    engine.cli("run", "-d", "--name", "watcher", *users, "busybox", "sh", "-c", overwrite)
    for command in ("true", "/proc/self/exe"):
        for _ in range(4):
            engine.cli("exec", "watcher", command, "--version", check=False)
    assert engine.cli("exec", "watcher", "test", "-e", "/caught", check=False).returncode == 1
    assert hashlib.sha256(interpreter.read_bytes()).digest() == before


@MODES
def test_leaked_descriptors(engine: Engine, users: Users) -> None:
    """CVE-2024-21626: no descriptor of the engine is a way out, as a working directory or in the program."""
    listing = engine.cli("run", "--rm", *users, "busybox", "ls", "/proc/self/fd").stdout.split()
    assert listing == ["0", "1", "2", "3"]  # 3 is of ls
    engine.cli("run", "-d", "--name", "box", *users, "busybox", "sleep", "60")
    for number in range(3, 20):
        place = f"/proc/self/fd/{number}"
        done = engine.cli(
            "exec", "-w", f"{place}/../../..", "box", "cat", "etc/hostname", check=False
        )
        assert Path("/etc/hostname").read_text() not in done.stdout or done.returncode
    for number in (3, 7, 8, 9):
        done = engine.cli(
            "run",
            "--rm",
            *users,
            "-w",
            f"/proc/self/fd/{number}",
            "busybox",
            "ls",
            "../../../root",
            check=False,
        )
        assert done.returncode in (125, 126, 127), done.stdout


_LIBRARY = """
#include <fcntl.h>
__attribute__((constructor)) static void loaded(void) { open("%s", O_CREAT | O_WRONLY, 0600); }
"""


@MODES
def test_libraries_of_the_container(engine: Engine, tmp_path: Path, users: Users) -> None:
    """CVE-2019-14271: no process of the engine loads what a container has, whatever is copied or executed."""
    mark = tmp_path / "loaded"
    (tmp_path / "evil.c").write_text(_LIBRARY % mark)
    evil = tmp_path / "libnss_files.so.2"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", evil, tmp_path / "evil.c"], check=True)
    subprocess.run(["true"], env={"LD_PRELOAD": str(evil)}, check=True)
    assert mark.exists()
    mark.unlink()
    plant = (
        "for d in /lib /lib64 /lib/x86_64-linux-gnu /usr/lib /usr/lib/x86_64-linux-gnu; do mkdir -p $d;"
        " for l in libnss_files.so.2 libnss_compat.so.2 libc.so.6 libnss_dns.so.2; do cp /evil $d/$l; done; done;"
        " echo /evil > /etc/ld.so.preload; echo passwd: compat evil > /etc/nsswitch.conf; sleep 60"
    )
    place = ("-v", f"{evil}:/evil:ro")
    engine.cli("run", "-d", "--name", "box", *users, *place, "busybox", "sh", "-c", plant)
    engine.cli("exec", "box", "sh", "-c", "until test -e /etc/nsswitch.conf; do sleep 0.1; done")
    for running in (True, False):
        if not running:
            engine.cli("stop", "-t", "0", "box")
        engine.cli("cp", str(evil), "box:/copied")
        engine.cli("cp", "-a", "box:/lib", str(tmp_path / f"out{running}"))
        engine.cli("exec", "-u", "app:extra", "box", "true", check=running)
        engine.cli("top", "box", check=running)
        engine.cli("diff", "box")
        engine.cli("export", "-o", str(tmp_path / "tar"), "box")
        engine.cli("commit", "box", "planted")
    engine.cli("rmi", "planted")
    assert not mark.exists()


@MODES
def test_capabilities_and_groups(engine: Engine, users: Users) -> None:
    """CVE-2022-24769 (inheritable capabilities), CVE-2022-2995 (the primary group is a supplementary one too)."""
    show = ("grep", "-E", "CapInh|CapAmb|Groups", "/proc/self/status")
    empty = re.compile(r"Groups:\s+([0-9 ]*)\nCapInh:\s+0+\nCapAmb:\s+0+\n")
    engine.cli("run", "-d", "--name", "box", *users, "busybox", "sleep", "60")
    for flags, groups in (((), "0"), (("-u", "app"), "1000 2000"), (("-u", "1:7"), "7")):
        for out in (
            engine.cli("run", "--rm", *users, *flags, "busybox", *show).stdout,
            engine.cli("exec", *flags, "box", *show).stdout,
        ):
            found = empty.fullmatch(out)
            assert found is not None, out
            assert found.group(1).strip() == groups
    # A file that denies something to the group is denied to its members.
    script = "echo x > /f; chown 0:1000 /f; chmod 0705 /f; sleep 60"
    engine.cli("run", "-d", "--name", "denied", *users, "busybox", "sh", "-c", script)
    done = engine.cli("exec", "-u", "1000:1000", "denied", "cat", "/f", check=False)
    assert "Permission denied" in done.stderr


@MODES
def test_setuid_under_no_new_privileges(engine: Engine, program: Path, users: Users) -> None:
    script = "cp /escape /suid && chmod 4755 /suid && sleep 60"
    place = ("-v", f"{program}:/escape:ro")
    for name, flags in (("plain", ()), ("strict", ("--security-opt", "no-new-privileges"))):
        engine.cli(
            "run", "-d", "--name", name, *users, *flags, *place, "busybox", "sh", "-c", script
        )
        ready = "until test -u /suid; do sleep 0.1; done"
        engine.cli("exec", name, "sh", "-c", ready)
    assert engine.cli("exec", "-u", "1000", "plain", "/suid", "uids").stdout == "1000 0\n"
    assert engine.cli("exec", "-u", "1000", "strict", "/suid", "uids").stdout == "1000 1000\n"


@MODES
def test_typing_into_the_terminal(engine: Engine, program: Path, users: Users) -> None:
    """TIOCSTI types into the container's own terminal at most, never into that of who started it."""
    script = (
        f"{BIN}/scow run --rm -it {' '.join(users)} -v {program}:/escape:ro busybox /escape type;"
        " read -t 1 typed && echo injected; read -n 1 -t 1 typed && echo injected; echo over"
    )
    with Terminal(["bash", "-c", script], engine.env) as window:
        shown = window.text_before(b"over")
    assert b"injected" not in shown
    assert b"TIOCLINUX" not in shown


def test_no_abstract_socket(engine: Engine) -> None:
    """CVE-2020-15257: abstract sockets belong to the network namespace, which may be the host's."""
    engine.cli("run", "-d", "--name", "box", "--network", "host", "busybox", "sleep", "60")
    engine.cli("exec", "box", "true")
    spawner = engine.spawner_pid()
    inodes = set()
    for pid in (engine.pid, *children(engine.pid), spawner, *children(spawner)):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            link = os.readlink(descriptor)
            inodes.add(link.removeprefix("socket:[").removesuffix("]"))
    lines = Path("/proc/net/unix").read_text().splitlines()[1:]
    abstract = [line for line in lines if line.split()[6] in inodes and " @" in line]
    assert abstract == []


def test_files_of_another_user_namespace(engine: Engine) -> None:
    """Root of one container is not the owner of what another's root has, where both can see it."""
    owner = ("--name", "owner", "--userns", "auto", "--ipc", "shareable")
    script = "umask 077; echo secret > /dev/shm/mine; mkdir /dev/shm/d; sleep 60"
    engine.cli("run", "-d", *owner, "busybox", "sh", "-c", script)
    other = ("--userns", "private:600000:65536", "--ipc", "container:owner")
    attempt = (
        "stat -c %u /dev/shm/mine; cat /dev/shm/mine; rm -f /dev/shm/mine; touch /dev/shm/d/x;"
        " chown 0 /dev/shm/mine; chmod 777 /dev/shm/mine; true"
    )
    done = engine.cli("run", "--rm", *other, "busybox", "sh", "-c", attempt)
    assert done.stdout == "65534\n"
    assert engine.cli("exec", "owner", "cat", "/dev/shm/mine").stdout == "secret\n"


@pytest.fixture
def swapping(engine: Engine) -> Iterator[str]:
    """A container that swaps a directory of a volume for a link to /, again and again."""
    engine.cli("volume", "create", "raced")
    swap = (
        "cd /vol; mkdir -p real/in; ln -sfn / link; while :; do"
        " mv -T real place 2>/dev/null; mv -T place real 2>/dev/null;"
        " mv -T link place 2>/dev/null; mv -T place link 2>/dev/null; done"
    )
    engine.cli("run", "-d", "--name", "swapper", "-v", "raced:/vol", "busybox", "sh", "-c", swap)
    yield "raced"
    engine.cli("rm", "-f", "-v", "swapper")


@MODES
def test_targets_of_mounts_that_are_swapped(
    engine: Engine, swapping: str, tmp_path: Path, users: Users
) -> None:
    """CVE-2021-30465, CVE-2025-52881: wherever the link leads in that moment, it is inside of the container."""
    (tmp_path / "mark").write_text("x")
    before = Path("/proc/self/mountinfo").read_text().count("\n")
    for _ in range(12):
        done = engine.cli(
            *("run", "--rm", *users, "-v", f"{swapping}:/vol", "-v", f"{tmp_path}:/vol/place/in"),
            *("--tmpfs", "/vol/place/etc", "busybox", "sh", "-c"),
            "cat /proc/mounts; ls /etc/shadow /proc/sys/kernel/hostname",
            check=False,
        )
        places = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("/dev/")]
        assert not [place for place in places if ".." in place or "\\040" in place]
        assert not Path("/in").exists(), "it was made in the host"
        assert "/etc/shadow" not in done.stdout.splitlines()
    assert Path("/proc/self/mountinfo").read_text().count("\n") <= before + 64
    assert (tmp_path / "mark").read_text() == "x"
    assert not Path("/vol/place").exists()


def _image(engine: Engine, name: str, links: dict[str, str]) -> None:
    """Import busybox with links in the place of some of its paths."""
    stream = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(rootfs_tar())) as given,
        tarfile.open(fileobj=stream, mode="w") as made,
    ):
        for entry in given:
            if entry.name not in links:
                made.addfile(entry, given.extractfile(entry))
        for path, target in links.items():
            entry = tarfile.TarInfo(path)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            made.addfile(entry)
    engine.cli("import", "-", name, stdin=stream.getvalue())


@MODES
@pytest.mark.parametrize(
    "links",
    [
        {"dev/null": "/proc/sys/kernel/core_pattern", "dev/console": "/proc/sysrq-trigger"},
        {"dev/pts": "/proc", "dev/ptmx": "/proc/sysrq-trigger"},
        {"dev": "/proc"},
        {"proc": "/tmp"},
        {"proc": "/proc/1/root"},
        {"sys": "/etc"},
    ],
    ids=str,
)
def test_images_with_links_in_bad_places(
    engine: Engine, users: Users, links: dict[str, str]
) -> None:
    """CVE-2023-27561 (/proc), CVE-2025-31133 (/dev/null), CVE-2025-52565 (/dev/console): it starts whole, or not."""
    _image(engine, "hostile", links)
    check = (
        "head -c 1 /proc/keys | wc -c; head -c 1 /proc/kcore | wc -c;"
        " (echo x > /proc/sysrq-trigger) || echo no; (echo x > /proc/sys/kernel/core_pattern) || echo no"
    )
    try:
        for terminal_too in ((), ("-t",)):
            flags = ("--rm", *terminal_too, *users)
            done = engine.cli("run", *flags, "hostile", "sh", "-c", check, check=False)
            if done.returncode != 125:
                lines = [
                    line for line in done.stdout.split("\n") if line.strip() in ("0", "1", "no")
                ]
                assert [line.strip() for line in lines] == ["0", "0", "no", "no"]
    finally:
        engine.cli("rmi", "-f", "hostile")


@MODES
def test_volumes_in_proc(engine: Engine, users: Users) -> None:
    """CVE-2019-16884 and its like: nothing covers what is masked and confined there."""
    for target in ("/proc", "/proc/self", "/proc/sys/kernel", "/proc/self/attr"):
        flags = ("--rm", *users, "-v", f"covered:{target}")
        assert engine.cli("run", *flags, "busybox", "true", check=False).returncode == 125, target
    engine.cli("volume", "rm", "covered")
