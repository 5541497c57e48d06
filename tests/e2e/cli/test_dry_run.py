"""`create --dry-run`."""

from __future__ import annotations

from tests.support.engine import Engine, as_root

pytestmark = as_root()


def test_a_container_that_could_be(engine: Engine) -> None:
    done = engine.cli("create", "--dry-run", "--name", "could", "busybox", "true")
    assert (done.stdout, done.stderr) == ("", "")
    assert engine.cli("ps", "-aq", "--filter", "name=could").stdout == ""


def test_all_that_is_in_the_way_is_told(engine: Engine) -> None:
    engine.cli("create", "--name", "there", "busybox", "true")
    refused = engine.cli(
        *("create", "--dry-run", "--name", "there", "--network", "nowhere"),
        *("--device", "/dev/no-such", "no-such-image", "true"),
        check=False,
    )
    assert (refused.returncode, refused.stdout) == (1, "")
    lines = refused.stderr.splitlines()
    assert len(lines) == 4, refused.stderr
    for text in ("already in use", "nowhere", "/dev/no-such", "no-such-image"):
        assert any(text in line for line in lines), text
    engine.cli("rm", "there")
