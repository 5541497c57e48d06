"""The life of containers on the command line, and what lists and `inspect` tell of it."""

from __future__ import annotations

import json
import re
import subprocess
import time

from tests.e2e.cli.support import field, shown
from tests.support.engine import BIN, Engine, as_root

pytestmark = as_root()


def test_from_creation_to_removal(engine: Engine) -> None:
    created = engine.cli("create", "--name", "life", "busybox", "sleep", "60").stdout.strip()
    assert re.fullmatch(r"[0-9a-f]{64}", created)
    assert field(engine, "life", "{{.State.Status}}") == "created"
    assert engine.cli("start", "life").stdout == "life\n"
    assert field(engine, created[:12], "{{.State.Status}} {{.State.Running}}") == "running true"
    assert engine.cli("rm", "life", check=False).returncode == 1
    assert engine.cli("restart", "-t", "0", "life").stdout == "life\n"
    first = field(engine, "life", "{{.State.StartedAt}}")
    assert engine.cli("kill", "life").stdout == "life\n"
    assert engine.cli("wait", "life").stdout == "137\n"
    assert field(engine, "life", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137"
    again = engine.cli("kill", "life", check=False)
    assert again.returncode == 1
    assert "not running" in again.stderr
    engine.cli("start", "life")
    assert field(engine, "life", "{{.State.StartedAt}}") > first
    assert engine.cli("rm", "-f", "life").stdout == "life\n"
    gone = engine.cli("rm", "life", check=False)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "life" in gone.stderr


def test_kill_sends_any_signal(engine: Engine) -> None:
    script = "trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done"
    engine.cli("run", "-d", "--name", "sig", "busybox", "sh", "-c", script)
    _wait_for_log(engine, "sig", "up")
    engine.cli("kill", "-s", "HUP", "sig")
    _wait_for_log(engine, "sig", "hup")
    assert field(engine, "sig", "{{.State.Running}}") == "true"
    wrong = engine.cli("kill", "-s", "NOPE", "sig", check=False)
    assert wrong.returncode == 1
    assert "NOPE" in wrong.stderr


def _wait_for_log(engine: Engine, name: str, text: str) -> None:
    deadline = time.monotonic() + 20
    while text not in engine.cli("logs", name).stdout.split():
        assert time.monotonic() < deadline, f"{text} is not in the log of {name}"
        time.sleep(0.05)


def test_pause(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "paused", "busybox", "sleep", "60")
    engine.cli("pause", "paused")
    status = engine.cli("ps", "--format", "{{.Status}}").stdout
    assert re.fullmatch(r"Up .+ \(Paused\)\n", status)
    assert engine.cli("exec", "paused", "true", check=False).returncode == 1
    engine.cli("unpause", "paused")
    assert engine.cli("exec", "paused", "true").returncode == 0


def test_ps(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "one", "-l", "tier=a", "busybox", "sleep", "60")
    engine.cli("run", "--name", "two", "-l", "tier=b", "busybox", "sh", "-c", "exit 4", check=False)
    engine.cli("create", "--name", "three", "busybox")
    head, line = engine.cli("ps").stdout.splitlines()
    columns = ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]
    assert re.split(r" {2,}", head) == columns
    assert re.match(r'[0-9a-f]{12} +busybox +"sleep 60" +\w.* ago +Up .* +one$', line)
    names = ["--format", "{{.Names}}"]
    assert engine.cli("ps", "-a", *names).stdout.split() == ["three", "two", "one"]
    assert engine.cli("ps", "-n", "2", *names).stdout.split() == ["three", "two"]
    assert engine.cli("ps", "-l", *names).stdout.split() == ["three"]
    for condition, expected in (
        ("status=exited", ["two"]),
        ("status=created", ["three"]),
        ("name=one", ["one"]),
        ("label=tier", ["two", "one"]),
        ("label=tier=a", ["one"]),
        ("exited=4", ["two"]),
        ("ancestor=busybox", ["three", "two", "one"]),
        ("since=one", ["three", "two"]),
        ("before=two", ["one"]),
    ):
        found = engine.cli("ps", "-a", "-f", condition, *names).stdout.split()
        assert found == expected, condition
    wrong = engine.cli("ps", "-f", "nope=1", check=False)
    assert wrong.returncode == 1
    assert "nope" in wrong.stderr
    line = engine.cli("ps", "-a", "-f", "name=two", "--format", "{{.Status}} {{.State}}").stdout
    assert re.fullmatch(r"Exited \(4\) .+ ago exited\n", line)
    full = engine.cli("ps", "-q", "--no-trunc").stdout.strip()
    assert full == field(engine, "one", "{{.Id}}")
    row = json.loads(engine.cli("ps", "--format", "json").stdout)
    assert (row["Names"], row["Labels"], row["Networks"]) == ("one", "tier=a", "bridge")
    assert re.search(r"\(virtual .+B\)", engine.cli("ps", "-s").stdout)


def test_inspect(engine: Engine) -> None:
    engine.cli(
        *("run", "-d", "--name", "seen", "-e", "A=1", "-v", "/anon", "busybox"),
        *("sleep", "60"),
    )
    shape = shown(engine, "seen")
    assert shape["Name"] == "/seen"
    assert (shape["Path"], shape["Args"]) == ("sleep", ["60"])
    assert shape["State"]["Pid"] > 0
    assert "A=1" in shape["Config"]["Env"]
    assert shape["Config"]["Hostname"] == shape["Id"][:12]
    (mount,) = shape["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("volume", "/anon", True)
    settings = shape["NetworkSettings"]
    assert settings["IPAddress"] == settings["Networks"]["bridge"]["IPAddress"] != ""
    image = shown(engine, "busybox")
    assert (image["Id"], image["RepoTags"]) == (shape["Image"], ["busybox:latest"])
    assert image["Config"]["Cmd"] == ["sh"]
    networks = engine.cli(
        "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}", "seen"
    )
    assert networks.stdout.strip() == settings["Gateway"]
    engine.cli("rm", "-f", "-v", "seen")
    missing = engine.cli("volume", "inspect", mount["Name"], check=False)
    assert (missing.returncode, missing.stdout) == (1, "[]\n")


def test_logs(engine: Engine) -> None:
    script = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
    engine.cli("run", "--name", "logged", "busybox", "sh", "-c", script)
    done = engine.cli("logs", "logged")
    assert (done.stdout, done.stderr) == ("out 1\nout 2\nout 3\n", "err 1\nerr 2\nerr 3\n")
    done = engine.cli("logs", "-n", "2", "logged")
    assert len((done.stdout + done.stderr).splitlines()) == 2
    stamp, _, text = engine.cli("logs", "-t", "logged").stdout.splitlines()[-1].partition(" ")
    assert (text, len(stamp)) == ("out 3", len("2006-01-02T15:04:05.000000005Z"))
    assert engine.cli("logs", "--since", "1h", "logged").stdout.count("\n") == 3
    assert engine.cli("logs", "--until", "1h", "logged").stdout == ""


def test_a_long_log_comes_whole_while_it_rotates(engine: Engine) -> None:
    options = ["--log-opt", "max-size=40k", "--log-opt", "max-file=1000"]
    engine.cli("run", "-d", "--name", "long", *options, "busybox", "seq", "60000")
    expected = "".join(f"{number}\n" for number in range(1, 60001))
    assert engine.cli("logs", "-f", "long").stdout == expected
    assert engine.cli("logs", "long").stdout == expected
    stamped = engine.cli("logs", "-t", "-n", "30000", "long").stdout.splitlines()
    assert [line.split()[1] for line in stamped] == expected.split()[30000:]
    engine.cli("rm", "long")


def test_a_log_has_every_byte_and_keeps_the_order_of_streams(engine: Engine) -> None:
    script = r"printf 'a\377\000\n'; echo err >&2; printf 'no newline'"
    engine.cli("run", "--name", "bytes", "busybox", "sh", "-c", script)
    run = [str(BIN / "scow"), "logs", "bytes"]
    done = subprocess.run(run, env=engine.env, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"a\xff\0\nno newline", b"err\n")
    engine.cli("rm", "bytes")


def test_logs_are_followed_to_the_end(engine: Engine) -> None:
    script = "for i in 1 2 3; do echo $i; sleep 0.3; done"
    engine.cli("run", "-d", "--name", "followed", "busybox", "sh", "-c", script)
    assert engine.cli("logs", "-f", "followed").stdout == "1\n2\n3\n"


def test_exec(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "busy", "-e", "A=1", "busybox", "sleep", "60")
    script = "echo $A $B $(id -u) $(pwd); echo err >&2; exit 5"
    flags = ["-e", "B=2", "-u", "1000", "-w", "/tmp"]
    done = engine.cli("exec", *flags, "busy", "sh", "-c", script, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (5, "1 2 1000 /tmp\n", "err\n")
    assert engine.cli("exec", "-i", "busy", "cat", stdin=b"x" * 300_000).stdout == "x" * 300_000
    assert engine.cli("exec", "busy", "no-such", check=False).returncode == 127
    assert engine.cli("exec", "busy", "/etc/passwd", check=False).returncode == 126
    assert engine.cli("exec", "busy", "sh", "-c", "kill -9 $$", check=False).returncode == 137
    assert engine.cli("exec", "-d", "busy", "touch", "/tmp/done").stdout == ""
    deadline = time.monotonic() + 10
    while engine.cli("exec", "busy", "test", "-e", "/tmp/done", check=False).returncode:
        assert time.monotonic() < deadline
    engine.cli("stop", "-t", "0", "busy")
    stopped = engine.cli("exec", "busy", "true", check=False)
    assert stopped.returncode == 1
    assert "not running" in stopped.stderr


def test_start_attached(engine: Engine) -> None:
    engine.cli("create", "--name", "job", "busybox", "sh", "-c", "echo done; exit 6")
    done = engine.cli("start", "-a", "job", check=False)
    assert (done.returncode, done.stdout) == (6, "done\n")
    engine.cli("create", "-i", "--name", "reader", "busybox", "cat")
    assert engine.cli("start", "-ai", "reader", stdin=b"hello").stdout == "hello"


def test_top(engine: Engine) -> None:
    script = "sleep 611 & exec sleep 612"
    engine.cli("run", "-d", "--name", "busy", "busybox", "sh", "-c", script)
    engine.cli("exec", "-d", "busy", "sleep", "613")
    engine.cli("run", "-d", "--name", "other", "busybox", "sleep", "614")
    head, *rows = engine.cli("top", "busy").stdout.splitlines()
    assert re.match(r"UID {17}PID {17}PPID {16}C {19}STIME ", head)
    assert sorted(re.findall(r"sleep \d+$", row)[0] for row in rows) == [
        *("sleep 611", "sleep 612", "sleep 613")
    ]
    own = field(engine, "busy", "{{.State.Pid}}")
    chosen = engine.cli("container", "top", "busy", "-e", "-o", "pid,args").stdout
    assert f"{own:<20}sleep 612\n" in chosen
    with engine.client() as client:
        found = client.containers.top("busy", ["-eo", "pid"])
    assert [own] in [list(process.values) for process in found.processes]
    for arguments, message in (
        (["-eo", "args"], "Couldn't find PID field in ps output"),
        (["-eo", "ppid=PID"], 'specifying "ppid=PID" is not allowed'),
        (["--nope"], "ps: error: unknown gnu long option"),
    ):
        refused = engine.cli("top", "busy", *arguments, check=False)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert message in refused.stderr
    engine.cli("kill", "busy")
    engine.cli("wait", "busy")
    ended = engine.cli("top", "busy", check=False)
    assert ended.returncode == 1
    assert "is not running" in ended.stderr
