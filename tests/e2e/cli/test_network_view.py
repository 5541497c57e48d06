"""`network exposure`, `network graph` and `network limit`."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.e2e.cli.support import shown
from tests.e2e.cli.test_ports import free_port
from tests.support.engine import Engine, as_root

pytestmark = as_root()


def test_what_is_reachable_and_by_whom(engine: Engine) -> None:
    first, second, third = free_port(), free_port(), free_port()
    ports = (
        "-p",
        f"127.0.0.1:{first}:80",
        "-p",
        f"0.0.0.0:{second}:81",
        "-p",
        f"[::1]:{third}:82/udp",
    )
    allow = ("--publish-allow", "81=192.0.2.0/24")
    engine.cli("run", "-d", "--name", "web", *ports, *allow, "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "open", "--network", "host", "busybox", "sleep", "600")
    layout = "{{.Container}} {{.At}} {{.LeadsTo}}: {{.By}}"
    found = engine.cli("network", "exposure", "--format", layout, "web", "open").stdout
    assert set(found.splitlines()) == {
        f"web 127.0.0.1:{first} 80/tcp: this host",
        f"web 0.0.0.0:{second} 81/tcp: this host, 192.0.2.0/24",
        f"web [::1]:{third} 82/udp: this host",
        "web * *: this host",
        "open * *: everybody who reaches this host",
    }
    assert "REACHED AT" in engine.cli("network", "exposure").stdout


def test_a_picture(engine: Engine) -> None:
    port = free_port()
    engine.cli("network", "create", "--internal", "inner")
    flags = ("--network", "bridge", "-p", f"127.0.0.1:{port}:80")
    engine.cli("run", "-d", "--name", "web", *flags, "busybox", "sleep", "600")
    engine.cli("network", "connect", "inner", "web")
    networks = shown(engine, "web")["NetworkSettings"]["Networks"]
    text = engine.cli("network", "graph").stdout
    for expected in (
        "host\n",
        "web  " + networks["bridge"]["IPAddress"],
        "web  " + networks["inner"]["IPAddress"],
        f"127.0.0.1:{port} -> 80/tcp",
        " internal\n",
    ):
        assert expected in text
    drawn = engine.cli("network", "graph", "--format", "svg", "bridge", "inner").stdout
    words = [each.text for each in ElementTree.fromstring(drawn).iter() if each.text]
    assert f"127.0.0.1:{port} -> 80/tcp" in words
    assert words.count("web") == 2
    assert engine.cli("network", "graph", "--format", "png", check=False).returncode != 0


def test_a_limit_lasts_until_it_is_taken_away(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "600")

    def limits() -> dict[str, str]:
        found = shown(engine, "box")["NetworkSettings"]["Networks"]["bridge"]["DriverOpts"]
        return dict(found or {})

    engine.cli("network", "limit", "--rate-in", "10mbit", "--rate-out", "5mbit", "box")
    both = {"scow.network.rate_in": "10mbit", "scow.network.rate_out": "5mbit"}
    assert limits() == both
    engine.cli("restart", "-t", "0", "box")
    assert limits() == both
    engine.cli("network", "limit", "--rate-in", "0", "box", "bridge")
    assert limits() == {"scow.network.rate_out": "5mbit"}
    wrong = engine.cli("network", "limit", "--rate-in", "fast", "box", check=False)
    assert "10mbit" in wrong.stderr
    assert engine.cli("network", "limit", "box", check=False).returncode != 0
