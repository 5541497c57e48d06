"""From the options of `run` and `create` to the contract's ContainerConfig."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from scow.api.container.v1.container_pb2 import (
    ContainerConfig,
    Device,
    DeviceLimit,
    LogConfig,
    MountSpec,
    NetworkAttachment,
    Resources,
    Ulimit,
)
from scow.api.container.v1.secret_pb2 import SecretMount
from scow.api.container.v1.supervision_pb2 import Dependency, HealthCheck, Probe, RestartPolicy
from scow.api.types.v1.types_pb2 import Platform, PortMapping
from scow.cli.flags.parser import Options, UsageError
from scow.cli.io import files
from scow.client import specs
from scow.contract.paths import shortest

# Field of ContainerConfig: attribute of the options that it has the value of.
_SAME = {
    "working_dir": "workdir",
    "user": "user",
    "group_add": "group_add",
    "hostname": "hostname",
    "domainname": "domainname",
    "tty": "tty",
    "stdin_open": "interactive",
    "stop_signal": "stop_signal",
    "publish_all": "publish_all",
    "dns": "dns",
    "dns_search": "dns_search",
    "extra_hosts": "add_host",
    "links": "link",
    "cap_add": "cap_add",
    "cap_drop": "cap_drop",
    "privileged": "privileged",
    "read_only": "read_only",
    "read_only_tmpfs": "read_only_tmpfs",
    "volumes_from": "volumes_from",
    "init": "init",
    "auto_remove": "rm",
    "shm_size": "shm_size",
    "oom_score_adj": "oom_score_adj",
    "pid_mode": "pid",
    "ipc_mode": "ipc",
    "uts_mode": "uts",
    "cgroupns_mode": "cgroupns",
    "cgroup_parent": "cgroup_parent",
    "userns_mode": "userns",
}
# Fields of Resources that have the value of the flag of the same name.
_LIMITS = (
    "memory",
    "memory_swap",
    "memory_reservation",
    "memory_high",
    "oom_kill_disable",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpuset_cpus",
    "cpuset_mems",
    "pids_limit",
    "blkio_weight",
)


def build(options: Options) -> ContainerConfig:
    """Return the configuration that the options of `run` or `create` describe.

    Raises:
        UsageError: Options contradict each other, a number is too large, or a file cannot be read.
    """
    with in_range():
        return _build(options)


@contextmanager
def in_range() -> Iterator[None]:
    """Refuse numbers for which a field of the contract has no room.

    Raises:
        UsageError: There is one.
    """
    try:
        yield
    except ValueError as error:
        raise UsageError(f"invalid argument: {str(error).lower()}") from None


def _build(options: Options) -> ContainerConfig:
    image, *command = options.args
    config = ContainerConfig(
        image=image,
        command=command,
        env=files.variables(options.env_file, options.env),
        labels=files.labels(options.label_file, options.label),
        stdin_once=options.interactive and not getattr(options, "detach", False),
        dns_options=[*options.dns_option, *options.dns_opt],
        mounts=_mounts(options),
        ports=_ports(options),
        exposed_ports=[port for ports in options.expose for port in ports],
        resources=_resources(options),
        ulimits=[Ulimit(**limit) for limit in options.ulimit],
        devices=[Device(**device) for device in options.device if "cdi" not in device],
        cdi_devices=[
            *(device["cdi"] for device in options.device if "cdi" in device),
            *(name for names in options.gpus for name in names),
        ],
        sysctls=dict(options.sysctl),
        time_offsets=dict(options.time_offset),
        storage_opts=dict(options.storage_opt),
        security_opts=[opt for opt in map(_security_opt, options.security_opt) if opt],
        **{field: getattr(options, attribute) for field, attribute in _SAME.items()},
    )
    _add_networks(config, options)
    _add_supervision(config, options)
    _add_optional(config, options)
    return config


def _ports(options: Options) -> list[PortMapping]:
    """Return what is published, each with who may use it."""
    mappings = [PortMapping(**port) for ports in options.publish for port in ports]
    allow_sources(mappings, options.publish_allow)
    return mappings


def allow_sources(mappings: list[PortMapping], allowed: list[tuple[int, str, list[str]]]) -> None:
    """Set who may use published ports.

    Raises:
        UsageError: A port is named that is not published.
    """
    for port, protocol, blocks in allowed:
        named = [
            mapping
            for mapping in mappings
            if not port
            or (
                mapping.protocol == protocol
                and mapping.container_port <= port < mapping.container_port + mapping.count
            )
        ]
        if not named:
            which = f"port {port}/{protocol}" if port else "a port"
            raise UsageError(f"--publish-allow: {which} is not published with -p")
        for mapping in named:
            mapping.allow.extend(blocks)


def _add_networks(config: ContainerConfig, options: Options) -> None:
    """Set the networks; what flags say that name none is said of the first, as in Docker.

    Raises:
        UsageError: It is said twice.
    """
    given = [NetworkAttachment(**each) for each in (*options.network, *options.net)]
    first = given[0] if given else NetworkAttachment()
    for field, flag, value in (
        ("aliases", "network-alias", [*options.network_alias, *options.net_alias]),
        ("ipv4_address", "ip", options.ip),
        ("ipv6_address", "ip6", options.ip6),
        ("link_local_ips", "link-local-ip", options.link_local_ip),
        ("mac_address", "mac-address", options.mac_address),
    ):
        if not value:
            continue
        if getattr(first, field):
            raise UsageError(
                f"conflicting options: cannot specify both --{flag} and per-network {flag}"
            )
        if isinstance(value, list):
            getattr(first, field).extend(value)
        else:
            setattr(first, field, value)
    config.network = first.network
    plain = NetworkAttachment(network=first.network)
    if len(given) > 1 or first != plain:
        config.networks.extend(given or [first])


def _add_supervision(config: ContainerConfig, options: Options) -> None:
    """Set what is done about its end.

    Raises:
        UsageError: It is to be removed, and to be started again.
    """
    policy = RestartPolicy(**options.restart)
    if options.rm and policy.name not in ("", "no"):
        raise UsageError("conflicting options: cannot specify both --restart and --rm")
    policy.delay, policy.delay_max = options.restart_delay, options.restart_delay_max
    policy.reset_after = options.restart_reset
    if "restart-jitter" in options.given:
        policy.jitter = options.restart_jitter
    if policy != RestartPolicy(name="no"):
        config.restart_policy.CopyFrom(policy)
    config.depends_on.extend(Dependency(**each) for each in options.depends_on)
    _add_health(config, options)


def _add_health(config: ContainerConfig, options: Options) -> None:
    """Set what is checked.

    Raises:
        UsageError: It is turned off and described.
    """
    check = HealthCheck(
        test=["CMD-SHELL", options.health_cmd] if options.health_cmd else [],
        probes=[Probe(**each) for each in options.probe],
        interval=options.health_interval,
        timeout=options.health_timeout,
        start_period=options.health_start_period,
        start_interval=options.health_start_interval,
        retries=options.health_retries,
    )
    if options.health_retries < 0:
        raise UsageError("--health-retries cannot be negative")
    if options.no_healthcheck:
        if check != HealthCheck():
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        check.test.append("NONE")
    if options.health_action != "none":
        check.action = options.health_action
    if check != HealthCheck():
        config.health_check.CopyFrom(check)


def _add_optional(config: ContainerConfig, options: Options) -> None:
    """Set what differs between absent and empty."""
    if "entrypoint" in options.given:
        config.override_entrypoint = True
        config.entrypoint.extend([options.entrypoint] if options.entrypoint else [])
    if "stop-timeout" in options.given:
        config.stop_timeout = options.stop_timeout
    if options.log_driver or options.log_opt:
        config.log.CopyFrom(LogConfig(driver=options.log_driver, options=dict(options.log_opt)))
    config.secrets.extend(SecretMount(**fields) for fields in options.secret)
    if options.platform:
        config.platform.CopyFrom(Platform(**specs.parse_platform(options.platform)))


def _mounts(options: Options) -> list[MountSpec]:
    """Return all mounts. As with Docker the same text again counts once, and `-v PATH` yields to what else is there."""
    fields = [*_unique(options.volume), *options.mount, *_unique(options.tmpfs)]
    named = {shortest(each["target"]) for each in fields if not _is_unnamed(each)}
    mounts = [
        MountSpec(**each)
        for each in fields
        if not (_is_unnamed(each) and shortest(each["target"]) in named)
    ]
    for mount in mounts:
        if mount.type == "volume" and not mount.volume_driver:
            mount.volume_driver = options.volume_driver
    return mounts


def _unique(given: Sequence[dict[str, object]]) -> list[dict[str, object]]:
    return [each for number, each in enumerate(given) if each not in given[:number]]


def _is_unnamed(fields: dict[str, object]) -> bool:
    """Tell whether a mount is that of `-v PATH`: `--mount` says more."""
    return fields.keys() == {"type", "source", "target"} and not fields["source"]


def _resources(options: Options) -> Resources:
    limits = Resources(
        **{field: getattr(options, field) for field in _LIMITS},
        nano_cpus=options.cpus,
        hugepages=dict(options.hugepages),
        cgroup_conf=dict(options.cgroup_conf),
        device_cgroup_rules=options.device_cgroup_rule,
    )
    if options.memory_swappiness != -1:
        limits.memory_swappiness = options.memory_swappiness
    for field, given in (
        ("blkio_weight_devices", options.blkio_weight_device),
        ("device_read_bps", options.device_read_bps),
        ("device_write_bps", options.device_write_bps),
        ("device_read_iops", options.device_read_iops),
        ("device_write_iops", options.device_write_iops),
    ):
        # 0 is no limit, in Docker too.
        getattr(limits, field).extend(DeviceLimit(**each) for each in given if each["value"])
    return limits


def _security_opt(text: str) -> str:
    """Return an option in the contract's form, or nothing for one that says the default.

    A seccomp profile is read here, where its file is.
    """
    key, separator, value = text.partition("=")
    if not separator:
        key, separator, value = text.partition(":")
    if key == "no-new-privileges" and value in ("", "true"):
        return "no-new-privileges"
    if key == "no-new-privileges" and value == "false":
        return ""  # the default
    if not separator or not value:
        raise UsageError(f'invalid --security-opt: "{text}"')
    if key == "seccomp" and value != "unconfined":
        return f"seccomp={_seccomp_profile(value)}"
    return f"{key}={value}"


def _seccomp_profile(path: str) -> str:
    import json

    try:
        with open(path, encoding="utf-8") as file:
            return json.dumps(json.load(file), separators=(",", ":"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"opening seccomp profile ({path}) failed: {reason}") from None
    except ValueError as error:
        raise UsageError(f"compacting json for seccomp profile ({path}) failed: {error}") from None
