"""`scow run`: what the container gets of each flag, and what comes back."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from tests.e2e.cli.support import field, shown
from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine, as_root

pytestmark = as_root()
STATUS = Path("/proc/self/status")
CAP_SYS_RESOURCE = 24  # capabilities(7)


def _out(engine: Engine, *arguments: str, stdin: bytes = b"") -> str:
    return engine.cli("run", "--rm", *arguments, stdin=stdin).stdout


def test_output_and_errors_are_kept_apart(engine: Engine) -> None:
    done = engine.cli("run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 3"], 3),
        (["/no/such/command"], 127),
        (["no-such-command"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_exit_codes(engine: Engine, command: list[str], code: int) -> None:
    done = engine.cli("run", "--rm", "busybox", *command, check=False)
    assert done.returncode == code, done.stderr
    if code in (126, 127):
        assert command[0] in done.stderr
        assert done.stderr.startswith("scow: ")
    assert engine.cli("ps", "-aq").stdout == ""


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143), ("USR1", 138)])
def test_a_signal_s_exit_code(engine: Engine, signal: str, code: int) -> None:
    # Without an init the kernel keeps process 1 of a PID namespace from its own signals.
    command = ["sh", "-c", f"kill -{signal} $$; sleep 5"]
    assert engine.cli("run", "--rm", "--init", "busybox", *command, check=False).returncode == code


def test_what_cannot_be_created_ends_with_125(engine: Engine) -> None:
    engine.cli("create", "--name", "taken", "busybox")
    for arguments, message in (
        (["--name", "taken", "busybox"], "taken"),
        (["--network", "no-such", "busybox"], "no-such"),
        (["--user", "nobody-here", "busybox", "true"], "nobody-here"),
        (["--pull", "never", "no-such-image"], "no-such-image"),
    ):
        done = engine.cli("run", "--rm", *arguments, check=False)
        assert done.returncode == 125, (arguments, done)
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    assert engine.cli("ps", "-a", "--format", "{{.Names}}").stdout == "taken\n"


def test_a_name_is_free_when_a_run_that_removes_returns(engine: Engine) -> None:
    for _ in range(5):
        assert _out(engine, "--name", "again", "busybox", "echo", "x") == "x\n"


def test_in_the_background(engine: Engine, tmp_path: Path) -> None:
    file = tmp_path / "cid"
    printed = engine.cli(
        "run", "-d", "--name", "bg", "--cidfile", str(file), "busybox", "sleep", "60"
    )
    assert printed.stdout == file.read_text() + "\n"
    assert field(engine, "bg", "{{.State.Running}} {{.Id}}") == f"true {file.read_text()}"


def test_process(engine: Engine, tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text("FROM_FILE=1\n")
    script = "echo $A $FROM_FILE $(pwd) $(id -u):$(id -g) $(hostname)"
    out = _out(
        engine,
        *("-e", "A=b c", "--env-file", str(env), "-w", "/tmp", "-u", "app", "-h", "box"),
        *("busybox", "sh", "-c", script),
    )
    assert out == "b c 1 /tmp 1000:1000 box\n"


def test_a_variable_that_the_caller_does_not_have_is_taken_away(
    engine: Engine, tmp_path: Path
) -> None:
    """As in Docker; a file's line with a name alone leaves the image's variable."""
    engine.cli("import", "-c", "ENV A=image", "-", "withenv", stdin=rootfs_tar())
    env = tmp_path / "env"
    env.write_text("A\n")
    without = _out(engine, "-e", "A", "-e", "HOSTNAME", "withenv", "env")
    assert {line.partition("=")[0] for line in without.splitlines()} == {"PATH", "HOME"}
    assert "A=image\n" in _out(engine, "--env-file", str(env), "withenv", "env")


def test_logs_of_tiny_files(engine: Engine) -> None:
    """Docker takes any size, too."""
    options = ("--name", "tiny", "--log-opt", "max-size=1", "--log-opt", "max-file=3")
    engine.cli("run", *options, "busybox", "seq", "5")
    assert engine.cli("logs", "tiny").stdout == "3\n4\n5\n"


def test_entrypoint(engine: Engine) -> None:
    assert _out(engine, "--entrypoint", "echo", "busybox", "a", "b") == "a b\n"


def test_input_of_a_pipe(engine: Engine) -> None:
    content = secrets.token_hex(200_000).encode()
    assert _out(engine, "-i", "busybox", "cat", stdin=content) == content.decode()
    # Without -i there is nothing to read.
    assert _out(engine, "busybox", "cat", stdin=b"x") == ""


def test_limits(engine: Engine) -> None:
    engine.cli(
        *("run", "-d", "--name", "limited", "--memory", "64m", "--cpus", "0.5"),
        *("--pids-limit", "50", "--ulimit", "nofile=100:200", "busybox", "sleep", "60"),
    )
    host = shown(engine, "limited")["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 << 20, 500_000_000, 50)
    out = engine.cli("exec", "limited", "sh", "-c", "cat /proc/1/limits").stdout
    (line,) = [line for line in out.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == ["100", "200"]


def test_too_many_processes(engine: Engine) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do sleep 5 & done; wait"
    done = engine.cli(
        "run", "--rm", "--pids-limit", "4", "busybox", "sh", "-c", script, check=False
    )
    assert "can't fork" in done.stderr


def test_files(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "given").write_text("from the host\n")
    engine.cli("volume", "create", "files")
    script = (
        "cat /bind/given; echo x > /bind/new; echo kept > /vol/a; touch /ro/x; df /scratch | tail -1;"
        " ls -ld /scratch; touch /root/x"
    )
    done = engine.cli(
        *("run", "--rm", "--read-only", "-v", f"{tmp_path}:/bind", "-v", "files:/vol"),
        *("--mount", f"type=bind,src={tmp_path},dst=/ro,readonly"),
        *("--tmpfs", "/scratch:size=1m,mode=1770", "busybox", "sh", "-c", script),
        check=False,
    )
    assert done.stdout.startswith("from the host\n")
    assert (tmp_path / "new").read_text() == "x\n"
    assert "touch: /ro/x: Read-only file system" in done.stderr
    assert "touch: /root/x: Read-only file system" in done.stderr
    assert "1024" in done.stdout
    assert "drwxrwx--T" in done.stdout
    assert _out(engine, "-v", "files:/v", "busybox", "cat", "/v/a") == "kept\n"
    engine.cli("volume", "rm", "files")


def test_a_missing_bind_source(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "new"
    assert _out(engine, "-v", f"{source}:/x", "busybox", "ls", "/x") == ""
    assert source.is_dir()
    missing = tmp_path / "missing"
    mount = f"type=bind,src={missing},dst=/x"
    done = engine.cli("run", "--rm", "--mount", mount, "busybox", "true", check=False)
    assert done.returncode == 125
    assert str(missing) in done.stderr


def test_names_of_hosts(engine: Engine) -> None:
    out = _out(
        engine,
        *("--dns", "192.0.2.1", "--dns-search", "example.org", "--dns-opt", "ndots:2"),
        *("--add-host", "db:10.1.2.3", "busybox", "cat", "/etc/resolv.conf", "/etc/hosts"),
    )
    assert "nameserver 192.0.2.1\n" in out
    assert "search example.org\n" in out
    assert "options ndots:2\n" in out
    assert [line.split() for line in out.splitlines() if line.endswith("db")] == [
        ["10.1.2.3", "db"]
    ]


def _capabilities(engine: Engine, *flags: str) -> int:
    out = _out(engine, *flags, "busybox", "grep", "CapEff", "/proc/self/status")
    return int(out.split()[1], 16)


def test_capabilities(engine: Engine) -> None:
    # Docker's default set; capabilities(7): CAP_NET_ADMIN is 12, CAP_CHOWN is 0.
    assert _capabilities(engine) == 0xA80425FB
    assert _capabilities(engine, "--cap-add", "NET_ADMIN", "--cap-drop", "CHOWN") == 0xA80435FA
    assert _capabilities(engine, "--cap-drop", "ALL") == 0
    assert _capabilities(engine, "--privileged") & ~0xA80425FB


def test_security_options(engine: Engine) -> None:
    flags = ["--security-opt", "no-new-privileges"]
    out = _out(engine, *flags, "busybox", "grep", "-E", "NoNewPrivs|Seccomp:", "/proc/self/status")
    assert out.split() == ["NoNewPrivs:", "1", "Seccomp:", "2"]
    flags = ["--security-opt", "seccomp=unconfined"]
    out = _out(engine, *flags, "busybox", "grep", "Seccomp:", "/proc/self/status")
    assert out.split() == ["Seccomp:", "0"]


def test_init_reaps_and_forwards(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "with-init", "--init", "busybox", "sleep", "60")
    assert engine.cli("exec", "with-init", "cat", "/proc/1/comm").stdout != "sleep\n"
    engine.cli("stop", "-t", "10", "with-init")
    assert field(engine, "with-init", "{{.State.ExitCode}}") == "143"


def test_labels_and_stop_signal(engine: Engine) -> None:
    script = "trap 'exit 9' USR1; while :; do sleep 0.1; done"
    engine.cli(
        *("run", "-d", "--name", "labelled", "-l", "a=1", "--label", "b"),
        *("--stop-signal", "SIGUSR1", "busybox", "sh", "-c", script),
    )
    assert field(engine, "labelled", "{{json .Config.Labels}}") == '{"a":"1","b":""}'
    engine.cli("stop", "labelled")
    assert field(engine, "labelled", "{{.State.ExitCode}} {{.Config.StopSignal}}") == "9 SIGUSR1"


def test_networks(engine: Engine) -> None:
    links = "ls /sys/class/net"
    assert _out(engine, "--network", "none", "busybox", "sh", "-c", links).split() == ["lo"]
    host = _out(engine, "--network", "host", "busybox", "sh", "-c", links).split()
    assert f"{engine.instance}0" in host
    engine.cli("run", "-d", "--name", "first", "busybox", "sleep", "60")
    address = field(engine, "first", "{{.NetworkSettings.IPAddress}}")
    joined = _out(engine, "--network", "container:first", "busybox", "ip", "-4", "addr")
    assert f"inet {address}/" in joined


def test_the_first_free_port_of_a_range_by_ipv6_too(engine: Engine) -> None:
    for name in ("one", "two"):
        engine.cli(
            "run", "-d", "--name", name, "-p", "127.0.0.1:18400-18440:80", "busybox", "sleep", "60"
        )
    template = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    first, second = (int(field(engine, name, template)) for name in ("one", "two"))
    assert 18400 <= first < second <= 18440
    wished = '{{(index (index .HostConfig.PortBindings "80/tcp") 0).HostPort}}'
    assert field(engine, "one", wished) == "18400-18440"
    engine.cli("run", "-d", "--name", "both", "-p", "80", "busybox", "sleep", "60")
    port = field(engine, "both", template)
    shown = engine.cli("ps", "--filter", "name=both", "--format", "{{.Ports}}").stdout
    assert shown == f"0.0.0.0:{port}->80/tcp, [::]:{port}->80/tcp\n"


def test_a_published_port(engine: Engine) -> None:
    engine.cli(
        *("run", "-d", "--name", "web", "-p", "127.0.0.1::80", "busybox"),
        *("sh", "-c", "echo page > /var/www/index.html; httpd -f -h /var/www"),
    )
    template = '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}'
    port = field(engine, "web", template)
    assert int(port) > 0
    shown_ports = engine.cli("ps", "--format", "{{.Ports}}").stdout
    assert shown_ports == f"127.0.0.1:{port}->80/tcp\n"
    done = engine.cli("run", "--rm", "-p", f"127.0.0.1:{port}:81", "busybox", "true", check=False)
    assert done.returncode == 125
    assert port in done.stderr


def test_warnings_of_a_start_are_printed(engine: Engine) -> None:
    """A capability that the engine lacks is told to whoever asked for it by name, however the container is started."""
    held = int(next(line for line in STATUS.read_text().splitlines() if "CapEff" in line)[7:], 16)
    if held >> CAP_SYS_RESOURCE & 1:
        pytest.skip("this machine has all capabilities: nothing is left to warn of")
    told = "WARNING: the engine itself lacks CAP_SYS_RESOURCE\n"
    asked = ["--cap-add", "SYS_RESOURCE", "busybox", "true"]
    for flags in (["run", "--rm"], ["run", "-d", "--name", "warned"]):
        assert engine.cli(*flags, *asked).stderr == told
    assert engine.cli("start", "warned").stderr == told
    assert engine.cli("restart", "-t", "0", "warned").stderr == told
    assert engine.cli("start", "-a", "warned").stderr == told
    engine.cli("rm", "-f", "warned")
    for quiet in (["busybox", "true"], ["--privileged", "busybox", "true"]):
        assert engine.cli("run", "--rm", *quiet).stderr == ""
    with engine.client() as client:
        done = client.containers.run(
            "busybox", ["true"], cap_add=["SYS_RESOURCE"], auto_remove=True
        )
    assert done.warnings == ("the engine itself lacks CAP_SYS_RESOURCE",)
