"""`stats` and `update`."""

from __future__ import annotations

import json

import pytest

from scow.api.container.v1.container_pb2 import Resources
from scow.contract import errors
from tests.e2e.cli.support import field, terminal
from tests.support.engine import Engine

SPIN = ("sh", "-c", "while :; do :; done")


def test_stats_measures_what_containers_use(engine: Engine) -> None:
    limits = ("-m=64m", "--pids-limit=50")
    engine.cli("run", "-d", "--name=busy", *limits, "busybox", *SPIN)
    engine.cli("run", "-d", "--name=idle", "--network=host", "busybox", "sleep", "1000")
    engine.cli("create", "--name=made", "busybox")
    gateway = field(engine, "busy", "{{.NetworkSettings.Networks.bridge.Gateway}}")
    engine.cli("exec", "busy", "ping", "-c", "1", gateway)
    with engine.client() as client:
        found = {stats.name: stats for stats in client.containers.stats(all=True)}
        assert list(found) == ["made", "idle", "busy"]
        busy, idle = found["busy"], found["idle"]
        assert not found["made"].running
        assert busy.cpu_percent > idle.cpu_percent
        assert busy.cpu_usage > idle.cpu_usage > 0
        assert (busy.memory_limit, busy.pids, busy.pids_limit) == (64 << 20, 1, 50)
        assert 0 < busy.memory_usage < busy.memory_limit < idle.memory_limit
        assert busy.memory_percent == pytest.approx(100 * busy.memory_usage / (64 << 20))
        assert [each.name for each in busy.interfaces] == ["eth0"]
        assert busy.interfaces[0].received_bytes > 0
        assert busy.interfaces[0].sent_packets > 0
        assert not idle.interfaces
        with client.containers.stats_stream("busy", interval=0.1) as messages:
            first, second = next(messages).containers, next(messages).containers
        assert second[0].cpu_usage > first[0].cpu_usage
        with pytest.raises(errors.ContainerNotFound):
            client.containers.stats("nobody")


def test_stats_is_a_table_as_dockers(engine: Engine) -> None:
    engine.cli("run", "-d", "--name=one", "--network=none", "-m=64m", "busybox", "sleep", "1000")
    head, line = engine.cli("stats", "--no-stream").stdout.splitlines()
    assert head.split("  ")[0] == "CONTAINER ID"
    columns = "NAME CPU % MEM USAGE / LIMIT MEM % NET I/O BLOCK I/O PIDS"
    assert " ".join(head.split()).endswith(columns)
    assert line.split()[1] == "one"
    assert "/ 64MiB" in line
    assert "0B / 0B" in line
    shape = json.loads(engine.cli("stats", "--no-stream", "--format", "json", "one").stdout)
    keys = {"Container", "ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"}
    assert set(shape) == keys
    full = engine.cli("stats", "--no-stream", "--no-trunc", "--format", "{{.ID}}").stdout.strip()
    assert full == field(engine, "one", "{{.Id}}")
    engine.cli("stop", "-t", "0", "one")
    assert len(engine.cli("stats", "--no-stream").stdout.splitlines()) == 1
    assert len(engine.cli("stats", "--no-stream", "-a").stdout.splitlines()) == 2
    assert engine.cli("stats", "--no-stream", "nobody", check=False).returncode == 1


def test_on_a_terminal_the_table_is_drawn_anew(engine: Engine) -> None:
    engine.cli("run", "-d", "--name=seen", "--network=none", "busybox", "sleep", "1000")
    with terminal(engine, "stats") as shown:
        for _ in range(2):
            shown.wait_for(b"\x1b[H")
            shown.wait_for(b"seen")
        engine.cli("run", "-d", "--name=later", "--network=none", "busybox", "sleep", "1000")
        shown.wait_for(b"later")
        shown.type(b"\x03")


def test_limits_change_while_it_runs_and_for_later_starts(engine: Engine) -> None:
    limits = ("-m=64m", "--pids-limit=50", "--cpus=0.5")
    engine.cli("run", "-d", "--name=grows", "--network=none", *limits, "busybox", "sleep", "1000")
    changes = ("-m=128m", "--pids-limit=77", "--cpus=1", "--cpuset-cpus=0", "--restart=always")
    assert engine.cli("update", *changes, "grows").stdout == "grows\n"
    shown = (
        "{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}}"
        " {{.HostConfig.CpusetCpus}} {{.HostConfig.RestartPolicy.Name}}"
    )
    with engine.client() as client:
        for _ in range(2):
            assert field(engine, "grows", shown) == "134217728 77 1000000000 0 always"
            (stats,) = client.containers.stats("grows")
            assert (stats.memory_limit, stats.pids_limit) == (128 << 20, 77)
            engine.cli("restart", "-t", "0", "grows")
        # A field that is not set is left as it is.
        client.containers.update("grows", Resources(pids_limit=-1))
        (stats,) = client.containers.stats("grows")
        assert (stats.memory_limit, stats.pids_limit) == (128 << 20, 0)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((), "you must provide one or more flags"),
        (("-m=1m",), "use 6 MiB or more"),
        (("--cpus=4000",), "processors"),
        (("--cpu-quota=20000",), "nano_cpus"),
        (("--memory-swap=32m",), "less than memory"),
        (("--restart=sometimes",), "sometimes"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_changes(
    engine: Engine, flags: tuple[str, ...], said: str
) -> None:
    limits = ("-m=64m", "--cpus=0.5")
    engine.cli("create", "--name=same", *limits, "busybox")
    before = field(engine, "same", "{{json .HostConfig}}")
    refused = engine.cli("update", *flags, "same", check=False)
    assert refused.returncode in (1, 125)
    assert said in refused.stderr
    assert field(engine, "same", "{{json .HostConfig}}") == before


def test_several_are_updated_and_one_that_is_unknown_is_told(engine: Engine) -> None:
    for name in ("first", "second"):
        engine.cli("create", f"--name={name}", "busybox")
    done = engine.cli("update", "--pids-limit=9", "first", "nobody", "second", check=False)
    assert (done.returncode, done.stdout) == (1, "first\nsecond\n")
    assert "no such container: nobody" in done.stderr
    assert field(engine, "second", "{{.HostConfig.PidsLimit}}") == "9"
