"""`why`: the causes of ends as users meet them."""

from __future__ import annotations

import json

from tests.support.engine import Engine, as_root

pytestmark = as_root()


def test_an_end_by_itself_with_its_log(engine: Engine) -> None:
    engine.cli(
        "run", "--name", "fails", "busybox", "sh", "-c", "echo one; echo two; exit 3", check=False
    )
    lines = engine.cli("why", "-n", "1", "fails").stdout.splitlines()
    assert lines[0].startswith("fails ended ")
    assert "with exit code 3" in lines[0]
    assert "Its program ended by itself." in lines
    assert lines[-2:] == ["The last lines of its log:", "  two"]
    [found] = json.loads(engine.cli("inspect", "fails").stdout)
    assert found["State"]["ExitReport"]["PeakMemory"] > 0
    assert "RequestedBy" not in found["State"]["ExitReport"]
    engine.cli("rm", "fails")


def test_a_program_that_is_not_there(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "absent", "busybox", "/no/such", check=False)
    [line] = engine.cli("why", "absent").stdout.splitlines()
    assert line.startswith("absent could not be started (exit code 127): ")
    engine.cli("rm", "absent")


def test_one_that_runs_and_one_that_is_not_there(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "runs", "busybox", "sleep", "60")
    assert "runs has not ended" in engine.cli("why", "runs").stdout
    engine.cli("rm", "-f", "runs")
    refused = engine.cli("why", "runs", check=False)
    assert (refused.returncode, "no such container" in refused.stderr) == (1, True)


def test_what_it_logged_is_shown_safely(engine: Engine) -> None:
    engine.cli("run", "--name", "odd", "busybox", "printf", "a\\033[31mb\\n")
    with engine.client() as client:
        assert client.containers.why("odd")[-1] == "  a\x1b[31mb"
    engine.cli("rm", "odd")
