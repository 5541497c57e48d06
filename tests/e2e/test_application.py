"""An application of three containers on a network of the user's, by names: nginx, redis and postgresql from Debian.

The page of the web server is a script that asks the other two. Beside it what looks at networks from within: iperf3 and
dig.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import application, processes
from tests.support.engine import BIN, Engine, as_root
from tests.support.net import free_port, http_get

# The image is made when it is not there.
pytestmark = [as_root(), pytest.mark.xdist_group("application"), pytest.mark.timeout(900)]
_IMAGE = "localhost/application"
_BOOK = "Moby Dick"
_REQUEST = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


@pytest.fixture(scope="module")
def shop() -> Iterator[Engine]:
    """An engine of this module's own, with the image; its tests restart it."""
    with Engine() as engine:
        loaded = engine.cli("load", "-i", str(application.archive()), seconds=180).stdout
        engine.cli("tag", loaded.split()[-1], _IMAGE)
        engine.cli("network", "create", "--ipv6", "shop")
        yield engine


def visits(url: str) -> int:
    """Return what the page says, waiting until all three are there."""
    found: list[int] = []

    def look() -> bool:
        try:
            text = http_get(url).decode()
        except OSError:
            return False
        if (parts := re.fullmatch(rf"visit (\d+)\n{_BOOK}\n", text)) is None:
            return False
        found[:] = [int(parts[1])]
        return True

    processes.wait_for(look, f"the application at {url}")
    return found[0]


def read_page(connection: socket.socket) -> bytes:
    """Ask over a connection that stays; return the answer."""
    connection.sendall(_REQUEST)
    data = b""
    while not data.endswith(b"0\r\n\r\n"):
        part = connection.recv(4096)
        assert part, f"the connection was closed after {data!r}"
        data += part
    return data


def started(engine: Engine, name: str, *words: str, flags: tuple[str, ...] = ()) -> None:
    part = name.partition("-")[0]
    network = ("--network", f"name=shop,alias={part}")
    engine.cli("run", "-d", "--name", name, *network, *flags, _IMAGE, *words)


def start_all(engine: Engine, port: int) -> None:
    started(engine, "db", "/opt/db.sh", flags=("-v", "books:/data"))
    redis = ("redis-server", "--protected-mode", "no", "--dir", "/data", "--appendonly", "yes")
    started(engine, "cache", *redis, flags=("-v", "visits:/data"))
    started(engine, "web", "/opt/web.sh", flags=("-p", f"{port}:80"))


def test_an_application_of_three(shop: Engine) -> None:
    port = free_port()
    start_all(shop, port)
    urls = [f"http://127.0.0.1:{port}/", f"http://[::1]:{port}/"]
    counts = [visits(url) for url in urls]
    assert counts[0] < counts[1]
    listen = "redis-cli -h cache subscribe news > /tmp/news"
    shop.cli("exec", "-d", "web", "sh", "-c", listen)
    publish = ("exec", "cache", "redis-cli", "publish", "news")
    processes.wait_for(lambda: shop.cli(*publish, "before").stdout == "1\n", "a subscriber")
    with socket.create_connection(("127.0.0.1", port), 30) as held:
        assert _BOOK.encode() in read_page(held)
        shop.kill_service("network")
        shop.restart()
        assert _BOOK.encode() in read_page(held), "an engine's restart drops no connection"
    assert shop.cli(*publish, "after").stdout == "1\n", "nor one between containers"
    assert "after" in shop.cli("exec", "web", "cat", "/tmp/news").stdout
    # The two behind are restarted, and may come back with other addresses.
    shop.cli("restart", "-t", "5", "db", "cache")
    assert visits(urls[0]) > counts[1]
    # Upgraded: the new one takes the name's place while the old one runs.
    shop.cli("exec", "web", "sh", "-c", "echo 'echo new' >> /opt/page.sh")
    shop.cli("exec", "web", "sed", "-i", "s/visit/hit/", "/opt/page.sh")
    shop.cli("commit", "web", f"{_IMAGE}:2")
    shop.cli("rm", "-f", "web")
    name = ("--name", "web-2", "--network", "name=shop,alias=web", "-p", f"{port}:80")
    shop.cli("run", "-d", *name, f"{_IMAGE}:2", "/opt/web.sh")

    def is_new() -> bool:
        try:
            return re.fullmatch(rf"hit \d+\n{_BOOK}\nnew\n", http_get(urls[1]).decode()) is not None
        except OSError:
            return False

    processes.wait_for(is_new, "the new version")
    asked = shop.cli("exec", "db", "getent", "ahostsv4", "web").stdout.split()[0]
    shown = "{{.NetworkSettings.Networks.shop.IPAddress}}"
    assert asked == shop.cli("inspect", "-f", shown, "web-2").stdout.strip()
    shop.cli("rm", "-f", "web-2", "db", "cache")
    shop.cli("volume", "rm", "books", "visits")


def measured(words: list[str], environment: dict[str, str] | None = None) -> float:
    """Run iperf3 for a second; return what arrived, in bits a second."""
    done = subprocess.run(
        [*words, "-J", "-t", "1"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = json.loads(done.stdout)
    assert "error" not in found, found["error"]
    return float(found["end"]["sum_received"]["bits_per_second"])


@pytest.mark.parametrize("family", ["4", "6"])
def test_iperf(shop: Engine, family: str) -> None:
    port = free_port()
    started(shop, "server", "iperf3", "-s", "--forceflush", flags=("-p", f"{port}:5201"))
    try:
        processes.wait_for(
            lambda: "listening" in shop.cli("logs", "server").stdout, "iperf3 of the server"
        )
        words = ["run", "--rm", "--network", "shop", _IMAGE, "iperf3", f"-{family}", "-c", "server"]
        assert measured([str(BIN / "scow"), *words], shop.env) > 1e6
        own = "127.0.0.1" if family == "4" else "::1"
        assert measured(["iperf3", f"-{family}", "-c", own, "-p", str(port)]) > 1e6
    finally:
        shop.cli("rm", "-f", "server")


def test_dig(shop: Engine) -> None:
    started(shop, "server-1", "sleep", "600")
    started(shop, "asker", "sleep", "600")
    try:

        def dig(*words: str) -> str:
            return shop.cli("exec", "asker", "dig", *words).stdout

        networks = json.loads(shop.cli("inspect", "server-1").stdout)[0]["NetworkSettings"][
            "Networks"
        ]
        own, own6 = networks["shop"]["IPAddress"], networks["shop"]["GlobalIPv6Address"]
        for name in ("server-1", "server-1.shop", "SERVER", "server"):
            assert dig("+short", name) == f"{own}\n"
            assert dig("+short", "+tcp", name) == f"{own}\n"
        assert dig("+short", "server", "AAAA") == f"{own6}\n"
        assert dig("+short", "-x", own) == dig("+short", "-x", own6) == "server-1.shop.\n"
        whole = dig("server")
        assert "status: NOERROR" in whole
        assert "flags: qr aa rd ra" in whole
        assert "EDNS: version: 0" in whole
        assert "SERVER: 127.0.0.11#53" in whole
        assert "ANSWER: 0" in dig("server", "MX")
        assert "status: NOERROR" in dig("server", "MX")
        assert "status: BADVERS" in dig("server", "+edns=7", "+noednsnegotiation")
        assert "status: NOTIMP" in dig("server", "+opcode=notify")
        assert "status: REFUSED" in dig("server", "-c", "CH")
        # On a network without IPv6.
        shop.cli("network", "create", "flat")
        shop.cli("network", "connect", "flat", "asker")
        shop.cli("run", "-d", "--name", "four", "--network", "flat", _IMAGE, "sleep", "600")
        assert "status: NOERROR" in dig("four", "AAAA"), "a name without such an address"
        assert "ANSWER: 0" in dig("four", "AAAA")
        shop.cli("rm", "-f", "four")
    finally:
        shop.cli("rm", "-f", "server-1", "asker")
