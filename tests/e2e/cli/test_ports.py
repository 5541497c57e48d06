"""Published ports that change while a container runs, by the command line."""

from __future__ import annotations

import socket
import subprocess

from tests.e2e.cli.support import shown
from tests.support import processes
from tests.support.engine import Engine, as_root

pytestmark = as_root()
_SERVE = ("httpd", "-f", "-p", "80", "-h", "/etc")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Tell whether the container's server answers at a port of the host."""
    done = subprocess.run(
        ["curl", "-sf", "-m", "5", f"http://127.0.0.1:{port}/hostname"], capture_output=True
    )
    return done.returncode == 0


def ports(engine: Engine, container: str) -> list[str]:
    return engine.cli("port", container).stdout.splitlines()


def test_ports_come_and_go_while_a_container_runs(engine: Engine) -> None:
    first, second = free_port(), free_port()
    engine.cli("run", "-d", "--name", "web", "-p", f"127.0.0.1:{first}:80", "busybox", *_SERVE)
    processes.wait_for(lambda: answers(first), "the server")
    added = engine.cli("port", "add", "web", f"127.0.0.1:{second}:80").stdout
    assert added == f"80/tcp -> 127.0.0.1:{second}\n"
    assert answers(second)
    assert ports(engine, "web") == [
        f"80/tcp -> 127.0.0.1:{first}",
        f"80/tcp -> 127.0.0.1:{second}",
    ]
    assert engine.cli("port", "web", "80").stdout.split() == [
        f"127.0.0.1:{first}",
        f"127.0.0.1:{second}",
    ]
    engine.cli("port", "rm", "web", f"{first}:80")
    assert not answers(first)
    assert answers(second)
    with socket.create_server(("127.0.0.1", first)):
        pass  # it is free for others
    engine.cli("restart", "-t", "0", "web")
    processes.wait_for(lambda: answers(second), "it is published again")
    assert ports(engine, "web") == [f"80/tcp -> 127.0.0.1:{second}"]
    assert list(shown(engine, "web")["HostConfig"]["PortBindings"]) == ["80/tcp"]


def test_ports_that_cannot_be_had(engine: Engine) -> None:
    engine.cli("run", "-d", "--name", "web", "busybox", *_SERVE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        refused = engine.cli("port", "add", "web", f"{taken}:80", check=False)
        assert refused.returncode == 1
        assert "in use" in refused.stderr
    assert ports(engine, "web") == []
    refused = engine.cli("port", "rm", "web", "80", check=False)
    assert "is not published like that" in refused.stderr
    refused = engine.cli("port", "web", "80", check=False)
    assert "no public port '80/tcp' published for web" in refused.stderr
    refused = engine.cli("port", "add", "web", "80:80:80:80", check=False)
    assert refused.returncode == 125 or refused.returncode == 1


def test_a_connection_outlives_the_port_and_the_network_service(engine: Engine) -> None:
    port = free_port()
    serve = ("nc", "-ll", "-p", "80", "-e", "cat")
    engine.cli("run", "-d", "--name", "web", "busybox", *serve)
    engine.cli("port", "add", "web", f"127.0.0.1:{port}:80")

    def connected() -> bool:
        try:
            connections.append(socket.create_connection(("127.0.0.1", port), 5))
        except OSError:
            return False
        return echo(connections[-1])

    def echo(connection: socket.socket) -> bool:
        connection.sendall(b"?")
        return connection.recv(1) == b"?"

    connections: list[socket.socket] = []
    processes.wait_for(connected, "the server")
    engine.kill_service("network")
    assert echo(connections[-1])
    engine.wait_healthy()
    assert connected(), "a further one"
    engine.cli("port", "rm", "web", "80")
    assert echo(connections[-1])
    for connection in connections:
        connection.close()


def test_who_may_use_a_port(engine: Engine) -> None:
    port = free_port()
    allow = ("--publish-allow", "80=192.0.2.0/24,2001:db8::/32")
    engine.cli("run", "-d", "--name", "web", "-p", f"{port}:80", *allow, "busybox", *_SERVE)
    processes.wait_for(lambda: answers(port), "the host itself may")
    engine.cli("run", "-d", "--name", "box", "busybox", "sleep", "600")
    gateway = shown(engine, "box")["NetworkSettings"]["Networks"]["bridge"]["Gateway"]
    fetch = ("exec", "box", "timeout", "2", "wget", "-qO-", f"http://{gateway}:{port}/hostname")
    assert engine.cli(*fetch, check=False).returncode != 0, "another container may not"
    engine.cli("port", "rm", "web", "80")
    engine.cli("port", "add", "--publish-allow", f"{gateway}/16", "web", f"{port}:80")
    assert engine.cli(*fetch, check=False).returncode == 0
    wrong = engine.cli("port", "add", "--publish-allow", "81=::/0", "web", "80", check=False)
    assert "port 81/tcp is not published with -p" in wrong.stderr
