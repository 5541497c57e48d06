"""Names of containers, by the command line: found with the tools of an image, through the life of containers."""

from __future__ import annotations

from tests.e2e.cli.support import shown
from tests.support.engine import Engine, as_root

pytestmark = as_root()


def resolved(engine: Engine, container: str, name: str) -> list[str]:
    """Return the addresses of a name as a container's busybox finds them."""
    found = engine.cli("exec", container, "nslookup", "-type=a", name, check=False)
    answers = found.stdout.partition("Name:")[2]
    lines = [line.partition("Address:")[2].strip() for line in answers.splitlines()]
    return [line for line in lines if line]


def address(engine: Engine, container: str, network: str) -> str:
    found: str = shown(engine, container)["NetworkSettings"]["Networks"][network]["IPAddress"]
    return found


def test_containers_find_each_other_by_name(engine: Engine) -> None:
    engine.cli("network", "create", "shop")
    flags = ("--network", "shop", "--dns", "127.0.0.2")
    web = ("--name", "web", "--network-alias", "www", "--hostname", "front")
    engine.cli("run", "-d", *web, *flags, "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "box", *flags, "busybox", "sleep", "600")
    text = engine.cli("exec", "box", "cat", "/etc/resolv.conf").stdout
    assert text.startswith("nameserver 127.0.0.11\n")
    for name in ("web", "www", "front", "web.shop", shown(engine, "web")["Id"][:12]):
        assert resolved(engine, "box", name) == [address(engine, "web", "shop")], name
    engine.cli("restart", "-t", "0", "web")
    assert resolved(engine, "box", "web") == [address(engine, "web", "shop")]
    engine.cli("stop", "-t", "0", "web")
    assert resolved(engine, "box", "web") == []


def test_names_of_a_network_that_is_joined_and_left(engine: Engine) -> None:
    engine.cli("network", "create", "shop")
    engine.cli("run", "-d", "--name", "web", "--network", "shop", "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "box", "--dns", "127.0.0.2", "busybox", "sleep", "600")
    assert resolved(engine, "box", "web") == []
    engine.cli("network", "connect", "--alias", "late", "shop", "box")
    assert resolved(engine, "box", "web") == [address(engine, "web", "shop")]
    assert resolved(engine, "web", "late") == [address(engine, "box", "shop")]
    engine.cli("network", "disconnect", "shop", "box")
    assert resolved(engine, "box", "web") == []


def test_names_survive_the_network_service(engine: Engine) -> None:
    engine.cli("network", "create", "shop")
    for name in ("web", "box"):
        flags = ("--network", "shop", "--dns", "127.0.0.2")
        engine.cli("run", "-d", "--name", name, *flags, "busybox", "sleep", "600")
    engine.kill_service("network")
    engine.wait_healthy()
    assert resolved(engine, "box", "web") == [address(engine, "web", "shop")]


def test_links_on_the_default_network(engine: Engine) -> None:
    web = ("--name", "web", "--expose", "80", "-e", "COLOUR=red", "--hostname", "front")
    engine.cli("run", "-d", *web, "busybox", "sleep", "600")
    box = ("run", "--rm", "--link", "web:my-db", "-e", "MY_DB_ENV_COLOUR=own", "busybox")
    at = address(engine, "web", "bridge")
    hosts = engine.cli(*box, "cat", "/etc/hosts").stdout
    for name in ("my-db", "front", "web"):
        assert f"{at}\t{name}\n" in hosts
    variables = engine.cli(*box, "env").stdout.splitlines()
    assert f"MY_DB_PORT_80_TCP=tcp://{at}:80" in variables
    assert f"MY_DB_PORT_80_TCP_ADDR={at}" in variables
    assert "MY_DB_ENV_COLOUR=own" in variables, "its own variables come last"
    engine.cli("stop", "-t", "0", "web")
    refused = engine.cli(*box, "true", check=False)
    assert "Cannot link to a non running container: /web AS /" in refused.stderr


def test_links_on_a_network_of_the_user(engine: Engine) -> None:
    engine.cli("network", "create", "shop")
    flags = ("--network", "shop", "--dns", "127.0.0.2")
    engine.cli("run", "-d", "--name", "box", "--link", "web:db", *flags, "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "web", *flags, "busybox", "sleep", "600")
    assert resolved(engine, "box", "db") == [address(engine, "web", "shop")]
    assert resolved(engine, "web", "db") == [], "it is the container's own"
    engine.cli("restart", "-t", "0", "web")
    assert resolved(engine, "box", "db") == [address(engine, "web", "shop")]


def test_a_container_that_is_renamed_is_found_by_its_new_name(engine: Engine) -> None:
    engine.cli("network", "create", "shop")
    flags = ("--network", "shop", "--dns", "127.0.0.2")
    web = ("--name", "web", "--network-alias", "www", "-p", "127.0.0.1::80")
    engine.cli("run", "-d", *web, *flags, "busybox", "sleep", "600")
    engine.cli("run", "-d", "--name", "box", *flags, "busybox", "sleep", "600")
    engine.cli("create", "--name", "beside", "--network", "container:web", "busybox", "true")
    before = shown(engine, "web")["NetworkSettings"]
    alias = before["Networks"]["shop"].pop("DNSNames")
    assert engine.cli("rename", "web", "front").stdout == ""
    after = shown(engine, "front")["NetworkSettings"]
    called = after["Networks"]["shop"].pop("DNSNames")
    assert (alias[0], called[0], called[1:]) == ("web", "front", alias[1:])
    assert after == before
    (attached,) = [
        each["Name"]
        for each in shown(engine, "shop")["Containers"].values()
        if each["Name"] != "box"
    ]
    assert attached == "front"
    for name, found in (("web", []), ("front", [address(engine, "front", "shop")])):
        assert resolved(engine, "box", name) == found, name
    assert resolved(engine, "box", "www") == [address(engine, "front", "shop")]
    assert engine.cli("start", "-a", "beside").returncode == 0
    for service in ("network", "container"):
        engine.kill_service(service)
    engine.wait_healthy()
    assert resolved(engine, "box", "front") == [address(engine, "front", "shop")]
    assert resolved(engine, "box", "web") == []


def test_names_that_a_rename_refuses(engine: Engine) -> None:
    engine.cli("create", "--name", "web", "busybox")
    other = engine.cli("create", "--name", "box", "busybox").stdout.strip()
    for arguments, message in (
        (
            ("web", "box"),
            f'Conflict. The container name "/box" is already in use by container "{other}"',
        ),
        (("web", "web"), "Renaming a container with the same name as its current name"),
        (("web", "a!"), "Invalid container name (a!), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"),
        (("web", " "), "Neither old nor new names may be empty"),
        (("gone", "here"), "no such container: gone"),
    ):
        refused = engine.cli("rename", *arguments, check=False)
        assert (refused.returncode, refused.stdout) == (1, ""), arguments
        assert message in refused.stderr
    assert engine.cli("container", "rename", "web", "/front").returncode == 0
    assert shown(engine, "front")["Name"] == "/front"
