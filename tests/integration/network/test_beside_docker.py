"""Docker on the same host, at the same time, with its own bridge: both go on, also when one of them starts again."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import pytest

from scow.api.types.v1.types_pb2 import PortMapping
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import (
    Answerer,
    Namespace,
    host_and_neighbour,
    instance_name,
)
from tests.support import processes
from tests.support.busybox import rootfs_tar
from tests.support.peers import Docker, Net
from tests.support.service import Service

_HTTPD = "mkdir /www; echo docker > /www/index.html; httpd -p 81 -h /www; httpd -f -p 80 -h /www"
_RULES = "iptables-save | grep -v '^#' | sed 's/\\[.*//'"
_FETCH = "timeout 5 busybox wget -q -O - http://192.0.2.1:{port}/"


class HostNet(Net):
    """The namespace that plays the host of an engine."""

    def __init__(self, host: Namespace) -> None:
        self.prefix = ["nsenter", f"--net={host.path}"]


@contextlib.contextmanager
def running(first: str) -> Iterator[tuple[Engine, Docker]]:
    """Start both on one host."""
    with contextlib.ExitStack() as stack:
        host, neighbour = stack.enter_context(host_and_neighbour())
        host.run("sysctl -qw net.ipv4.ip_forward=0")
        docker: Docker | None = None
        if first == "docker":
            docker = stack.enter_context(Docker(HostNet(host)))
        service = Service("network", instance_name())
        stack.callback(service.__exit__, None, None, None)
        host.call(service.start)
        engine = Engine(host, neighbour, service)
        stack.callback(engine.end_containers)
        docker = docker or stack.enter_context(Docker(HostNet(host)))
        docker.cli("import", "-", "busybox", stdin=rootfs_tar())
        yield engine, docker


def both_work(engine: Engine, docker: Docker, protected: bool) -> None:
    """See that containers of both reach others, and others them."""
    box, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
    theirs = docker.cli("run", "-d", "-p", "8081:80", "busybox", "sh", "-c", _HTTPD)

    def is_served() -> bool:
        return engine.neighbour.run(_FETCH.format(port=8081), check=False) == "docker\n"

    with Answerer(box, "web", 80), Answerer(engine.neighbour, "far", 82):
        processes.wait_for(is_served, "the port that docker publishes")
        assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
        assert box.fetch("192.0.2.2", 82) == "far 192.0.2.1"
        assert "far" in docker.cli("exec", theirs, "sh", "-c", "timeout 5 nc 192.0.2.2 82")
        own = json.loads(docker.cli("inspect", theirs))[0]["NetworkSettings"]["IPAddress"]
        # Where docker found the host a router, it protects its containers from nobody with a route to them.
        assert box.reaches(own, 81) is not protected, "ports that docker does not publish"
        found = docker.cli(
            "exec", theirs, "sh", "-c", f"nc -w 1 {answer.endpoint.ip_address} 80; true"
        )
        assert "web" not in found
    docker.cli("rm", "-f", theirs)
    engine.end_containers()


@pytest.mark.parametrize("first", ["docker", "scow"])
def test_docker_and_scow_on_one_host(first: str) -> None:
    with running(first) as (engine, docker):
        assert engine.reconcile() == []
        # Docker that makes the host a router drops what others forward. No rule of ours can change that: the log says
        # what to do.
        log = engine.service.log.read_text()
        told = re.findall(r"iptables -I DOCKER-USER [^;\"]+", log)
        assert len(told) == (4 if first == "docker" else 0)
        engine.host.run("; ".join([*told, "true"]))
        engine.host.call(engine.service.kill_and_restart)
        assert engine.reconcile() == []
        both_work(engine, docker, first == "docker")
        # What docker has is left as it is by the end of ours.
        before = engine.host.run(_RULES)
        engine.service.stop()
        assert engine.host.run(_RULES) == before
        engine.host.call(engine.service.start)
