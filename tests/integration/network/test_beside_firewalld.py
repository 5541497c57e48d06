"""firewalld on the same host: what it rejects, what the log advises, and what it leaves of the engine's rules."""

from __future__ import annotations

import re

import pytest

from scow.api.types.v1.types_pb2 import PortMapping
from tests.integration.network.conftest import Engine
from tests.integration.network.machines import Answerer
from tests.support.firewalld import Firewalld


@pytest.mark.timeout(600)  # its root file system is made when it is not there
def test_firewalld_and_scow_on_one_host(own_engine: Engine) -> None:
    engine = own_engine
    with Firewalld(engine.host.path) as firewalld:
        box, answer = engine.attach(ports=[PortMapping(host_port=8080, container_port=80)])
        with Answerer(box, "web", 80), Answerer(engine.neighbour, "far", 82):
            assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
            assert not box.reaches("192.0.2.2", 82), "it rejects what comes from no zone"
            assert engine.reconcile() == []
            advised = re.findall(r"firewall-cmd [^;\"]+", engine.service.log.read_text())
            assert advised == [
                f"firewall-cmd --permanent --zone=trusted --add-interface={engine.bridge}",
                "firewall-cmd --reload",
            ]
            table = engine.table()
            for command in advised:
                firewalld.command(*command.split()[1:])
            assert engine.table() == table, "a reload leaves the engine's rules alone"
            assert box.fetch("192.0.2.2", 82) == "far 192.0.2.1"
            assert engine.neighbour.fetch("192.0.2.1", 8080) == "web 192.0.2.2"
            assert not engine.neighbour.reaches(answer.endpoint.ip_address, 80), (
                "it is not published"
            )
            engine.host.call(engine.service.kill_and_restart)
            assert engine.reconcile() == []
            assert engine.service.log.read_text().count("firewall-cmd --reload") == 1
