"""`scowd --import-daemon-json FILE`: from Docker's configuration of its daemon to this engine's.

Every key of the file is said of: what it became, that it is not needed here, or that it was left out. Docker's keys are
those of dockerd(8), "Daemon configuration file".
"""

from __future__ import annotations

import ipaddress
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scow.contract import strict_json
from scow.contract.errors import InvalidConfig
from scow.core.config import load

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_LARGEST = 1 << 20
_LOG_DRIVERS = ("json-file", "local", "journald", "syslog", "fluentd", "none")


class _Wrong(Exception):
    """A value that a key cannot have, in words."""


@dataclass
class _Target:
    """What the configuration becomes."""

    values: dict[str, Any] = field(default_factory=dict)

    def set(self, key: str, value: Any) -> str:
        """Set "section.key", and return what is said of it."""
        section, _, name = key.rpartition(".")
        (self.values.setdefault(section, {}) if section else self.values)[name] = value
        return f"is {key}"


_Rule = Callable[[_Target, Any], str]


def _kept(key: str, kind: type | tuple[type, ...]) -> _Rule:
    """Return the rule of a key whose value is taken as it is."""

    def apply(target: _Target, value: Any) -> str:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _Wrong(f"cannot be {json.dumps(value)}")
        if isinstance(value, list) and not all(isinstance(each, str) for each in value):
            raise _Wrong("must be a list of texts")
        return target.set(key, value)

    return apply


def _said(text: str) -> _Rule:
    """Return the rule of a key that becomes nothing, with what is said of it."""
    return lambda target, value: text


def _default(value: object, otherwise: str) -> _Rule:
    """Return the rule of a key of which one value is what this engine does."""

    def apply(target: _Target, given: Any) -> str:
        return "is as here" if given == value else otherwise

    return apply


def _bip(target: _Target, value: Any) -> str:
    address = _interface(value)
    target.set("network.subnet", str(address.network))
    target.set("network.gateway", str(address.ip))
    return "is network.subnet and network.gateway"


def _bip6(target: _Target, value: Any) -> str:
    return target.set("network.ipv6_subnet", str(_interface(value).network))


def _fixed_cidr(target: _Target, value: Any) -> str:
    network = str(_interface(value).network)
    given = target.values.get("network", {}).get("subnet")
    if given in (None, network):
        target.set("network.subnet", network)
        return "is network.subnet"
    return target.set("network.ip_range", network)


def _interface(value: Any) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    try:
        return ipaddress.ip_interface(_text(value))
    except ValueError:
        raise _Wrong(f"{json.dumps(value)} is not an address with a prefix length") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Wrong("must be a text")
    return value


def _pools(target: _Target, value: Any) -> str:
    try:
        found = [{"base": str(each["base"]), "size": int(each["size"])} for each in value]
    except (TypeError, KeyError, ValueError):
        raise _Wrong('must be a list of {"base": ..., "size": ...}') from None
    return target.set("network.default_address_pools", found)


def _log_driver(target: _Target, value: Any) -> str:
    if _text(value) not in _LOG_DRIVERS:
        return f"was left out: there is no log driver {value}"
    return target.set("container.log_driver", value)


def _log_options(target: _Target, value: Any) -> str:
    if not isinstance(value, dict):
        raise _Wrong("must be an object")
    for name, check in (("max-size", _size), ("max-file", _count)):
        if name in value:
            check(value[name])
    if not value:
        return "is empty"
    return target.set("container.log_opts", {key: _text(text) for key, text in value.items()})


def _count(value: Any) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _Wrong(f"{json.dumps(value)} is not a number")
    return int(text)


def _size(value: Any) -> int:
    text = str(value).lower()
    number = text.rstrip("bkmg")
    unit = text[len(number) :].rstrip("b") if number != text else ""
    if not (number.isascii() and number.isdigit() and len(number) < 16 and unit in _SIZES):
        raise _Wrong(f"{json.dumps(value)} is not a size")
    return int(number) * _SIZES[unit]


def _level(target: _Target, value: Any) -> str:
    levels = {"fatal": "error", "panic": "error", "warn": "warning"}
    level = levels.get(_text(value), value)
    if level not in ("debug", "info", "warning", "error"):
        raise _Wrong(f"cannot be {json.dumps(value)}")
    return target.set("log.level", level)


def _debug(target: _Target, value: Any) -> str:
    return target.set("log.level", "debug") if value is True else "is as here"


def _log_format(target: _Target, value: Any) -> str:
    return target.set("log.format", "json" if value == "json" else "console")


def _hosts(target: _Target, value: Any) -> str:
    if not isinstance(value, list):
        raise _Wrong("must be a list of texts")
    remote = [
        each for each in value if isinstance(each, str) and not each.startswith(("unix:", "fd:"))
    ]
    if remote:
        return f"was left out: {', '.join(remote)} without a gateway would be open to everybody"
    return "was left out: sockets are in the folder of the key run"


_EACH_CONTAINER = "was left out: it is given to each container"
_SUPERVISED = "was left out: it is of Docker's own processes"
_FIREWALL = "is not needed: the engine has an nftables table of its own"
_SWARM = "was left out: there is no swarm mode"
_TLS = "was left out: services listen on unix sockets alone"

# In the order in which they are applied.
RULES: dict[str, _Rule] = {
    "data-root": _kept("root", str),
    "graph": _kept("root", str),
    "bip": _bip,
    "bip6": _bip6,
    "fixed-cidr": _fixed_cidr,
    "fixed-cidr-v6": _bip6,
    "default-gateway": _said("was left out: containers' router is the bridge (network.gateway)"),
    "default-gateway-v6": _said("was left out: containers' router is the bridge"),
    "default-address-pools": _pools,
    "mtu": _kept("network.mtu", int),
    "icc": _kept("network.icc", bool),
    "ip-masq": _kept("network.masquerade", bool),
    "ip-forward": _kept("network.forwarding", bool),
    "ip-forward-no-drop": _said("is not needed: the engine drops nothing that is not its own"),
    "ipv6": _default(False, "says nothing by itself: network.ipv6_subnet does"),
    "dns": _kept("network.dns", list),
    "dns-opts": _said(f"{_EACH_CONTAINER} with --dns-option"),
    "dns-search": _said(f"{_EACH_CONTAINER} with --dns-search"),
    "ip": _kept("network.publish_address", str),
    "host-gateway-ip": _said("was left out: host-gateway is the host's address on the bridge"),
    "bridge": _said("was left out: the bridge is named after the instance"),
    "iptables": _said(_FIREWALL),
    "ip6tables": _said(_FIREWALL),
    "userland-proxy": _said(
        "is not needed: ports are diverted in the kernel, one relay carries the rest"
    ),
    "userland-proxy-path": _said("is not needed: ports are diverted in the kernel"),
    "registry-mirrors": _kept("image.registry_mirrors", list),
    "insecure-registries": _kept("image.insecure_registries", list),
    "allow-nondistributable-artifacts": _said(
        "was left out: such layers are pushed on as they are"
    ),
    "max-concurrent-downloads": _kept("image.max_concurrent_downloads", int),
    "max-concurrent-uploads": _kept("image.max_concurrent_uploads", int),
    "max-download-attempts": _kept("image.retries", int),
    "storage-driver": _said("was left out: image.snapshotter chooses by itself"),
    "storage-opts": _said("was left out: they are of Docker's storage drivers"),
    "log-driver": _log_driver,
    "log-opts": _log_options,
    "log-level": _level,
    "log-format": _log_format,
    "raw-logs": _said("was left out: see log.format"),
    "debug": _debug,
    "hosts": _hosts,
    "group": _said("was left out: the sockets' folder has the group of the service"),
    "live-restore": _default(True, "is as if true: containers outlive the engine's processes"),
    "shutdown-timeout": _said("is not needed: containers outlive the engine's processes"),
    "no-new-privileges": _default(False, f"{_EACH_CONTAINER} with --security-opt"),
    "seccomp-profile": _said(f"{_EACH_CONTAINER} with --security-opt seccomp=FILE"),
    "selinux-enabled": _default(False, "was left out: there is no support for SELinux"),
    "userns-remap": _default("", "was left out: user namespaces are not mapped for all containers"),
    "init": _default(False, f"{_EACH_CONTAINER} with --init"),
    "init-path": _said("is not needed: the engine has an init of its own"),
    "default-ulimits": _said(f"{_EACH_CONTAINER} with --ulimit"),
    "default-shm-size": _said(f"{_EACH_CONTAINER} with --shm-size"),
    "default-ipc-mode": _default("private", f"{_EACH_CONTAINER} with --ipc"),
    "default-cgroupns-mode": _default("private", f"{_EACH_CONTAINER} with --cgroupns"),
    "default-network-opts": _said("was left out: give options with network create -o"),
    "default-runtime": _default("runc", "was left out: there is one runtime"),
    "runtimes": _said("was left out: there is one runtime"),
    "cgroup-parent": _said("was left out: cgroups are named after the instance"),
    "exec-opts": _said("was left out: cgroups are made by the engine itself"),
    "exec-root": _said("was left out: the key run is the folder of sockets"),
    "pidfile": _said(_SUPERVISED),
    "containerd": _said(_SUPERVISED),
    "containerd-namespace": _said(_SUPERVISED),
    "containerd-plugins-namespace": _said(_SUPERVISED),
    "metrics-addr": _kept("server.metrics", str),
    "labels": _said("was left out: an engine has no labels"),
    "experimental": _said("was left out: it means nothing here"),
    "features": _said("was left out: they are of Docker"),
    "builder": _said("was left out: it is of Docker's builder"),
    "proxies": _said("was left out: give the services the variables HTTPS_PROXY and NO_PROXY"),
    "http-proxy": _said("was left out: give the services the variable HTTP_PROXY"),
    "https-proxy": _said("was left out: give the services the variable HTTPS_PROXY"),
    "no-proxy": _said("was left out: give the services the variable NO_PROXY"),
    "authorization-plugins": _said("was left out: there are no such plugins"),
    "api-cors-header": _said("was left out: there is no HTTP API"),
    "tls": _said(_TLS),
    "tlsverify": _said(_TLS),
    "tlscacert": _said(_TLS),
    "tlscert": _said(_TLS),
    "tlskey": _said(_TLS),
    "cluster-store": _said(_SWARM),
    "cluster-store-opts": _said(_SWARM),
    "cluster-advertise": _said(_SWARM),
    "swarm-default-advertise-addr": _said(_SWARM),
    "node-generic-resources": _said(_SWARM),
    "cpu-rt-period": _said(_EACH_CONTAINER),
    "cpu-rt-runtime": _said(_EACH_CONTAINER),
}


def convert(document: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the configuration, and a line about each key of the document.

    Raises:
        InvalidConfig: A key has a value that Docker does not take either.
    """
    target, lines = _Target(), {}
    for key in sorted(document, key=lambda each: list(RULES).index(each) if each in RULES else -1):
        rule = RULES.get(key, _said("is unknown, and was left out"))
        try:
            lines[key] = f"{key} {rule(target, document[key])}"
        except _Wrong as error:
            raise _invalid(key, f"{key} {error}") from None
    return target.values, [lines[key] for key in document]


def text_of(values: Mapping[str, Any]) -> str:
    """Return a configuration as TOML."""
    top = {key: value for key, value in values.items() if not isinstance(value, dict)}
    sections = {key: value for key, value in values.items() if isinstance(value, dict)}
    parts = ["".join(f"{key} = {_toml(value)}\n" for key, value in top.items())]
    for name, section in sections.items():
        lines = "".join(f"{key} = {_toml(value)}\n" for key, value in section.items())
        parts.append(f"[{name}]\n{lines}")
    return "\n".join(part for part in parts if part)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if bare else json.dumps(name, ensure_ascii=False)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{_key(key)} = {_toml(each)}" for key, each in value.items()) + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    # A text, number or truth value of JSON is one of TOML.
    return json.dumps(value, ensure_ascii=False)


def write(source: Path, target: Path) -> list[str]:
    """Write the configuration that Docker's stands for; return a line about each of its keys.

    Args:
        source: Docker's file.
        target: This engine's, which must not exist.

    Raises:
        InvalidConfig: The source cannot be read, or the target is there.
    """
    try:
        data = source.read_bytes()
        document = strict_json.loads(data) if len(data) <= _LARGEST else None
    except (OSError, ValueError) as error:
        raise _invalid(str(source), f"{source} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise _invalid(str(source), f"{source} is not an object of JSON, or too large")
    values, lines = convert(document)
    text = f"# Made from {source} by scowd --import-daemon-json.\n{text_of(values)}"
    new = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        load(new, {})  # it is one, or nothing is written
        os.link(new, target)
    except FileExistsError:
        raise _invalid(str(target), f"{target} is there: name another file with --config") from None
    except OSError as error:
        raise _invalid(str(target), f"{target} cannot be written: {error.strerror}") from error
    finally:
        new.unlink(missing_ok=True)
    return lines


def _invalid(which: str, message: str) -> InvalidConfig:
    return InvalidConfig(message, what="configuration", which=which)
