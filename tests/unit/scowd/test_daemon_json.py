import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from scow.contract.errors import InvalidConfig
from scow.core.config import AddressPool, load
from scow.scowd.daemon_json import RULES, convert, text_of, write

_EVERYDAY = {
    "bip": "10.44.0.1/16",
    "fixed-cidr": "10.44.128.0/17",
    "default-address-pools": [{"base": "10.64.0.0/10", "size": 24}],
    "mtu": 1450,
    "dns": ["192.0.2.53"],
    "ip-forward": False,
    "ip-masq": False,
    "icc": False,
    "userland-proxy": False,
    "registry-mirrors": ["https://mirror.example"],
    "insecure-registries": ["registry.example:5000"],
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "5", "labels": "x"},
    "data-root": "/srv/containers",
    "hosts": ["unix:///var/run/docker.sock", "tcp://0.0.0.0:2375"],
    "storage-driver": "overlay2",
    "something-new": 1,
}


def test_everyday_keys(tmp_path: Path) -> None:
    source, target = tmp_path / "daemon.json", tmp_path / "etc" / "scow.toml"
    source.write_text(json.dumps(_EVERYDAY))
    lines = write(source, target)
    assert [line.split()[0] for line in lines] == list(_EVERYDAY), "each key is said of"
    said = dict(line.split(" ", 1) for line in lines)
    assert said["bip"] == "is network.subnet and network.gateway"
    assert said["fixed-cidr"] == "is network.ip_range"
    assert said["userland-proxy"].startswith("is not needed")
    assert said["log-driver"] == "is container.log_driver"
    assert said["log-opts"] == "is container.log_opts"
    assert "tcp://0.0.0.0:2375" in said["hosts"]
    assert said["something-new"] == "is unknown, and was left out"
    config = load(target, {})
    network = config.network
    assert (network.subnet, network.gateway, network.ip_range) == (
        "10.44.0.0/16",
        "10.44.0.1",
        "10.44.128.0/17",
    )
    assert network.default_address_pools == (AddressPool("10.64.0.0/10", 24),)
    assert (network.mtu, network.dns) == (1450, ("192.0.2.53",))
    assert [network.icc, network.masquerade, network.forwarding] == [False] * 3
    assert config.root == Path("/srv/containers")
    assert config.image.registry_mirrors == ("https://mirror.example",)
    assert config.container.log_driver == "json-file"
    assert config.container.log_opts == {"max-size": "10m", "max-file": "5", "labels": "x"}
    with pytest.raises(InvalidConfig, match="is there"):
        write(source, target)


def test_fixed_cidr_alone_is_the_subnet() -> None:
    values, lines = convert({"fixed-cidr": "10.44.0.0/16", "fixed-cidr-v6": "fd00:44::/64"})
    assert values == {"network": {"subnet": "10.44.0.0/16", "ipv6_subnet": "fd00:44::/64"}}
    assert lines == ["fixed-cidr is network.subnet", "fixed-cidr-v6 is network.ipv6_subnet"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("bip", "10.44"),
        ("mtu", "large"),
        ("mtu", True),
        ("dns", "192.0.2.53"),
        ("dns", [1]),
        ("icc", "no"),
        ("default-address-pools", [{"base": "10.0.0.0/8"}]),
        ("log-opts", {"max-size": "ten"}),
        ("log-opts", {"max-file": "²"}),
        ("log-opts", {"max-file": "5" * 5000}),
        ("log-opts", {"max-size": 10}),
        ("log-level", "loud"),
    ],
)
def test_wrong_values(key: str, value: Any) -> None:
    with pytest.raises(InvalidConfig) as caught:
        convert({key: value})
    assert caught.value.which == key


@pytest.mark.parametrize("text", ["", "[]", "{", '{"mtu": 1, "mtu": 2}', '{"a": NaN}'])
def test_files_that_are_no_configuration(tmp_path: Path, text: str) -> None:
    source, target = tmp_path / "daemon.json", tmp_path / "scow.toml"
    source.write_text(text)
    with pytest.raises(InvalidConfig):
        write(source, target)
    assert list(tmp_path.iterdir()) == [source]


def test_texts_stay_what_they_are() -> None:
    values, _ = convert({"data-root": '/srv/"ä😀\\n', "registry-mirrors": []})
    assert tomllib.loads(text_of(values)) == values


@pytest.mark.parametrize("key", RULES)
def test_every_rule_says_something_or_refuses(key: str) -> None:
    values: tuple[Any, ...] = ({}, [], "10.9.0.1/24", 1, False, None)
    for value in values:
        try:
            _, [line] = convert({key: value})
        except InvalidConfig as error:
            assert error.message.startswith(f"{key} ")
        else:
            assert line.startswith(f"{key} ")


def test_the_command(tmp_path: Path) -> None:
    source, target = tmp_path / "daemon.json", tmp_path / "scow.toml"
    source.write_text('{"mtu": 1400}')
    command = [sys.executable, "-m", "scow.scowd", f"--import-daemon-json={source}"]
    done = subprocess.run(
        [*command, "--config", target], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"mtu is network.mtu\nwritten: {target}\n"
    assert load(target, {}).network.mtu == 1400
    again = subprocess.run([*command, "--config", target], capture_output=True, check=False)
    assert again.returncode == 1
