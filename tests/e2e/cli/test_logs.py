"""Log drivers on the command line: what is written, what is sent, and going on where one was."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.cli.support import field
from tests.support.engine import Engine, as_root
from tests.support.logservers import Datagrams, Stream, unpacked
from tests.support.processes import wait_for

pytestmark = as_root()


def eventually(condition: Callable[[], bool]) -> None:
    wait_for(condition, "what the test waits for")


def ran(engine: Engine, name: str, script: str, *options: str) -> None:
    engine.cli("run", "--name", name, *options, "busybox", "sh", "-c", script)


@pytest.mark.parametrize("driver", ["json-file", "local", "cri"])
def test_each_local_driver_keeps_what_was_written(engine: Engine, driver: str) -> None:
    ran(engine, "web", "seq 1000; echo end >&2; printf rest", "--log-driver", driver)
    shown = engine.cli("logs", "web")
    assert shown.stdout == "".join(f"{n}\n" for n in range(1, 1001)) + "rest"
    assert shown.stderr == "end\n"
    assert engine.cli("logs", "-n", "2", "web").stdout in ("rest", "1000\nrest")
    config = json.loads(field(engine, "web", "{{json .HostConfig.LogConfig}}"))
    assert config == {"Type": driver, "Config": {}}
    engine.cli("rm", "web")


def test_a_json_file_is_dockers(engine: Engine) -> None:
    options = ("labels=a,none", "labels-regex=^b", "env=X", "tag={{.Name}}/{{.ImageName}}")
    flags = [part for option in options for part in ("--log-opt", option)]
    ran(engine, "web", "echo hi", *flags, "--label", "a=1", "--label", "bb=2", "-e", "X=3")
    path = Path(field(engine, "web", "{{.LogPath}}"))
    assert path.name == f"{field(engine, 'web', '{{.Id}}')}-json.log"
    (record,) = map(json.loads, path.read_text().splitlines())
    assert record["attrs"] == {"a": "1", "bb": "2", "X": "3", "tag": "web/busybox"}
    assert list(record)[:4] == ["log", "stream", "attrs", "time"]
    assert engine.cli("logs", "web").stdout == "hi\n"
    engine.cli("rm", "web")


def test_a_cri_file_is_what_kubernetes_reads(engine: Engine) -> None:
    ran(engine, "web", "echo hi; echo oh >&2; printf part", "--log-driver", "cri")
    lines = Path(field(engine, "web", "{{.LogPath}}")).read_text().splitlines()
    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP])(?::\S+)? (.*)"
    found = {match.groups() for line in lines if (match := re.fullmatch(pattern, line))}
    assert found == {("stdout", "F", "hi"), ("stderr", "F", "oh"), ("stdout", "P", "part")}
    engine.cli("rm", "web")


def test_older_files_are_compressed_and_read(engine: Engine) -> None:
    options = ("max-size=100k", "max-file=9", "compress=true")
    flags = [part for option in options for part in ("--log-opt", option)]
    script = "for i in $(seq 8); do seq $((i*1000)) $((i*1000+999)); sleep 0.1; done"
    ran(engine, "web", script, *flags)
    assert engine.cli("logs", "web").stdout.split() == [str(n) for n in range(1000, 9000)]
    path = Path(field(engine, "web", "{{.LogPath}}"))
    packed = sorted(path.parent.glob("*.gz"))
    assert packed
    assert b'{"log":"' in gzip.decompress(packed[-1].read_bytes())
    assert engine.cli("logs", "-n", "5000", "web").stdout.split() == [
        str(n) for n in range(4000, 9000)
    ]
    engine.cli("rm", "web")


def test_going_on_at_a_cursor(engine: Engine) -> None:
    ran(engine, "web", "seq 5", "--log-driver", "local")
    first = engine.cli("logs", "--show-cursor", "web")
    cursor = first.stderr.strip().removeprefix("-- cursor: ")
    assert engine.cli("logs", "--cursor", cursor, "web").stdout == ""
    engine.cli("start", "-a", "web")
    assert engine.cli("logs", "--cursor", cursor, "web").stdout.split() == list("12345")
    tail = engine.cli("logs", "-n", "3", "--show-cursor", "web")
    assert tail.stdout.split() == list("345")
    wrong = engine.cli("logs", "--cursor", "x", "web", check=False)
    assert wrong.returncode
    assert "invalid cursor" in wrong.stderr
    engine.cli("rm", "web")


def test_options_are_refused_as_by_docker(engine: Engine) -> None:
    for driver, option, text in (
        ("json-file", "x=y", "unknown log opt 'x' for json-file log driver"),
        ("syslog", "syslog-facility=x", "syslog-facility"),
        ("journald", "tag=x", "journald is not enabled on this host"),
        ("splunk", "tag=x", "splunk"),
    ):
        refused = engine.cli(
            *("create", "--log-driver", driver, "--log-opt", option, "busybox"), check=False
        )
        assert refused.returncode == 1
        assert text in refused.stderr


def test_options_without_effect_are_warned_of(engine: Engine) -> None:
    made = engine.cli("create", "--log-opt", "mode=non-blocking", "busybox")
    assert "log options change nothing here" in made.stderr
    assert made.stderr.rstrip().endswith(": mode")
    engine.cli("rm", made.stdout.strip())


def test_syslog(engine: Engine) -> None:
    with Datagrams() as server:
        address = f"syslog-address=udp://127.0.0.1:{server.port}"
        options = ("--log-driver", "syslog", "--log-opt", address, "--log-opt", "tag={{.Name}}")
        ran(engine, "web", "echo hi; echo oh >&2", *options)
        eventually(lambda: len(server.received) == 2)
        lines = sorted(data.decode() for data in server.received)
        stamp = r"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"
        assert re.fullmatch(rf"<27>{stamp} web\[\d+\]: oh\n", lines[0])
        assert re.fullmatch(rf"<30>{stamp} web\[\d+\]: hi\n", lines[1])
        assert engine.cli("logs", "web").stdout == "hi\n"
        engine.cli("rm", "web")


def test_nothing_is_lost_when_server_and_service_are_away(engine: Engine) -> None:
    """The container goes on while nobody takes its log, and while the service that sends is dead."""
    with Stream() as first:
        port = first.port
        address = f"syslog-address=tcp://127.0.0.1:{port}"
        options = ("--log-driver", "syslog", "--log-opt", address, "--log-opt", "tag=t")
        script = "for i in $(seq 60); do echo line$i; sleep 0.1; done; sleep 60"
        engine.cli("run", "-d", "--name", "web", *options, "busybox", "sh", "-c", script)
        eventually(lambda: first.received.count(b"\n") > 3)
    engine.kill_service("container")
    engine.wait_healthy()
    eventually(lambda: engine.cli("logs", "web", check=False).stdout.count("\n") > 30)
    with Stream(port=port) as second:
        eventually(lambda: b"line60\n" in second.received)
        texts = (first.received + second.received).decode().splitlines()
        numbers = [int(text.rpartition("line")[2]) for text in texts]
        assert sorted(set(numbers)) == list(range(1, 61))
        assert field(engine, "web", "{{.LogState.DroppedBytes}}") == "0"
    engine.cli("rm", "-f", "web")


def test_what_the_local_copy_cannot_hold_is_counted(engine: Engine) -> None:
    with Stream() as closed:
        port = closed.port
    options = ["--log-driver", "syslog", "--log-opt", f"syslog-address=tcp://127.0.0.1:{port}"]
    for option in ("cache-max-size=20k", "cache-max-file=2", "cache-compress=false"):
        options += ["--log-opt", option]
    script = "seq 10; sleep 1; seq 100000; sleep 60"
    engine.cli("run", "-d", "--name", "web", *options, "busybox", "sh", "-c", script)
    eventually(lambda: field(engine, "web", "{{.LogState.Error}}") != "")
    eventually(lambda: "100000" in engine.cli("logs", "-n", "1", "web").stdout)
    with Stream(port=port) as server:
        eventually(lambda: b": 100000\n" in server.received)
        eventually(lambda: field(engine, "web", "{{.LogState.Error}}") == "")
        sent = sum(len(line.rpartition(b": ")[2]) + 1 for line in server.received.splitlines())
        dropped = int(field(engine, "web", "{{.LogState.DroppedBytes}}"))
        assert dropped > 0
        assert dropped + sent >= sum(len(f"{n}\n") for n in range(1, 100_001))
    engine.cli("rm", "-f", "web")


def _acknowledge(data: bytes) -> bytes:
    import msgpack

    (message,) = unpacked(data)
    option = message[2]
    assert isinstance(option, dict)
    packed: bytes = msgpack.packb({"ack": option["chunk"]})
    return packed


@pytest.mark.parametrize("answer", [None, _acknowledge], ids=["plain", "acknowledged"])
def test_fluentd(engine: Engine, answer: Callable[[bytes], bytes] | None) -> None:
    with Stream(answer=answer) as server:
        options = ["--log-driver", "fluentd", "--label", "a=1"]
        for option in (
            f"fluentd-address=127.0.0.1:{server.port}",
            "labels=a",
            "fluentd-sub-second-precision=true",
            f"fluentd-request-ack={str(answer is not None).lower()}",
        ):
            options += ["--log-opt", option]
        ran(engine, "web", "echo hi; echo oh >&2; seq 5000 | tr '\\n' ' '", *options)
        eventually(lambda: server.received.count(b"partial_last") == 2)
        entries = [entry for message in unpacked(server.received) for entry in message[1]]  # type: ignore[attr-defined]
        container = field(engine, "web", "{{.Id}}")
        tags = {message[0] for message in unpacked(server.received)}
        assert tags == {container[:12]}
        records = [record for _, record in entries]
        assert {record["container_name"] for record in records} == {"/web"}
        assert {record["container_id"] for record in records} == {container}
        assert {record["a"] for record in records} == {"1"}
        assert {(r["source"], r["log"]) for r in records if len(r["log"]) < 9} == {
            ("stdout", "hi"),
            ("stderr", "oh"),
        }
        parts = [r for r in records if "partial_id" in r]
        assert "".join(r["log"] for r in parts) == "".join(f"{n} " for n in range(1, 5001))
        engine.cli("rm", "web")


def test_details(engine: Engine) -> None:
    named = ["--log-opt", "labels=tier", "--log-opt", "env=A", "-l", "tier=front", "-e", "A=b c"]
    engine.cli("run", "--name", "told", *named, "busybox", "sh", "-c", "echo one; echo two")
    shown = engine.cli("logs", "--details", "told").stdout
    assert shown == "A=b+c,tier=front one\nA=b+c,tier=front two\n"
    engine.cli("run", "--name", "plain", "busybox", "echo", "one")
    assert engine.cli("logs", "--details", "plain").stdout == " one\n"
    assert engine.cli("logs", "-t", "--details", "plain").stdout.endswith("Z  one\n")


def test_why_tells_also_of_one_without_a_log(engine: Engine) -> None:
    engine.cli("create", "--name", "web", "--log-driver", "none", "busybox")
    assert engine.cli("why", "web").stdout == "web was never started.\n"
    engine.cli("rm", "web")
