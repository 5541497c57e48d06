"""Networks of CNI configurations, with Debian's plugins and with plugins that misbehave."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scow.api.network.v1 import network_pb2 as pb
from scow.api.types.v1.types_pb2 import PortMapping
from scow.contract.errors import (
    CniFailed,
    InvalidArgument,
    InvalidCniConfig,
    NetworkInUse,
    NetworkNotFound,
)
from tests.integration.network.conftest import Engine, running_engine
from tests.integration.network.machines import Answerer, Namespace
from tests.support import processes
from tests.support.engine import BIN, clean_environment
from tests.support.service import typed

_PLUGINS = "/usr/lib/cni"
_POD = {
    "cniVersion": "1.0.0",
    "name": "pod",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni-pod",
            "isGateway": True,
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.88.7.0/24"}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "tuning", "sysctl": {"net.ipv4.conf.all.log_martians": "1"}},
        {"type": "firewall"},
        {"type": "bandwidth", "ingressRate": 800000000, "ingressBurst": 80000000},
    ],
}
_PAIR = {
    "cniVersion": "0.4.0",
    "name": "pair",
    "type": "ptp",
    "ipam": {"type": "host-local", "subnet": "10.88.8.0/24"},
}
# Writes what it is asked for to a file, and answers as it is configured.
_SCRIPT = """#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $input" >> "{log}"
case $CNI_COMMAND in {cases} esac
"""


class Cni:
    """An engine with a folder of configurations and one of plugins of the test's own."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.log = folder / "calls"

    def configure(self, document: dict[str, Any]) -> str:
        """Write a configuration; addresses are kept in the test's own folder."""
        name = str(document["name"])
        for plugin in document.get("plugins", [document]):
            plugin.get("ipam", {})["dataDir"] = str(self.folder / "addresses")
        (self.folder / "conf" / f"{name}.conflist").write_text(json.dumps(document))
        return name

    def script(self, name: str, **answers: str) -> str:
        """Make a network of one plugin that answers commands by shell commands."""
        cases = "".join(f"{command}) {answer};; " for command, answer in answers.items())
        path = self.folder / "bin" / name
        path.write_text(_SCRIPT.format(log=self.log, cases=cases))
        path.chmod(0o755)
        plugins = [{"type": name, "capabilities": {"portMappings": True}}]
        return self.configure({"cniVersion": "1.1.0", "name": f"of-{name}", "plugins": plugins})

    def create(self, config: str) -> None:
        request = pb.CreateRequest(name=config, driver="cni")
        with typed():
            self.engine.stub.Create(request)

    def attach(self, network: str, **fields: Any) -> tuple[Namespace, pb.AttachResponse]:
        with typed():
            return self.engine.attach(network=network, **fields)

    def calls(self) -> list[str]:
        """Return the commands that scripts were called with."""
        commands = [line.split()[0] for line in self.log.read_text().splitlines()]
        return [command for command in commands if command != "GC"]  # which reconciliation calls

    def call(self, method: str, **fields: Any) -> Any:
        with typed():
            request = getattr(pb, f"{method}Request")(**fields)
            return getattr(self.engine.stub, method)(request)

    def kept(self) -> list[Path]:
        return list((self.engine.service.data / "cni").glob("*"))


def running_cni(folder: Path, seconds: str) -> Iterator[Cni]:
    for name in ("conf", "bin"):
        (folder / name).mkdir()
    settings = {
        "SCOW_NETWORK_CNI_CONF_DIR": str(folder / "conf"),
        "SCOW_NETWORK_CNI_BIN_DIRS": f"{folder / 'bin'},{_PLUGINS}",
        "SCOW_NETWORK_CNI_SECONDS": seconds,
    }
    for engine in running_engine(settings):
        yield Cni(engine, folder)


@pytest.fixture(scope="module")
def cni_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cni]:
    yield from running_cni(tmp_path_factory.mktemp("cni"), "1.5")


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Cni]:
    """An engine of the test's own that gives plugins much time."""
    yield from running_cni(tmp_path, "100")


@pytest.fixture
def cni(cni_engine: Cni) -> Iterator[Cni]:
    yield cni_engine
    cni_engine.engine.end_containers()
    cni_engine.engine.stub.Prune(pb.PruneRequest())
    cni_engine.log.unlink(missing_ok=True)
    assert cni_engine.kept() == []


def test_plugins_make_a_network(cni: Cni) -> None:
    cni.create(cni.configure(_POD))
    web, first = cni.attach("pod", ports=[PortMapping(host_port=8089, container_port=80)])
    other, second = cni.attach("pod")
    assert first.endpoint.ip_address == "10.88.7.2"
    assert (first.endpoint.prefix_length, second.endpoint.ip_address) == (24, "10.88.7.3")
    assert first.endpoint.mac_address in web.run("ip link show eth0")
    assert "default via 10.88.7.1" in web.run("ip route")
    assert web.sysctl("ipv4/conf/all/log_martians") == "1"
    with Answerer(web, "web", 80):
        assert other.fetch("10.88.7.2", 80) == "web 10.88.7.3"
        assert cni.engine.neighbour.fetch("192.0.2.1", 8089) == "web 192.0.2.2", "by portmap"
    network = cni.engine.stub.Get(pb.GetRequest(network="pod")).network
    assert [e.ip_address for e in network.endpoints] == ["10.88.7.2", "10.88.7.3"]
    cni.engine.stub.Detach(pb.DetachRequest(owner=first.endpoint.owner, network="pod"))
    assert web.links() == {"lo"}
    third, again = cni.attach("pod")
    assert again.endpoint.ip_address == "10.88.7.4"
    assert third.links() == {"lo", "eth0"}


def test_a_crash_and_a_lost_link(cni: Cni) -> None:
    cni.create(cni.configure(_PAIR))
    box, answer = cni.attach("pair")
    cni.engine.service.stop(9)
    cni.engine.host.call(cni.engine.service.start)
    assert cni.engine.reconcile() == []
    box.run("ip link del eth0")
    assert (answer.endpoint.owner, "rebuilt") in cni.engine.reconcile()
    assert f"inet {answer.endpoint.ip_address}/" in box.run("ip addr show eth0")


def test_calls_for_others(cni: Cni) -> None:
    cni.configure(_POD)
    box = cni.engine.container()
    named = {"network": "pod", "container_id": "box-1", "interface": "net0"}
    ports = json.dumps(
        {"portMappings": [{"hostPort": 8090, "containerPort": 80, "protocol": "tcp"}]}
    )
    made = cni.call("CniAdd", netns_path=box.path, capabilities=ports, **named)
    [address] = made.addresses
    assert address.startswith("10.88.7.")
    assert json.loads(made.result)["cniVersion"] == "1.0.0"
    assert cni.call("CniAdd", netns_path=box.path, capabilities=ports, **named) == made
    assert box.links() == {"lo", "net0"}
    with Answerer(box, "box", 80):
        assert cni.engine.neighbour.fetch("192.0.2.1", 8090).startswith("box ")
    cni.call("CniStatus", network="pod")
    assert cni.engine.reconcile() == [], "it is not the engine's"
    cni.call("CniDel", **named)
    cni.call("CniDel", **named)
    # Portmap's own CHECK fails on a host without IPv6.
    named["network"] = cni.configure(_PAIR)
    cni.call("CniAdd", netns_path=box.path, **named)
    cni.call("CniCheck", **named)
    box.run("ip link del net0")
    with pytest.raises(CniFailed):
        cni.call("CniCheck", **named)
    cni.call("CniDel", **named)
    with pytest.raises(CniFailed, match="nothing is attached"):
        cni.call("CniCheck", **named)
    gone = Namespace()
    cni.call("CniAdd", network="pod", container_id="gone", netns_path=gone.path)
    gone.end()
    assert list(cni.call("CniGc", network="pod").removed) == ["gone"]


def test_commands_of_the_newest_version(cni: Cni) -> None:
    answer = '{"cniVersion": "1.1.0", "ips": [{"address": "10.88.9.2/24"}]}'
    link = "nsenter --net=$CNI_NETNS ip link add $CNI_IFNAME type bridge"
    unlink = "nsenter --net=$CNI_NETNS ip link del $CNI_IFNAME"
    network = cni.script("newest", ADD=f"{link} && echo '{answer}'", DEL=unlink)
    cni.create(network)
    _, attached = cni.attach(network)
    assert attached.endpoint.ip_address == "10.88.9.2"
    cni.engine.reconcile()
    cni.engine.end_containers()
    assert cni.calls() == ["STATUS", "ADD", "DEL"]
    lines = cni.log.read_text().splitlines()
    assert any(line.startswith("GC ") and '"ifname": "eth0"' in line for line in lines)
    [deleted] = [line for line in lines if line.startswith("DEL ")]
    assert '"prevResult": {"cniVersion": "1.1.0"' in deleted


@pytest.mark.parametrize(
    ("add", "fault"),
    [
        ("sleep 600", "took longer than 1.5 seconds"),
        ("(sleep 600 & echo $! > {pid}); sleep 600", "took longer"),
        ("kill -9 $$", "was killed by signal 9"),
        ("echo rubbish", "rubbish"),
        ("echo '[]'", "no object of JSON"),
        ('echo \'{"ips": [{"address": "x"}]}\'', "cannot be read"),
        ("echo '{\"ips\": 7}'", "cannot be read"),
        ("yes", "1048576 bytes or more"),
        ('echo \'{"code": 11, "msg": "no room", "details": "at all"}\'; exit 1', "no room: at all"),
        ("echo oh no >&2; exit 3", "oh no"),
    ],
)
def test_plugins_that_misbehave(cni: Cni, add: str, fault: str) -> None:
    pid = cni.folder / "pid"
    network = cni.script("bad", ADD=add.format(pid=pid) if "{pid}" in add else add)
    cni.create(network)
    before = time.monotonic()
    with pytest.raises(CniFailed, match=fault):
        cni.attach(network)
    assert time.monotonic() - before < 30
    assert cni.calls() == ["STATUS", "ADD", "DEL"], "what was made is taken back"
    if pid.exists():
        child = int(pid.read_text())
        pid.unlink()
        assert not processes.alive(child), "its children ended with it"
    assert not cni.engine.stub.Get(pb.GetRequest(network=network)).network.endpoints


def test_what_cannot_be_a_network(cni: Cni) -> None:
    with pytest.raises(NetworkNotFound, match="no CNI configuration missing"):
        cni.create("missing")
    cni.configure({"cniVersion": "9.0.0", "name": "new", "plugins": [{"type": "bridge"}]})
    with pytest.raises(InvalidCniConfig, match=r"9\.0\.0"):
        cni.create("new")
    cni.configure({"cniVersion": "1.0.0", "name": "path", "plugins": [{"type": "../sh"}]})
    with pytest.raises(InvalidCniConfig, match="invalid type"):
        cni.create("path")
    cni.configure({"cniVersion": "1.0.0", "name": "lost", "plugins": [{"type": "no-such"}]})
    with pytest.raises(CniFailed, match="failed to find plugin 'no-such'"):
        cni.create("lost")
    for fields in ({"container_id": "../x"}, {"interface": "a/b"}, {"netns_path": "x"}):
        with pytest.raises(InvalidArgument):
            cni.call(
                "CniAdd", **{"network": "pod", "container_id": "x", "netns_path": "/x", **fields}
            )
    refusing = cni.script("refusing", STATUS='echo \'{"code": 50, "msg": "not ready"}\'; exit 1')
    with pytest.raises(CniFailed, match="not ready"):
        cni.create(refusing)
    with pytest.raises(NetworkNotFound):
        cni.call("CniStatus", network=str(cni.folder / "conf" / "path.conflist"))
    with pytest.raises(NetworkNotFound):
        cni.call("CniGc", network=str(cni.folder / "conf" / "path.conflist"))


def test_what_is_being_attached_is_not_collected(cni: Cni) -> None:
    look = f"i=0; while [ $i -lt 10 ]; do grep -q ^GC {cni.log} && echo MET >> {cni.log}; sleep 0.05; i=$((i+1)); done"
    config = cni.script("slow", ADD=f"{look}; echo '{{}}'")
    called = {"network": config, "container_id": "x"}
    adding = threading.Thread(
        target=cni.call, args=("CniAdd",), kwargs={**called, "netns_path": "/proc/self/ns/net"}
    )
    adding.start()
    processes.wait_for(lambda: cni.log.exists() and "ADD" in cni.log.read_text(), "ADD")
    cni.call("CniGc", network=config)
    adding.join()
    told = cni.log.read_text()
    assert "MET" not in told
    assert '"containerID": "x"' in told.splitlines()[-1], "it is attached by then"
    cni.call("CniDel", **called)


def test_by_commands(cni: Cni) -> None:
    cni.configure(_PAIR)
    run = cni.engine.service.run
    environment = {**clean_environment(), "SCOW_HOST": f"unix://{run}", "SCOW_RESIDENT": "0"}

    def scow(*words: str) -> tuple[int, str]:
        command = [str(BIN / "scow"), "network", "cni", *words]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    with Namespace() as box:
        code, printed = scow("add", "--interface", "net1", "pair", "x", box.path)
        assert code == 0, printed
        assert json.loads(printed)["ips"][0]["address"] in box.run("ip addr show net1")
        assert scow("check", "--interface", "net1", "pair", "x") == (0, "")
        assert scow("status", "pair") == (0, "")
        assert scow("gc", "pair") == (0, "")
        assert scow("del", "--interface", "net1", "pair", "x") == (0, "")
        assert "net1" not in box.links()
        code, printed = scow("check", "--interface", "net1", "pair", "x")
        assert (code, "nothing is attached" in printed) == (1, True)
        assert scow("add", "pair", "x", box.path)[0] == 0
    assert scow("gc", "pair") == (0, "x\n"), "its namespace is gone"


def test_others_do_not_wait_for_a_plugin(patient: Cni) -> None:
    cni, go = patient, patient.folder / "go"
    wait = f"i=0; while [ ! -e {go} ] && [ $i -lt 900 ]; do sleep 0.1; i=$((i+1)); done"
    link = "nsenter --net=$CNI_NETNS ip link add $CNI_IFNAME type bridge"
    network = cni.script("slow", ADD=f"{wait}; [ -e {go} ] && {link} && echo '{{}}'")
    cni.create(network)
    box, owner = cni.engine.container(), cni.engine.owner()
    request = pb.AttachRequest(owner=owner, netns_path=box.path, network=network)
    attaching = cni.engine.stub.Attach.future(request)
    processes.wait_for(lambda: cni.log.exists() and "ADD" in cni.log.read_text(), "ADD")
    _, other = cni.engine.attach()
    assert other.endpoint.ip_address
    cni.engine.stub.Create(pb.CreateRequest(name="more"))
    cni.engine.stub.Remove(pb.RemoveRequest(network="more"))
    assert cni.engine.reconcile() == [], "what is under way is not half made"
    with pytest.raises(NetworkInUse):
        cni.call("Remove", network=network)
    leaving = cni.engine.stub.Detach.future(pb.DetachRequest(owner=owner))
    assert not attaching.done()
    go.touch()
    attaching.result()
    leaving.result()
    assert [line.split()[0] for line in cni.log.read_text().splitlines()][-1] == "DEL"
    assert cni.kept() == []
    assert not cni.engine.stub.Get(pb.GetRequest(network=network)).network.endpoints
