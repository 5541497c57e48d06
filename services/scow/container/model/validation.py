"""What a container's configuration must be for Create to accept it; all that needs no other service."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.health import checks
from scow.container.logs import options
from scow.container.model import attachments, bounds, exposed_ports, restart_policy
from scow.container.model.invalid import invalid
from scow.container.spec import (
    capabilities,
    cgroup_parent,
    kernel_limits,
    limits,
    namespaces,
    seccomp,
    security_options,
    signal_names,
    storage,
)
from scow.container.spec import devices as devicelist
from scow.contract.errors import ScowError

_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?")
_MAX_NAME = 64


def check(config: ContainerConfig) -> None:
    """Refuse a configuration that contradicts itself.

    Raises:
        InvalidConfig: The field, what is wrong, and what to do.
        KernelUnsupported: This machine lacks something that it asks for.
    """
    for rule in _RULES:
        rule(config)


def problems(config: ContainerConfig) -> Iterator[ScowError]:
    """Yield all that `check` would refuse; of what one rule looks at, the first."""
    for rule in _RULES:
        try:
            rule(config)
        except ScowError as error:
            yield error


def _check_image(config: ContainerConfig) -> None:
    if not config.image:
        raise invalid("image", "is empty", "name an image")


def _check_security(config: ContainerConfig) -> None:
    asked = security_options.parse(config.security_opts)
    security_options.apparmor_profile(asked, config.privileged)
    if asked.seccomp not in ("", "unconfined"):
        seccomp.check(asked.seccomp)


def _check_clocks(config: ContainerConfig) -> None:
    for clock in config.time_offsets:
        if clock not in ("monotonic", "boottime"):
            raise invalid("time_offsets", f"has the clock {clock!r}", "use monotonic or boottime")


def _check_process(config: ContainerConfig) -> None:
    if config.stop_signal:
        signal_names.parse(config.stop_signal, "stop_signal")
    if config.stop_timeout < -1:
        raise invalid("stop_timeout", f"is {config.stop_timeout}", "use -1 to wait for ever")
    bounds.check_path("working_dir", config.working_dir)
    bounds.check_user("user", config.user)
    if config.umask > 0o777:
        raise invalid("umask", f"is {config.umask:o}", "use 0 to 777")
    if not -1000 <= config.oom_score_adj <= 1000:
        raise invalid("oom_score_adj", f"is {config.oom_score_adj}", "use -1000 to 1000")
    if config.shm_size < 0:
        raise invalid("shm_size", "is negative", "use bytes; 0 means 64 MiB")
    bounds.check_texts("command", config.command)
    bounds.check_texts("entrypoint", config.entrypoint)
    bounds.check_env("env", config.env)
    bounds.check_labels("labels", config.labels)


def _check_names(config: ContainerConfig) -> None:
    for field in ("hostname", "domainname"):
        value = getattr(config, field)
        if value and (len(value) > _MAX_NAME or not _HOSTNAME.fullmatch(value)):
            raise invalid(field, f"is {value!r}", "use up to 64 letters, digits, . and -")


def _check_network(config: ContainerConfig) -> None:
    attachments.check(config)
    mode = namespaces.network(config)
    if namespaces.uts(config).kind == "host" and (config.hostname or config.domainname):
        raise invalid("hostname", "is set although uts_mode is host", "leave one of them out")
    if mode.kind != "container":
        return
    for field in (
        *("hostname", "ports", "publish_all", "exposed_ports", "dns", "dns_search", "dns_options"),
        *("extra_hosts", "mac_address", "ipv4_address", "network_aliases"),
    ):
        if getattr(config, field):
            raise invalid(
                field,
                "is set although the network is another container's",
                "set it at that container instead",
            )


def check_ports(ports: Iterable[PortMapping]) -> None:
    """Check ports that are to be published.

    Raises:
        InvalidArgument: One cannot be meant.
    """
    for port in ports:
        last = port.container_port + max(port.count, 1) - 1
        if not 1 <= port.container_port <= last <= exposed_ports.LAST:
            raise invalid(
                "ports", f"has the ports {port.container_port} to {last}", "use 1 to 65535"
            )
        if port.protocol not in ("", *exposed_ports.PROTOCOLS):
            raise invalid("ports", f"has the protocol {port.protocol!r}", "use tcp, udp or sctp")


def _check_exposed(config: ContainerConfig) -> None:
    for text in config.exposed_ports:
        ports = exposed_ports.parse(text)
        if ports is None:
            raise invalid("exposed_ports", f"has {text!r}", 'use "80/tcp" or "8000-8010/udp"')


# In the order in which they refuse.
_RULES: tuple[Callable[[ContainerConfig], object], ...] = (
    _check_image,
    bounds.check_size,
    _check_process,
    _check_names,
    _check_network,
    lambda config: check_ports(config.ports),
    _check_exposed,
    lambda config: limits.check(config.resources),
    lambda config: kernel_limits.check(config.resources),
    storage.size,
    lambda config: cgroup_parent.resolve(config.cgroup_parent, ""),
    lambda config: limits.rlimits_of(config.ulimits),
    lambda config: devicelist.check(config.devices),
    lambda config: capabilities.choose(config.cap_add, config.cap_drop, config.privileged),
    _check_security,
    lambda config: options.parse(config.log),
    lambda config: restart_policy.check(config.restart_policy, auto_remove=config.auto_remove),
    lambda config: checks.validate(config.health_check),
    namespaces.pid,
    namespaces.ipc,
    namespaces.uts,
    namespaces.cgroup,
    namespaces.user,
    _check_clocks,
)
