"""Networks of the user, by the command line: made, joined by containers, left, removed."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from scow.client import Client
from scow.contract.errors import NetworkInUse
from tests.e2e.cli.support import shown
from tests.support import processes
from tests.support.engine import Engine, as_root
from tests.support.net import free_port, http_get

pytestmark = as_root()


def networks_of(engine: Engine, container: str) -> dict[str, Any]:
    found: dict[str, Any] = shown(engine, container)["NetworkSettings"]["Networks"]
    return found


def described(engine: Engine, network: str) -> dict[str, Any]:
    [found] = json.loads(engine.cli("network", "inspect", network).stdout)
    assert isinstance(found, dict)
    return found


def routes(engine: Engine, container: str) -> str:
    return engine.cli("exec", container, "ip", "route").stdout


def reaches(engine: Engine, container: str, address: str) -> bool:
    ping = ("ping", "-c", "1", "-W", "1", address)
    return engine.cli("exec", container, *ping, check=False).returncode == 0


def is_page(url: str) -> bool:
    try:
        return http_get(url) == b"page\n"
    except OSError:
        return False


def test_gateway_modes_and_families(engine: Engine) -> None:
    mode = "com.docker.network.bridge.gateway_mode_ipv"
    modes = ("-o", f"{mode}4=routed", "-o", f"{mode}6=nat")
    trusted = ("-o", "com.docker.network.bridge.trusted_host_interfaces=wg0")
    engine.cli("network", "create", "--ipv6", *modes, *trusted, "out")
    port = free_port()
    for name in ("one", "two"):  # of IPv4 no port is taken
        publish = ("-p", "0.0.0.0:80:80", "-p", f"[::1]:{port if name == 'one' else 0}:80")
        words = ("sh", "-c", "mkdir /www; echo page > /www/index.html; httpd -f -p 80 -h /www")
        engine.cli("run", "-d", "--name", name, "--network", "out", *publish, "busybox", *words)
    own = networks_of(engine, "one")["out"]
    for address in (f"{own['IPAddress']}:80", f"[::1]:{port}"):
        processes.wait_for(partial(is_page, f"http://{address}/"), f"the page at {address}")
    layout = "{{.At}} {{.LeadsTo}}: {{.By}}"
    found = engine.cli("network", "exposure", "--format", layout, "one").stdout.splitlines()
    assert f"{own['IPAddress']}:80 80/tcp: everybody with a route to it" in found
    assert f"[::1]:{port} 80/tcp: this host" in found
    assert "* *: containers in out, everybody who comes over wg0, this host" in found
    refused = engine.cli("network", "create", "--ipv4=false", "nothing", check=False)
    assert (refused.returncode, "IPv4 or IPv6 must be enabled" in refused.stderr) == (1, True)
    engine.cli("network", "create", "--ipv4=false", "--ipv6", "six")
    assert (described(engine, "six")["EnableIPv4"], described(engine, "out")["EnableIPv4"]) == (
        False,
        True,
    )
    shown_addresses = ("run", "--rm", "--network", "six", "busybox", "ip", "addr", "show", "eth0")
    addresses = engine.cli(*shown_addresses).stdout
    assert ("inet6 fd" in addresses, "inet " in addresses) == (True, False)


def test_a_network_is_made_used_and_removed(engine: Engine) -> None:
    made = engine.cli("network", "create", "--label", "tier=front", "front").stdout.strip()
    shape = described(engine, "front")
    assert (shape["Id"], shape["Driver"], shape["Labels"]) == (made, "bridge", {"tier": "front"})
    engine.cli("run", "-d", "--name", "one", "--network", "front", "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "two", "--network", made[:12], "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "apart", "busybox", "sleep", "600")
    address = networks_of(engine, "one")["front"]["IPAddress"]
    assert shown(engine, "one")["HostConfig"]["NetworkMode"] == "front"
    assert address == described(engine, "front")["Containers"][shown(engine, "one")["Id"]][
        "IPv4Address"
    ].removesuffix("/16")
    assert reaches(engine, "two", address)
    assert not reaches(engine, "apart", address), "networks are apart"
    assert engine.cli("ps", "-f", "network=front", "--format", "{{.Names}}").stdout == "two\none\n"
    used = engine.cli("network", "rm", "front", check=False)
    assert (used.returncode, "has active endpoints" in used.stderr) == (1, True)
    engine.cli("rm", "-f", "one", "two")
    assert engine.cli("network", "rm", "front").stdout == "front\n"
    assert engine.cli("network", "inspect", "front", check=False).returncode == 1
    assert engine.cli("network", "rm", "-f", "front").stdout == ""


def test_a_container_is_in_several_networks_from_the_start(engine: Engine) -> None:
    engine.cli("network", "create", "--subnet", "10.77.1.0/24", "one")
    engine.cli("network", "create", "--subnet", "10.77.2.0/24", "two")
    wanted = "name=two,alias=db,ip=10.77.2.9,mac-address=02:42:ac:11:65:43,gw-priority=1"
    flags = ("--network", "one", "--network", wanted)
    engine.cli("run", "-d", "--name", "box", *flags, "busybox", "sleep", "600")
    assert "default via 10.77.2.1 dev eth1" in routes(engine, "box")
    found = networks_of(engine, "box")
    assert list(found) == ["one", "two"]
    assert (found["two"]["IPAddress"], found["two"]["MacAddress"]) == (
        "10.77.2.9",
        "02:42:ac:11:65:43",
    )
    assert (found["two"]["Aliases"], found["two"]["GwPriority"]) == (["db"], 1)
    assert found["two"]["IPAMConfig"] == {"IPv4Address": "10.77.2.9"}
    engine.cli("restart", "-t", "0", "box")
    assert "default via 10.77.2.1 dev eth1" in routes(engine, "box")
    assert networks_of(engine, "box")["two"]["IPAddress"] == "10.77.2.9"


def test_networks_are_joined_and_left_while_a_container_runs(engine: Engine) -> None:
    engine.cli("network", "create", "--subnet", "10.77.1.0/24", "alpha")
    engine.cli("network", "create", "--subnet", "10.77.2.0/24", "beta")
    engine.cli("run", "-d", "--name", "box", "--network", "beta", "busybox", "sleep", "600")
    engine.cli("network", "connect", "--ip", "10.77.1.7", "--alias", "x", "alpha", "box")
    assert "default via 10.77.1.1 dev eth1" in routes(engine, "box"), "the first by name"
    again = engine.cli("network", "connect", "alpha", "box", check=False)
    assert "endpoint with name box already exists in network alpha" in again.stderr
    engine.cli("network", "disconnect", "alpha", "box")
    assert "default via 10.77.2.1 dev eth0" in routes(engine, "box")
    assert "eth1" not in routes(engine, "box")
    gone = engine.cli("network", "disconnect", "alpha", "box", check=False)
    assert "is not connected to network alpha" in gone.stderr
    engine.cli("network", "disconnect", "beta", "box")
    assert networks_of(engine, "box") == {}
    assert engine.cli("network", "rm", "alpha", "beta").stdout == "alpha\nbeta\n"


def test_networks_are_joined_and_left_while_a_container_is_stopped(engine: Engine) -> None:
    engine.cli("network", "create", "alpha")
    engine.cli("create", "--name", "box", "busybox", "sleep", "600")
    engine.cli("network", "connect", "alpha", "box")
    engine.cli("network", "disconnect", "bridge", "box")
    assert list(networks_of(engine, "box")) == ["alpha"]
    engine.cli("start", "box")
    assert list(described(engine, "alpha")["Containers"]) == [shown(engine, "box")["Id"]]
    engine.cli("stop", "-t", "0", "box")
    engine.cli("network", "rm", "alpha")
    lost = engine.cli("start", "box", check=False)
    assert "network alpha not found" in lost.stderr


@pytest.mark.parametrize(
    ("flags", "fault"),
    [
        (("--network", "nonesuch"), "network nonesuch not found"),
        (("--network", "host", "--network", "bridge"), "cannot be connected to multiple networks"),
        (("--network", "bridge", "--network", "bridge"), "names bridge twice"),
        (("--network", "name=bridge,wrong=1"), "invalid field key wrong"),
        (("--network", "name=bridge,ip=10.1.1.1", "--ip", "10.1.1.1"), "conflicting options"),
    ],
)
def test_what_a_container_cannot_be_in(engine: Engine, flags: tuple[str, ...], fault: str) -> None:
    done = engine.cli("create", *flags, "busybox", check=False)
    assert done.returncode != 0
    assert fault in done.stderr


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("bridge",), "operation is not permitted on predefined bridge network"),
        (("--gateway", "10.77.1.1", "x"), "every ip-range or gateway must have"),
        (("--subnet", "10.77.1.0/24", "--subnet", "10.77.2.0/24", "x"), "multiple subnets"),
        (("-d", "host", "x"), 'only one instance of "host" network is allowed'),
        (("--subnet", "10.77.1.0/33", "x"), "invalid subnet"),
        (("--subnet", "10.77.1.0/24", "--gateway", "10.78.0.1", "x"), "no matching subnet"),
        (("-d", "overlay", "x"), 'plugin "overlay" not found'),
        (("-o", "com.docker.network.driver.mtu=many", "x"), "invalid value 'many'"),
        (("a b",), "invalid network name"),
        (("--ingress", "x"), "--ingress is of swarm mode"),
    ],
)
def test_a_network_that_cannot_be(engine: Engine, arguments: tuple[str, ...], fault: str) -> None:
    done = engine.cli("network", "create", *arguments, check=False)
    assert done.returncode != 0
    assert fault in done.stderr


def test_subnets_do_not_overlap(engine: Engine) -> None:
    engine.cli("network", "create", "--subnet", "10.77.0.0/16", "wide")
    done = engine.cli("network", "create", "--subnet", "10.77.4.0/24", "narrow", check=False)
    assert "Pool overlaps with other one on this address space" in done.stderr
    engine.cli("network", "create", "free")
    assert described(engine, "free")["IPAM"]["Config"][0]["Subnet"] != "10.77.0.0/16"


def test_lists_and_prune(engine: Engine) -> None:
    engine.cli("network", "create", "--label", "keep", "kept")
    engine.cli("network", "create", "spare")
    shown_names = engine.cli("network", "ls", "-f", "type=custom", "--format", "{{.Name}}").stdout
    assert shown_names == "kept\nspare\n"
    pruned = engine.cli("network", "prune", "-f", "--filter", "label!=keep").stdout
    assert pruned == "Deleted Networks:\nspare\n\n"
    assert engine.cli("network", "prune", "-f", "--filter", "until=1h").stdout == ""
    assert (
        engine.cli("network", "ls", "-q", "-f", "dangling=true", "--no-trunc").stdout.strip()
        == (described(engine, "kept")["Id"])
    )


def test_what_passes_is_counted_by_network(engine: Engine) -> None:
    engine.cli("network", "create", "quiet")
    flags = ("--network", "bridge", "--network", "quiet")
    engine.cli("run", "-d", "--name", "box", *flags, "busybox", "sleep", "600")
    gateway = networks_of(engine, "box")["bridge"]["Gateway"]
    identity = shown(engine, "box")["Id"]
    with Client(engine.host) as client:
        before = {each.network: each for each in client.networks.statistics(identity)}
        engine.cli("exec", "box", "ping", "-c", "3", "-i", "0.2", "-s", "1000", gateway)
        after = {each.network: each for each in client.networks.statistics(identity)}
        assert after["bridge"].interface == "eth0"
        for field in ("rx_bytes", "tx_bytes"):
            assert getattr(after["bridge"], field) - getattr(before["bridge"], field) > 3000
        assert after["quiet"].tx_bytes < 3000
        assert client.networks.statistics("0" * 64) == []


def test_system_prune_takes_networks_too(engine: Engine) -> None:
    engine.cli("network", "create", "spare")
    pruned = engine.cli("system", "prune", "-f", "--filter", "label!=keep").stdout
    assert "Deleted Networks:\nspare\n\n" in pruned


def test_by_library(engine: Engine) -> None:
    with Client(engine.host) as client:
        made = client.networks.create("front", subnets=["10.77.3.0/24"], internal=True)
        box = client.containers.run(
            "busybox", ["sleep", "600"], networks=["front", "bridge"], detach=True
        )
        assert [e.network for e in client.containers.get(box.id).endpoints] == ["front", "bridge"]
        with pytest.raises(NetworkInUse):
            client.networks.remove(made.network.id)
        client.networks.disconnect("front", box.id)
        again = client.networks.connect("name=front,alias=web", box.id)
        assert list(again.networks[-1].aliases) == ["web"]
        client.containers.remove(box.id, force=True)
        assert client.networks.prune() == ["front"]


def test_macvlan(engine: Engine) -> None:
    engine.cli("network", "create", "-d", "macvlan", "--subnet", "10.77.4.0/24", "lan")
    engine.cli("run", "-d", "--name", "one", "--network", "lan", "busybox", "sleep", "600")
    address = networks_of(engine, "one")["lan"]["IPAddress"]
    ping = ("ping", "-c", "1", "-W", "1", address)
    engine.cli("run", "--rm", "--network", "lan", "busybox", *ping)
    assert not reaches(engine, "one", "10.77.4.1"), "no router"
    engine.cli("network", "connect", "bridge", "one")
    engine.cli("network", "disconnect", "lan", "one")
    assert "eth0" not in routes(engine, "one")
    engine.cli("network", "rm", "lan")
    wrong = engine.cli("network", "create", "-d", "macvlan", "-o", "parent=gone", "x", check=False)
    assert "invalid value 'gone' of the option parent" in wrong.stderr


def test_an_internal_network_has_no_way_out(engine: Engine) -> None:
    engine.cli("network", "create", "--internal", "--subnet", "10.77.5.0/24", "inner")
    engine.cli("run", "-d", "--name", "one", "--network", "inner", "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "two", "--network", "bridge", "busybox", "sleep", "600")
    assert "default" not in routes(engine, "one")
    outside = networks_of(engine, "two")["bridge"]["IPAddress"]
    command = ("ip", "route", "add", "default", "via", "10.77.5.1")
    engine.cli("exec", "--privileged", "one", *command)
    assert not reaches(engine, "one", outside)
    assert not reaches(engine, "two", networks_of(engine, "one")["inner"]["IPAddress"])


def test_containers_that_may_not_talk_to_each_other(engine: Engine) -> None:
    options = ("-o", "com.docker.network.bridge.enable_icc=false", "--subnet", "10.77.6.0/24")
    engine.cli("network", "create", *options, "shy")
    for name in ("one", "two"):
        engine.cli("run", "-d", "--name", name, "--network", "shy", "busybox", "sleep", "600")
    assert reaches(engine, "one", "10.77.6.1")
    assert not reaches(engine, "one", networks_of(engine, "two")["shy"]["IPAddress"])


def test_options_of_networks_and_endpoints(engine: Engine) -> None:
    options = ("com.docker.network.driver.mtu=1380", "com.docker.network.bridge.name=br-own")
    prefix = "com.docker.network.container_iface_prefix=lan"
    flags = [word for option in (*options, prefix) for word in ("-o", option)]
    engine.cli("network", "create", "--ipv6", *flags, "own")
    sysctls = "driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    wanted = f"name=own,link-local-ip=169.254.7.7,link-local-ip=fe80::77,{sysctls}"
    named = "name=bridge,driver-opt=com.docker.network.endpoint.ifname=way0"
    arguments = ("--network", wanted, "--network", named, "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "box", *arguments)
    shown_links = engine.cli("exec", "box", "ip", "addr").stdout
    assert " mtu 1380 " in shown_links
    for text in ("lan0", "way0", "169.254.7.7/16", "fe80::77/64"):
        assert text in shown_links
    [endpoint] = described(engine, "own")["Containers"].values()
    assert endpoint["IPv6Address"].partition("/")[0] in shown_links
    assert described(engine, "own")["EnableIPv6"] is True
    setting = "/proc/sys/net/ipv4/conf/lan0/log_martians"
    assert engine.cli("exec", "box", "cat", setting).stdout == "1\n"
    strange = engine.cli("network", "create", "-o", "com.docker.network.x=1", "strange")
    assert "com.docker.network.x has no effect" in strange.stderr


def test_ports_lead_where_the_default_route_is(engine: Engine) -> None:
    port = free_port()
    page = "mkdir -p /www && echo page > /www/index.html && exec httpd -f -h /www"
    engine.cli("network", "create", "--subnet", "10.77.1.0/24", "alpha")
    engine.cli("network", "create", "--subnet", "10.77.2.0/24", "beta")
    arguments = ("-p", f"{port}:80", "--network", "beta", "busybox", "sh", "-c", page)
    engine.cli("run", "-d", "--name", "box", *arguments)

    def served() -> bool:
        try:
            return http_get(f"http://127.0.0.1:{port}/") == b"page\n"
        except OSError:
            return False

    processes.wait_for(served, "the page")
    for change in (("connect", "alpha"), ("disconnect", "beta"), ("connect", "beta")):
        engine.cli("network", *change, "box")
        assert served(), change
        assert engine.cli("port", "box", "80/tcp").stdout.startswith(f"0.0.0.0:{port}\n")
    assert routes(engine, "box").startswith("default via 10.77.1.1 ")
    hosts = engine.cli("exec", "box", "cat", "/etc/hosts").stdout
    assert [hosts.count(f"10.77.{number}.") for number in (1, 2)] == [1, 1]
    engine.cli("network", "disconnect", "alpha", "box")
    assert served()
    engine.kill_service("network")
    engine.wait_healthy()
    assert served()
    engine.cli("network", "disconnect", "beta", "box")
    assert not served()
    assert engine.cli("port", "box").stdout == ""
    engine.cli("network", "connect", "beta", "box")
    assert served()
