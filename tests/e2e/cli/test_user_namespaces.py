"""Containers with user namespaces of their own: ids in the host, and the same ids as ever on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.e2e.cli.support import field, shown
from tests.support.busybox import import_busybox
from tests.support.engine import Engine

_AUTO = ("--userns", "auto")
_FIRST = 1_000_000_000


def _out(engine: Engine, *arguments: str) -> str:
    return engine.cli("run", "--rm", *arguments).stdout


def _data(engine: Engine, volume: str) -> Path:
    return engine.root / "volume/volumes" / volume / "_data"


def test_ids_in_the_host(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "mapped", *_AUTO, "busybox", "sleep", "60")
    pid = int(field(engine, "mapped", "{{.State.Pid}}"))
    assert Path(f"/proc/{pid}").stat().st_uid == _FIRST
    assert Path(f"/proc/{pid}/uid_map").read_text().split() == ["0", str(_FIRST), "65536"]
    host = shown(engine, "mapped")["HostConfig"]
    assert host["UsernsMode"] == "auto"
    assert host["IdRange"] == {"First": _FIRST, "Size": 65536}
    inside = engine.cli("exec", "mapped", "sh", "-c", "id -u; cat /proc/self/uid_map").stdout
    assert inside.split() == ["0", "0", str(_FIRST), "65536"]
    # Network, mounts and the rest belong to the namespace; the host's are not reachable through it.
    for kind in ("user", "net", "mnt", "ipc", "uts", "cgroup"):
        assert os.readlink(f"/proc/{pid}/ns/{kind}") != os.readlink(f"/proc/self/ns/{kind}")


def test_each_has_its_own_range_and_keeps_it(engine: Engine) -> None:
    for name in ("first", "second"):
        engine.cli("create", "--name", name, *_AUTO, "busybox", "cat", "/proc/self/uid_map")
    ranges = {field(engine, name, "{{.HostConfig.IdRange.First}}") for name in ("first", "second")}
    assert len(ranges) == 2
    before = engine.cli("start", "-a", "second").stdout
    engine.cli("rm", "first")
    assert engine.cli("start", "-a", "second").stdout == before
    taken = before.split()[1]
    done = engine.cli("create", "--userns", f"private:{taken}:5", "busybox", check=False)
    assert "has ids of another container" in done.stderr


def test_files_have_the_same_ids_on_the_disk(engine: Engine) -> None:
    script = "echo v > /vol/mine && chown 7:8 /vol/mine && echo n > /etc/new && chown 9 /etc/passwd"
    engine.cli("volume", "create", "shifted")
    bound = ("-v", "shifted:/vol")
    engine.cli("run", "--name", "writes", *_AUTO, *bound, "busybox", "sh", "-c", script)
    status = (_data(engine, "shifted") / "mine").stat()
    assert (status.st_uid, status.st_gid) == (7, 8)
    assert engine.cli("diff", "writes").stdout.split() == (
        ["C", "/etc", "A", "/etc/new", "C", "/etc/passwd", "A", "/vol"]
    )
    engine.cli("commit", "writes", "shifted:1")
    show = ("stat", "-c", "%u:%g", "/etc/new", "/etc/passwd")
    for mode in ((), _AUTO, ("--userns", "private:300000:70000")):
        assert _out(engine, *mode, "shifted:1", *show).split() == ["0:0", "9:0"]
        seen = _out(engine, *mode, *bound, "busybox", "stat", "-c", "%u:%g", "/vol/mine")
        assert seen == "7:8\n"
    engine.cli("rmi", "shifted:1", check=False)


def test_binds_images_and_overlays_are_mapped(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("x")
    os.chown(tmp_path / "given", 5, 6)
    show = "stat -c %u:%g /there/given"
    write = f"{show} && echo y > /there/new"
    bind = ("-v", f"{tmp_path}:/there")
    assert _out(engine, *_AUTO, *bind, "busybox", "sh", "-c", write) == "5:6\n"
    assert (tmp_path / "new").stat().st_uid == 0
    cover = ("--mount", f"type=overlay,source={tmp_path},target=/there")
    assert _out(engine, *_AUTO, *cover, "busybox", "sh", "-c", f"{write} && rm /there/given") == (
        "5:6\n"
    )
    assert (tmp_path / "given").exists()
    image = ("--mount", "type=image,source=busybox,target=/image")
    assert _out(engine, *_AUTO, *image, "busybox", "stat", "-c", "%u", "/image/bin") == "0\n"
    made = tmp_path / "made/here"
    _out(engine, *_AUTO, "-v", f"{made}:/m", "busybox", "true")
    assert made.stat().st_uid == 0, "what the engine makes in the host is the host's"


def test_what_cannot_be_mapped_is_told(engine: Engine) -> None:
    done = engine.cli(
        *("run", "--rm", *_AUTO, "-v", "/sys/kernel:/k:ro", "busybox"), "stat", "-c", "%u", "/k"
    )
    assert done.stdout == "65534\n"
    assert "/k belongs to nobody: its file system maps no ids" in done.stderr


def test_mounts_of_a_running_container(engine: Engine) -> None:
    engine.cli("volume", "create", "late")
    (_data(engine, "late") / "f").write_text("x")
    run = ("run", "-d", "--name", "mapped", *_AUTO, "-v", "late:/early", "busybox", "sleep", "60")
    engine.cli(*run)
    engine.cli("volume", "attach", "mapped", "late:/new/place")
    show = ("exec", "mapped", "stat", "-c", "%u", "/new", "/new/place", "/new/place/f", "/early/f")
    assert engine.cli(*show).stdout.split() == ["0", "0", "0", "0"]
    for place in ("/new/place", "/early"):
        engine.cli("volume", "detach", "mapped", place)
    assert "late" not in engine.cli("exec", "mapped", "cat", "/proc/mounts").stdout


def test_users_inside(engine: Engine) -> None:
    """Programs of other users reach their standard output again by name, and sysctls of its network are set."""
    script = "id -u; echo named > /dev/stdout; cat /proc/sys/net/ipv4/ip_unprivileged_port_start"
    flags = (*_AUTO, "-u", "1000:1000", "--sysctl", "net.ipv4.ip_unprivileged_port_start=81")
    assert _out(engine, *flags, "busybox", "sh", "-c", script).split() == ["1000", "named", "81"]


def test_a_terminal(engine: Engine) -> None:
    show = "stat -c %u:%g $(tty); echo seen > /dev/tty"
    out = _out(engine, *_AUTO, "-t", "-u", "7", "busybox", "sh", "-c", show)
    assert out.split() == ["7:5", "seen"]
    engine.cli("run", "-d", "--name", "mapped", *_AUTO, "busybox", "sleep", "60")
    out = engine.cli("exec", "-t", "-u", "7", "mapped", "sh", "-c", show).stdout
    assert out.split() == ["7:5", "seen"]


def test_joining(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "owner", *_AUTO, "busybox", "sleep", "60")
    flags = ("--userns", "container:owner", "--network", "container:owner", "busybox")
    assert _out(engine, *flags, "cat", "/proc/self/uid_map").split()[1] == (
        field(engine, "owner", "{{.HostConfig.IdRange.First}}")
    )
    engine.cli("stop", "-t", "0", "owner")
    done = engine.cli("run", "--rm", "--userns", "container:owner", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "is not running" in done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--userns", "auto", "--privileged"), "privileged is incompatible with user namespaces"),
        (("--userns", "private:0:5"), "has the range '0:5'"),
        (("--userns", "private:x"), "has the range 'x'"),
        (("--userns", "private:4294967290:100"), "has ids above"),
        (("--userns", "container:none"), "no such container: none"),
    ],
)
def test_refused(engine: Engine, flags: tuple[str, ...], message: str) -> None:
    done = engine.cli("create", *flags, "busybox", check=False)
    assert done.returncode == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("flag", "what"),
    [("--userns", "USER"), ("--pid", "PID"), ("--uts", "UTS"), ("--cgroupns", "CGROUP")],
)
def test_unknown_modes(engine: Engine, flag: str, what: str) -> None:
    done = engine.cli("create", flag, "odd", "busybox", check=False)
    assert done.returncode == 125
    assert f"invalid {what} mode" in done.stderr


def test_clocks(engine: Engine) -> None:
    """Also together with a user namespace, and in exec sessions."""
    with open("/proc/uptime", encoding="ascii") as file:
        host = float(file.read().split()[0])
    for mode in ((), _AUTO):
        flags = ("--time-offset", "boottime=240h", "--time-offset", "monotonic=1d")
        name = f"clock{len(mode)}"
        engine.cli("run", "-d", "--name", name, *mode, *flags, "busybox", "sleep", "60")
        seen = float(engine.cli("exec", name, "cat", "/proc/uptime").stdout.split()[0])
        assert seen >= host + 240 * 3600
    done = engine.cli("create", "--time-offset", "realtime=1h", "busybox", check=False)
    assert done.returncode == 125


def test_the_engines_default(tmp_path: Path) -> None:
    """Containers and builds have their own, but for those that say otherwise; files are the same as ever."""
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox\nRUN cat /proc/self/uid_map > /map && touch /seven && chown 7 /seven\n"
    )
    settings = {"SCOW_CONTAINER_USERNS": "auto", "SCOW_BUILD_ALLOW": "security.insecure"}
    with Engine(settings) as engine:
        import_busybox(engine)
        assert _out(engine, "busybox", "cat", "/proc/self/uid_map").split()[1] != "0"
        host = ("--userns", "host")
        assert _out(engine, *host, "busybox", "cat", "/proc/self/uid_map").split()[1] == "0"
        engine.cli("build", "-q", "-t", "built", str(tmp_path))
        assert _out(engine, *host, "built", "cat", "/map").split()[1] != "0"
        assert _out(engine, *host, "built", "stat", "-c", "%u", "/seven", "/map").split() == (
            ["7", "0"]
        )
        insecure = (
            "# syntax=docker/dockerfile:1-labs\nFROM busybox\n"
            "RUN --security=insecure cat /proc/self/uid_map > /map\n"
        )
        (tmp_path / "Dockerfile").write_text(insecure)
        engine.cli("build", "-q", "--allow", "security.insecure", "-t", "insecure", str(tmp_path))
        assert _out(engine, *host, "insecure", "cat", "/map").split()[1] == "0"
        done = engine.cli("run", "--rm", "--privileged", "busybox", "true", check=False)
        assert "incompatible with user namespaces" in done.stderr
        assert _out(engine, "--privileged", *host, "busybox", "id", "-u") == "0\n"
