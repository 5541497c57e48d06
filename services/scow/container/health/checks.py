"""What is checked of a container, and when: its own words over its image's, as Docker merges them."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import HealthCheck, Probe
from scow.api.image.v1.image_pb2 import ImageConfig
from scow.container.model import bounds
from scow.container.model.invalid import invalid
from scow.contract.errors import InvalidConfig

_SECOND = 10**9
_SHORTEST_NS = 10**6
_LONGEST_NS = 365 * 24 * 3600 * _SECOND
_TIMES = ("interval", "timeout", "start_period", "start_interval")
_TESTS = ("NONE", "CMD", "CMD-SHELL")
KINDS = ("liveness", "readiness", "startup")
PROTOCOLS = ("http", "tcp", "grpc")
ACTIONS = ("none", "restart", "stop", "kill")
_MOST_PROBES = 16
_TARGET_MAX = 1024
COMMAND = "command"
_SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True, slots=True)
class Times:
    """When rounds are, in nanoseconds, and how many failures count."""

    interval: int
    timeout: int
    start_period: int
    start_interval: int
    retries: int


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is checked.

    Attributes:
        name: "command" or the probe, "http:8080/ready".
        kind: One of KINDS.
        arguments: Of the command.
        probe: The probe, when it is no command.
    """

    name: str
    kind: str
    arguments: tuple[str, ...] = ()
    probe: Probe | None = None


def validate(check: HealthCheck) -> None:
    """Refuse a health check that means nothing.

    Raises:
        InvalidConfig: Says why.
    """
    if check.test and check.test[0] not in _TESTS:
        raise _invalid(f"has the test {check.test[0]!r}", f"use {', '.join(_TESTS)}")
    if check.test and check.test[0] != "NONE" and len(check.test) < 2:
        raise _invalid("has a test without a command", "name the command")
    bounds.check_texts("health_check", check.test)
    for name in _TIMES:
        value = getattr(check, name)
        if value and not _SHORTEST_NS <= value <= _LONGEST_NS:
            raise _invalid(f"has the {name} {value} ns", "use 1 ms to a year")
    if check.retries < 0:
        raise _invalid(f"has {check.retries} retries", "use 1 or more")
    if check.action and check.action not in ACTIONS:
        raise _invalid(f"has the action {check.action!r}", f"use {', '.join(ACTIONS)}")
    if len(check.probes) > _MOST_PROBES:
        raise _invalid(f"has {len(check.probes)} probes", f"use at most {_MOST_PROBES}")
    if len({(each.kind or KINDS[0], name_of(each)) for each in check.probes}) < len(check.probes):
        raise _invalid("has a probe twice", "name each once")
    for probe in check.probes:
        _validate_probe(probe)


def _validate_probe(probe: Probe) -> None:
    if probe.kind and probe.kind not in KINDS:
        raise _invalid(f"has a probe of the kind {probe.kind!r}", f"use {', '.join(KINDS)}")
    if probe.protocol not in PROTOCOLS:
        raise _invalid(f"has a probe by {probe.protocol!r}", f"use {', '.join(PROTOCOLS)}")
    if not 1 <= probe.port <= 65535:
        raise _invalid(f"has a probe of the port {probe.port}", "use 1 to 65535")
    if probe.address:
        try:
            ipaddress.ip_address(probe.address)
            if "%" in probe.address:  # a zone may be any text, and is an interface of the host's
                raise ValueError("it has a zone")
        except ValueError as error:
            raise _invalid(
                f"has the address {probe.address!r}", "use one of IPv4 or IPv6"
            ) from error
    target = probe.target
    printable = target.isascii() and all(" " < letter < "\x7f" for letter in target)
    if len(target) > _TARGET_MAX or not printable:
        raise _invalid("has a target that cannot be asked for", "use printable ASCII, %-encoded")
    if probe.protocol == "http" and target and not target.startswith("/"):
        raise _invalid(f"has the path {target!r}", "begin it with /")


def _invalid(problem: str, do: str) -> InvalidConfig:
    return invalid("health_check", problem, do)


def resolve(asked: HealthCheck | None, image: ImageConfig) -> HealthCheck | None:
    """Return what is checked of a container; None when nothing is.

    Args:
        asked: What its user said.
        image: What its image says; what the user left out is taken from there.
    """
    found = HealthCheck()
    if asked is not None:
        found.CopyFrom(asked)
        found.ClearField("shell")
    given = image.healthcheck if image.HasField("healthcheck") else None
    if given is not None:
        if not found.test and not found.probes:
            found.test[:] = given.test
        for name in (*_TIMES, "retries"):
            if not getattr(found, name):
                setattr(found, name, getattr(given, name))
    has_test = bool(found.test) and found.test[0] != "NONE"
    if asked is None and not has_test:
        return None
    if found.test and found.test[0] == "CMD-SHELL" and image.shell:
        found.shell[:] = image.shell
    return found if has_test or found.probes or found.test else None


def times_of(check: HealthCheck) -> Times:
    """Return when rounds are, with Docker's defaults."""
    return Times(
        interval=check.interval or 30 * _SECOND,
        timeout=check.timeout or 30 * _SECOND,
        start_period=check.start_period,
        start_interval=check.start_interval or 5 * _SECOND,
        retries=check.retries or 3,
    )


def checks_of(described: pb.Container) -> list[Check]:
    """Return what is checked of a container."""
    check = described.health_check
    found = []
    if (arguments := _arguments(check)) is not None:
        found.append(Check(COMMAND, KINDS[0], arguments))
    found += [Check(name_of(probe), probe.kind or KINDS[0], probe=probe) for probe in check.probes]
    return found


def _arguments(check: HealthCheck) -> tuple[str, ...] | None:
    kind, *rest = check.test or ("NONE",)
    if kind == "NONE":
        return None
    if kind == "CMD-SHELL":
        return (*(check.shell or _SHELL), *rest)
    return tuple(rest)


def name_of(probe: Probe) -> str:
    """Return a probe as people write it: "http:8080/ready", "tcp:[::1]:5432", "grpc:50051/service"."""
    address = f"[{probe.address}]" if ":" in probe.address else probe.address
    host = f"{address}:" if address else ""
    slash = "/" if probe.protocol == "grpc" and probe.target else ""
    return f"{probe.protocol}:{host}{probe.port}{slash}{probe.target}"
