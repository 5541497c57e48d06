"""Restart policies on the command line, and what lists and `inspect` tell of them."""

from __future__ import annotations

import json
import re

from tests.e2e.cli.support import field
from tests.support.engine import Engine, as_root
from tests.support.processes import wait_for

pytestmark = as_root()


def test_what_is_told_of_one_that_waits(engine: Engine) -> None:
    pauses = ("--restart-delay", "10m", "--restart-delay-max", "10m", "--restart-jitter", "0")
    engine.cli(
        *("run", "-d", "--name", "waits", "--restart", "on-failure:5", *pauses),
        *("busybox", "sh", "-c", "exit 3"),
    )
    wait_for(lambda: field(engine, "waits", "{{.State.Restarting}}") == "true", "the end")
    [found] = json.loads(engine.cli("inspect", "waits").stdout)
    assert found["State"]["Status"] == "restarting"
    assert (found["State"]["Running"], found["State"]["ExitCode"]) == (True, 3)
    assert found["RestartCount"] == 1
    assert found["HostConfig"]["RestartPolicy"] == {"Name": "on-failure", "MaximumRetryCount": 5}
    listed = engine.cli("ps", "--filter", "name=waits", "--format", "{{.State}}|{{.Status}}").stdout
    assert re.fullmatch(r"restarting\|Restarting \(3\) .* ago\n", listed)
    refused = engine.cli("rm", "waits", check=False)
    assert (refused.returncode, "restarting" in refused.stderr) == (1, True)
    executed = engine.cli("exec", "waits", "true", check=False)
    assert executed.returncode == 1
    assert engine.cli("stop", "waits").stdout == "waits\n"
    assert engine.cli("wait", "waits").stdout == "3\n"
    engine.cli("rm", "waits")


def test_wrong_policies_end_with_125(engine: Engine) -> None:
    for flags, said in (
        (["--restart", "always", "--rm"], "cannot specify both --restart and --rm"),
        (["--restart", "sometimes"], "invalid restart policy"),
        (["--restart", "on-failure:x"], "maximum retry count must be an integer"),
        (["--depends-on", "x:soon"], "invalid dependency"),
    ):
        refused = engine.cli("run", *flags, "busybox", "true", check=False)
        assert (refused.returncode, said in refused.stderr) == (125, True), refused.stderr


def test_the_library_takes_texts(engine: Engine) -> None:
    with engine.client() as client:
        first = client.containers.create("busybox", ["true"], name="first")
        found = client.containers.create(
            "busybox", ["true"], restart_policy="on-failure:3", depends_on=["first:completed"]
        )
        try:
            assert found.config.restart_policy.maximum_retry_count == 3
            assert found.config.depends_on[0].container == "first"
        finally:
            client.containers.remove(found.id)
            client.containers.remove(first.id)
