"""`network policy`."""

from __future__ import annotations

import socket

from tests.e2e.cli.support import shown
from tests.support.engine import Engine, as_root

pytestmark = as_root()


def reaches(engine: Engine, address: str, port: int) -> bool:
    fetch = ("exec", "box", "timeout", "2", "nc", "-w", "1", address, str(port), "-e", "true")
    return engine.cli(*fetch, check=False).returncode == 0


def test_what_a_container_may_reach(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "600")
    gateway = shown(engine, "box")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    with socket.create_server(("0.0.0.0", 0)) as one, socket.create_server(("0.0.0.0", 0)) as two:
        open_port, other = one.getsockname()[1], two.getsockname()[1]
        rule = f"{gateway},port={open_port},proto=tcp"
        engine.cli("network", "policy", "set", "--default", "deny", "--allow", rule, "box")
        assert reaches(engine, gateway, open_port)
        assert not reaches(engine, gateway, other)
        text = engine.cli("network", "policy", "show", "box").stdout
        first, second = (line.split() for line in text.splitlines()[1:3])
        assert first[:3] == ["allow", f"{gateway}/32", f"{open_port}/tcp"]
        assert int(first[3]) > 0
        assert second[:3] == ["deny", "everything", "else"]
        assert int(second[4]) > 0
        engine.cli("restart", "-t", "0", "box")
        assert not reaches(engine, gateway, other)
        engine.cli("network", "policy", "rm", "box")
        assert reaches(engine, gateway, other)
    refused = engine.cli("network", "policy", "show", "box", check=False)
    assert "has no policy" in refused.stderr
    wrong = engine.cli("network", "policy", "set", "--default", "maybe", "box", check=False)
    assert "--default is allow or deny" in wrong.stderr
