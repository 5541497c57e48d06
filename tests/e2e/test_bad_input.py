"""Bad input through the command line: the exit code, what the message names, and that nothing is left."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine, remains
from tests.support.net import free_port


@pytest.fixture(autouse=True)
def nothing_left(engine: Engine) -> Iterator[None]:
    """Each refused command leaves no container, link, cgroup, mount, volume or image."""
    before = _everything(engine)
    yield
    assert _everything(engine) == before
    assert not remains(engine.instance)


def _everything(engine: Engine) -> list[str]:
    listings = (("ps", "-aq"), ("volume", "ls", "-q"), ("images", "-q"))
    return [engine.cli(*listing).stdout for listing in listings]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        # Wrong references and unknown images.
        (("run", "Busy Box"), 125, ["Busy Box"]),
        (("run", "UPPER/case"), 125, ["UPPER/case"]),
        (("run", "--pull", "never", "nothing-here"), 125, ["nothing-here"]),
        (("rmi", "nothing-here"), 1, ["nothing-here"]),
        (("tag", "nothing-here", "x"), 1, ["nothing-here"]),
        (("tag", "busybox", "a:b:c"), 1, ["a:b:c"]),
        (("inspect", "nothing-here"), 1, ["nothing-here"]),
        # Commands.
        (("run", "--rm", "busybox", "/no/such/program"), 127, ["/no/such/program"]),
        (("run", "--rm", "busybox", "nosuchprogram"), 127, ["nosuchprogram"]),
        (("run", "--rm", "busybox", "/etc/passwd"), 126, ["/etc/passwd"]),
        (("run", "--rm", "busybox", "/etc"), 126, ["/etc"]),
        (("run", "--rm", "-u", "nobodyknows", "busybox", "true"), 125, ["nobodyknows"]),
        (("run", "--rm", "-w", "relative", "busybox", "true"), 125, ["relative"]),
        # Ports.
        (("run", "--rm", "-p", "99999:80", "busybox", "true"), 125, ["99999"]),
        (("run", "--rm", "-p", "80:80/icmp", "busybox", "true"), 125, ["icmp"]),
        (("run", "--rm", "-p", "8000-8002:80-81", "busybox", "true"), 125, ["8000-8002"]),
        (("run", "--rm", "-p", "not.an.address:80:80", "busybox", "true"), 125, ["not.an.address"]),
        # Networks, volumes, mounts.
        (("run", "--rm", "--network", "nosuchnet", "busybox", "true"), 125, ["nosuchnet"]),
        (("run", "--rm", "--network", "container:nobody", "busybox", "true"), 125, ["nobody"]),
        (("volume", "rm", "nosuchvolume"), 1, ["nosuchvolume"]),
        (("volume", "create", "bad/name"), 1, ["bad/name"]),
        (("run", "--rm", "-v", "data:relative", "busybox", "true"), 125, ["relative"]),
        (
            ("run", "--rm", "--mount", "type=bind,source=/no/such,target=/x", "busybox", "true"),
            125,
            ["/no/such"],
        ),
        # Containers.
        (("start", "nobody"), 1, ["nobody"]),
        (("logs", "nobody"), 1, ["nobody"]),
        (("exec", "nobody", "true"), 1, ["nobody"]),
        (("wait", "nobody"), 1, ["nobody"]),
        (("kill", "nobody"), 1, ["nobody"]),
        # Settings.
        (("run", "--rm", "--memory", "much", "busybox", "true"), 125, ["much"]),
        (("run", "--rm", "--memory", "1k", "busybox", "true"), 125, ["memory"]),
        (("run", "--rm", "--cap-add", "FLY", "busybox", "true"), 125, ["FLY"]),
        (("run", "--rm", "--security-opt", "magic", "busybox", "true"), 125, ["magic"]),
        (("run", "--rm", "--ulimit", "nofiles=1", "busybox", "true"), 125, ["nofiles"]),
        (("run", "--rm", "--stop-signal", "SIGNOTHING", "busybox", "true"), 125, ["SIGNOTHING"]),
        (("run", "--rm", "--dns", "nowhere", "busybox", "true"), 125, ["nowhere"]),
        (("run", "--rm", "--name", "bad name", "busybox", "true"), 125, ["bad name"]),
        (("run", "--rm", "--no-such-flag", "busybox"), 125, ["--no-such-flag"]),
        (("ps", "--filter", "colour=red"), 1, ["colour"]),
        (("inspect", "-f", "{{.State", "busybox"), 64, ["template"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_refused(engine: Engine, arguments: tuple[str, ...], code: int, words: list[str]) -> None:
    done = engine.cli(*arguments, check=False)
    assert done.returncode == code, done.stderr
    for word in words:
        assert word in done.stderr


def test_a_name_in_use(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "taken", "busybox", "sleep", "100")
    done = engine.cli("run", "--name", "taken", "busybox", "true", check=False)
    assert done.returncode == 125
    assert "taken" in done.stderr
    engine.cli("rm", "-f", "taken")


def test_an_address_in_use(engine: Engine) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = engine.cli(
            "run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true", check=False
        )
    assert done.returncode == 125
    assert str(port) in done.stderr
    engine.cli("run", "--rm", "-p", f"127.0.0.1:{port}:80", "busybox", "true")


def test_a_port_that_another_container_has(engine: Engine) -> None:
    port = free_port()
    engine.cli("run", "-d", "--name", "first", "-p", f"{port}:80", "busybox", "sleep", "100")
    done = engine.cli("run", "--rm", "-p", f"{port}:80", "busybox", "true", check=False)
    assert done.returncode == 125
    assert str(port) in done.stderr
    engine.cli("rm", "-f", "first")


def test_an_image_in_use(engine: Engine) -> None:
    engine.cli("import", "-", "used", stdin=rootfs_tar())
    engine.cli("run", "-d", "--name", "user", "used", "sleep", "100")
    done = engine.cli("rmi", "used", check=False)
    assert done.returncode == 1
    assert "used" in done.stderr
    engine.cli("rm", "-f", "user")
    engine.cli("rmi", "used")


def test_a_volume_in_use(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "user", "-v", "held:/data", "busybox", "sleep", "100")
    done = engine.cli("volume", "rm", "held", check=False)
    assert done.returncode == 1
    assert "held" in done.stderr
    engine.cli("rm", "-f", "user")
    engine.cli("volume", "rm", "held")


def test_a_corrupt_import(engine: Engine) -> None:
    whole = rootfs_tar()
    done = engine.cli("import", "-", "broken", stdin=whole[: len(whole) // 2], check=False)
    assert done.returncode == 1
    assert "broken" not in engine.cli("images").stdout


def test_an_engine_that_is_not_there(engine: Engine) -> None:
    done = engine.cli("-H", "unix:///tmp/no-engine-here", "ps", check=False)
    assert done.returncode == 1
    assert "/tmp/no-engine-here" in done.stderr


def test_a_field_that_rows_do_not_have(engine: Engine) -> None:
    engine.cli("create", "--name", "row", "busybox")
    done = engine.cli("ps", "-a", "--format", "{{.Nme}}", check=False)
    assert done.returncode == 1
    assert "Nme" in done.stderr
    engine.cli("rm", "row")
