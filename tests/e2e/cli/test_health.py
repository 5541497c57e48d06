"""Health on the command line: what lists and `inspect` tell, compared with docker 20.10."""

from __future__ import annotations

import json

from tests.e2e.cli.support import field
from tests.support.engine import Engine, as_root
from tests.support.processes import wait_for

pytestmark = as_root()


def test_what_is_told_of_a_healthy_container(engine: Engine) -> None:
    engine.cli(
        *(
            "run",
            "-d",
            "--name",
            "well",
            "--health-cmd",
            "echo looks",
            "--health-interval",
            "300ms",
        ),
        *("--health-retries", "1", "busybox", "sleep", "600"),
    )
    status = engine.cli("ps", "--filter", "name=well", "--format", "{{.Status}}").stdout
    assert status.endswith(("(health: starting)\n", "(healthy)\n"))
    wait_for(lambda: field(engine, "well", "{{.State.Health.Status}}") == "healthy", "the check")
    status = engine.cli("ps", "--filter", "health=healthy", "--format", "{{.Status}}").stdout
    assert status.endswith("(healthy)\n")
    [found] = json.loads(engine.cli("inspect", "well").stdout)
    assert found["Config"]["Healthcheck"] == {
        "Test": ["CMD-SHELL", "echo looks"],
        "Interval": 300_000_000,
        "Retries": 1,
    }
    first = found["State"]["Health"]["Log"][0]
    assert list(first) == ["Start", "End", "ExitCode", "Output"]
    assert (first["ExitCode"], first["Output"]) == (0, "looks\n")
    engine.cli("stop", "-t", "0", "well")
    assert field(engine, "well", "{{.State.Health.Status}}") == "unhealthy"
    engine.cli("rm", "well")


def test_the_image_s_check_and_none(engine: Engine) -> None:
    engine.cli("create", "--name", "base", "busybox", "true")
    change = 'HEALTHCHECK --interval=200ms CMD ["true"]'
    engine.cli("commit", "--change", change, "base", "checked")
    engine.cli("rm", "base")
    engine.cli("run", "-d", "--name", "own", "checked", "sleep", "600")
    wait_for(lambda: field(engine, "own", "{{.State.Health.Status}}") == "healthy", "the check")
    engine.cli("run", "-d", "--name", "off", "--no-healthcheck", "checked", "sleep", "600")
    assert field(engine, "off", "{{json .Config.Healthcheck.Test}}") == '["NONE"]'
    assert "Health" not in json.loads(engine.cli("inspect", "off").stdout)[0]["State"]
    listed = engine.cli("ps", "--filter", "health=none", "--format", "{{.Names}}").stdout
    assert "off" in listed.split()
    engine.cli("rm", "-f", "own", "off")
    engine.cli("rmi", "checked")


def test_wrong_flags_end_with_125(engine: Engine) -> None:
    for flags, said in (
        (["--no-healthcheck", "--health-cmd", "x"], "--no-healthcheck conflicts with --health-*"),
        (["--health-retries", "-1"], "--health-retries cannot be negative"),
        (["--health-interval", "5"], "invalid duration"),
        (["--health-action", "shout"], "invalid action"),
        (["--probe", "8080"], "invalid probe"),
    ):
        refused = engine.cli("run", *flags, "busybox", "true", check=False)
        assert (refused.returncode, said in refused.stderr) == (125, True), refused.stderr
    wrong = engine.cli("ps", "--filter", "health=so-so", check=False)
    assert wrong.returncode == 1
