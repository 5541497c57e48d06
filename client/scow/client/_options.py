"""What a container can be created with, and how it becomes the contract's ContainerConfig."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from scow.api.container.v1.container_pb2 import (
    ContainerConfig,
    Device,
    LogConfig,
    MountSpec,
    NetworkAttachment,
    Ulimit,
)
from scow.api.container.v1.secret_pb2 import SecretMount
from scow.api.container.v1.supervision_pb2 import Dependency, HealthCheck, Probe, RestartPolicy
from scow.api.types.v1.types_pb2 import Filter, Platform, PortMapping
from scow.client import mount_specs, specs, supervision_specs
from scow.contract.errors import InvalidArgument, InvalidMount, InvalidPort, ScowError

Filters = Mapping[str, "str | Iterable[str]"]


class ContainerOptions(TypedDict, total=False):
    """How to run a container; what is left out has the image's or the engine's default.

    Attributes:
        entrypoint: Replaces the image's entry point; an empty sequence removes it.
        env: Variables, on top of the image's.
        working_dir: Absolute path.
        user: name|uid[:group|gid].
        group_add: Further groups.
        hostname: Name of the host in the container.
        domainname: Its domain.
        labels: Free keys and values.
        tty: Give it a terminal.
        stdin_open: Keep its standard input open when nobody is attached.
        stdin_once: Close it when the first attached client's input ends.
        stop_signal: Name or number.
        stop_timeout: Seconds from the stop signal to SIGKILL.
        mounts: Messages, or the texts of Docker's `-v`, "data:/var/lib/data:ro".
        volumes_from: Containers whose volumes and binds it has too, "NAME" or "NAME:ro".
        tmpfs: Options of mount(8) by target, {"/tmp": "size=64m"}.
        network: "bridge", "host", "none", "container:NAME" or a network's name.
        networks: Several, in this order: messages, or the texts of Docker's `--network`, "name=front,alias=web".
        ports: Messages, or the texts of Docker's `-p`, "8080:80".
        publish_all: Publish every exposed port to a free one.
        exposed_ports: "80/tcp".
        dns: Addresses of name servers.
        dns_search: Search domains.
        dns_options: As in resolv.conf(5).
        links: Other containers, "NAME:ALIAS", as Docker's `--link` has them.
        extra_hosts: Addresses by name; "host-gateway" means the host.
        mac_address: Of its link.
        ipv4_address: Of its link.
        network_aliases: Further names in the network.
        memory: Bytes.
        memory_swap: Bytes of memory and swap together; -1 means unlimited swap.
        memory_reservation: Bytes.
        cpus: Processors, 1.5.
        cpu_shares: Relative weight; 1024 is the default.
        cpuset_cpus: Processors as cpuset(7) lists them.
        pids_limit: Processes and threads; -1 means unlimited.
        memory_high: Bytes above which it is slowed down while its memory is reclaimed; cgroup v2 alone.
        memory_swappiness: 0 to 100; cgroup v1 alone.
        oom_kill_disable: Let it wait for memory instead of being killed; cgroup v1 alone.
        cpu_period: Microseconds of a period, 1000 to 1000000; not with `cpus`.
        cpu_quota: Microseconds of processor time in each period; -1 means unlimited.
        cpu_rt_period: Microseconds of a period of real-time scheduling; cgroup v1 alone.
        cpu_rt_runtime: Microseconds of it that real-time processes may use.
        cpuset_mems: Memory nodes as cpuset(7) lists them.
        blkio_weight: Share of block IO, 10 to 1000.
        blkio_weight_devices: The same by device, {"/dev/sda": 200}.
        device_read_bps: Bytes a second by device.
        device_write_bps: Bytes a second by device.
        device_read_iops: Operations a second by device.
        device_write_iops: Operations a second by device.
        hugepages: Bytes of huge pages by their size, {"2MB": 64 << 20}.
        cgroup_conf: Further files of cgroup v2 and their content, {"memory.high": "64M"}.
        device_cgroup_rules: Rules about devices, "c 10:229 rwm".
        cgroup_parent: Path of the cgroup above its own, or a systemd slice, "web.slice".
        cap_add: Capabilities, "NET_ADMIN".
        cap_drop: Capabilities, "ALL".
        privileged: All capabilities, all devices, no seccomp.
        read_only: The root file system cannot be written.
        read_only_tmpfs: With it, a tmpfs at /run, /tmp and /var/tmp.
        security_opts: "no-new-privileges", "seccomp=unconfined", "seccomp=<JSON>".
        ulimits: Limits by name: one number, or soft and hard.
        init: Run a small init as process 1.
        auto_remove: Remove it when it ends.
        devices: Host paths, "host path:container path:rwm", or devices of CDI, "vendor.com/class=name".
        sysctls: Values by name.
        shm_size: Bytes of /dev/shm.
        log_driver: "json-file", "local", "cri", "journald", "syslog", "fluentd" or "none".
        log_options: The driver's, as `docker run --log-opt` has them.
        secrets: Names, or "name,target=PLACE,uid=1,gid=1,mode=0400": files at /run/secrets.
        oom_score_adj: -1000..1000.
        pid_mode: "host" or "container:NAME".
        ipc_mode: "private", "shareable", "host" or "container:NAME".
        uts_mode: "host".
        cgroupns_mode: "private" or "host".
        storage_opts: {"size": "10g"}: what its writable layer may take, where the file system can enforce that.
        userns_mode: "host", "auto", "private:FIRST:SIZE" (ids of the host) or "container:NAME".
        time_offsets: Nanoseconds by clock, {"boottime": 3600 * 10**9}.
        umask: Permission bits.
        platform: "linux/amd64".
        restart_policy: A message, or the text of Docker's `--restart`, "on-failure:3".
        depends_on: Containers that its start waits for: messages, or texts, "db" or "setup:completed".
        health_check: A message that says what is checked, when, and what is done about it.
        probes: Connections that are checked: messages, or texts, "http:8080/ready", "readiness=tcp:5432".
    """

    entrypoint: Sequence[str]
    env: Mapping[str, str]
    working_dir: str
    user: str
    group_add: Iterable[str]
    hostname: str
    domainname: str
    labels: Mapping[str, str]
    tty: bool
    stdin_open: bool
    stdin_once: bool
    stop_signal: str
    stop_timeout: int
    mounts: Iterable[MountSpec | str]
    volumes_from: Iterable[str]
    tmpfs: Mapping[str, str]
    network: str
    networks: Iterable[NetworkAttachment | str]
    ports: Iterable[PortMapping | str]
    publish_all: bool
    exposed_ports: Iterable[str]
    dns: Iterable[str]
    dns_search: Iterable[str]
    dns_options: Iterable[str]
    links: Iterable[str]
    extra_hosts: Mapping[str, str]
    mac_address: str
    ipv4_address: str
    network_aliases: Iterable[str]
    memory: int
    memory_swap: int
    memory_reservation: int
    cpus: float
    cpu_shares: int
    cpuset_cpus: str
    pids_limit: int
    memory_high: int
    memory_swappiness: int
    oom_kill_disable: bool
    cpu_period: int
    cpu_quota: int
    cpu_rt_period: int
    cpu_rt_runtime: int
    cpuset_mems: str
    blkio_weight: int
    blkio_weight_devices: Mapping[str, int]
    device_read_bps: Mapping[str, int]
    device_write_bps: Mapping[str, int]
    device_read_iops: Mapping[str, int]
    device_write_iops: Mapping[str, int]
    hugepages: Mapping[str, int]
    cgroup_conf: Mapping[str, str]
    device_cgroup_rules: Iterable[str]
    cgroup_parent: str
    cap_add: Iterable[str]
    cap_drop: Iterable[str]
    privileged: bool
    read_only: bool
    read_only_tmpfs: bool
    security_opts: Iterable[str]
    ulimits: Mapping[str, int | tuple[int, int]]
    init: bool
    auto_remove: bool
    devices: Iterable[str]
    sysctls: Mapping[str, str]
    shm_size: int
    log_driver: str
    log_options: Mapping[str, str]
    secrets: Iterable[SecretMount | str]
    oom_score_adj: int
    pid_mode: str
    ipc_mode: str
    uts_mode: str
    cgroupns_mode: str
    storage_opts: Mapping[str, str]
    userns_mode: str
    time_offsets: Mapping[str, int]
    umask: int
    platform: str
    restart_policy: RestartPolicy | str
    depends_on: Iterable[Dependency | str]
    health_check: HealthCheck
    probes: Iterable[Probe | str]


# Options that are fields of ContainerConfig as they are.
_PLAIN = frozenset(
    [
        "working_dir",
        "user",
        "hostname",
        "domainname",
        "tty",
        "stdin_open",
        "stdin_once",
        "stop_signal",
        "stop_timeout",
        "network",
        "publish_all",
        "mac_address",
        "ipv4_address",
        "privileged",
        "read_only",
        "read_only_tmpfs",
        "init",
        "auto_remove",
        "shm_size",
        "oom_score_adj",
        "pid_mode",
        "ipc_mode",
        "uts_mode",
        "cgroupns_mode",
        "cgroup_parent",
        "userns_mode",
        "storage_opts",
        "time_offsets",
        "umask",
        "group_add",
        "labels",
        "exposed_ports",
        "dns",
        "dns_search",
        "dns_options",
        "network_aliases",
        "links",
        "volumes_from",
        "cap_add",
        "cap_drop",
        "security_opts",
        "sysctls",
    ]
)
_RESOURCES = frozenset(
    [
        "memory",
        "memory_swap",
        "memory_reservation",
        "cpu_shares",
        "cpuset_cpus",
        "pids_limit",
        "memory_high",
        "memory_swappiness",
        "oom_kill_disable",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpuset_mems",
        "blkio_weight",
    ]
)
# Options that are limits by device, and fields of Resources.
_DEVICE_LIMITS = (
    "blkio_weight_devices",
    "device_read_bps",
    "device_write_bps",
    "device_read_iops",
    "device_write_iops",
)


def build_config(
    image: str, command: Sequence[str], **options: Unpack[ContainerOptions]
) -> ContainerConfig:
    """Return the configuration of a container.

    Raises:
        InvalidPort, InvalidMount, InvalidArgument: A text that has not the form it must have.
        TypeError: An unknown option.
    """
    if isinstance(command, str):
        raise TypeError("command must be a sequence of arguments, not a single string")
    given = dict(options)
    plain = {key: given.pop(key) for key in _PLAIN & given.keys()}
    config = ContainerConfig(image=image, command=command, **plain)  # type: ignore[arg-type]
    for key in _RESOURCES & given.keys():
        setattr(config.resources, key, given.pop(key))
    for key in _DEVICE_LIMITS:
        for path, value in given.pop(key, {}).items():  # type: ignore[attr-defined]
            getattr(config.resources, key).add(path=path, value=value)
    for key in list(given):
        build = _BUILDERS.get(key)
        if build is None:
            raise TypeError(f"unknown container option {key!r}")
        build(config, given[key])
    return config


def _set_entrypoint(config: ContainerConfig, entrypoint: Sequence[str]) -> None:
    if isinstance(entrypoint, str):
        raise TypeError("entrypoint must be a sequence of arguments, not a single string")
    config.entrypoint.extend(entrypoint)
    config.override_entrypoint = True


def _set_env(config: ContainerConfig, env: Mapping[str, str]) -> None:
    config.env.extend(f"{key}={value}" for key, value in env.items())


def _set_mounts(config: ContainerConfig, mounts: Iterable[MountSpec | str]) -> None:
    config.mounts.extend(map(mount_of, mounts))


def mount_of(mount: MountSpec | str) -> MountSpec:
    """Return the message of a mount, or of the text of `-v`.

    Raises:
        InvalidMount: The text has not the form it must have.
    """
    if isinstance(mount, str):
        return MountSpec(**_parsed(mount_specs.parse_volume, mount, InvalidMount, "mount"))
    return mount


def _set_tmpfs(config: ContainerConfig, tmpfs: Mapping[str, str]) -> None:
    for target, options in tmpfs.items():
        text = f"{target}:{options}"
        config.mounts.add(**_parsed(mount_specs.parse_tmpfs, text, InvalidMount, "mount"))


def _set_ports(config: ContainerConfig, ports: Iterable[PortMapping | str]) -> None:
    config.ports.extend(ports_of(ports))


def ports_of(ports: Iterable[PortMapping | str]) -> list[PortMapping]:
    """Return the messages of "8080:80", which may be several, and messages as they are.

    Raises:
        InvalidPort: No such form.
    """
    found = []
    for port in ports:
        if isinstance(port, str):
            parsed = _parsed(specs.parse_port, port, InvalidPort, "port")
            found += [PortMapping(**fields) for fields in parsed]
        else:
            found.append(port)
    return found


def _set_networks(config: ContainerConfig, networks: Iterable[NetworkAttachment | str]) -> None:
    config.networks.extend(map(attachment_of, networks))


def attachment_of(network: NetworkAttachment | str) -> NetworkAttachment:
    """Return the message of "name=front,alias=web" or of a name alone.

    Raises:
        InvalidArgument: No such form.
    """
    if not isinstance(network, str):
        return network
    return NetworkAttachment(**_parsed(specs.parse_network, network, InvalidArgument, "network"))


def _set_hosts(config: ContainerConfig, hosts: Mapping[str, str]) -> None:
    config.extra_hosts.extend(f"{name}:{address}" for name, address in hosts.items())


def _set_ulimits(config: ContainerConfig, ulimits: Mapping[str, int | tuple[int, int]]) -> None:
    for name, value in ulimits.items():
        soft, hard = (value, value) if isinstance(value, int) else value
        config.ulimits.append(Ulimit(name=name, soft=soft, hard=hard))


def _set_devices(config: ContainerConfig, devices: Iterable[str]) -> None:
    for text in devices:
        if specs.is_cdi(text):
            config.cdi_devices.append(text)
            continue
        fields = _parsed(specs.parse_device, text, InvalidArgument, "device")
        config.devices.append(Device(**fields))


def _set_cpus(config: ContainerConfig, cpus: float) -> None:
    config.resources.nano_cpus = round(cpus * 1_000_000_000)


def _set_hugepages(config: ContainerConfig, hugepages: Mapping[str, int]) -> None:
    config.resources.hugepages.update(hugepages)


def _set_cgroup_conf(config: ContainerConfig, files: Mapping[str, str]) -> None:
    config.resources.cgroup_conf.update(files)


def _set_device_rules(config: ContainerConfig, rules: Iterable[str]) -> None:
    config.resources.device_cgroup_rules.extend(rules)


def _set_log_driver(config: ContainerConfig, driver: str) -> None:
    config.log.driver = driver


def _set_secrets(config: ContainerConfig, given: Iterable[SecretMount | str]) -> None:
    for each in given:
        if isinstance(each, str):
            fields = _parsed(specs.parse_secret, each, InvalidArgument, "secret")
            each = SecretMount(**fields)
        config.secrets.append(each)


def _set_log_options(config: ContainerConfig, options: Mapping[str, str]) -> None:
    config.log.MergeFrom(LogConfig(options=options))


def _set_restart_policy(config: ContainerConfig, policy: RestartPolicy | str) -> None:
    if isinstance(policy, str):
        fields = _parsed(supervision_specs.parse_restart, policy, InvalidArgument, "restart policy")
        policy = RestartPolicy(**fields)
    config.restart_policy.CopyFrom(policy)


def _set_depends_on(config: ContainerConfig, depends_on: Iterable[Dependency | str]) -> None:
    for each in depends_on:
        if isinstance(each, str):
            fields = _parsed(
                supervision_specs.parse_dependency, each, InvalidArgument, "dependency"
            )
            each = Dependency(**fields)
        config.depends_on.append(each)


def _set_health_check(config: ContainerConfig, check: HealthCheck) -> None:
    config.health_check.MergeFrom(check)


def _set_probes(config: ContainerConfig, probes: Iterable[Probe | str]) -> None:
    for each in probes:
        if isinstance(each, str):
            fields = _parsed(supervision_specs.parse_probe, each, InvalidArgument, "probe")
            each = Probe(**fields)
        config.health_check.probes.append(each)


def _set_platform(config: ContainerConfig, platform: str) -> None:
    config.platform.CopyFrom(platform_of(platform))


_BUILDERS: dict[str, Callable[[ContainerConfig, Any], None]] = {
    "entrypoint": _set_entrypoint,
    "env": _set_env,
    "mounts": _set_mounts,
    "tmpfs": _set_tmpfs,
    "networks": _set_networks,
    "ports": _set_ports,
    "extra_hosts": _set_hosts,
    "ulimits": _set_ulimits,
    "devices": _set_devices,
    "cpus": _set_cpus,
    "hugepages": _set_hugepages,
    "cgroup_conf": _set_cgroup_conf,
    "device_cgroup_rules": _set_device_rules,
    "log_driver": _set_log_driver,
    "log_options": _set_log_options,
    "secrets": _set_secrets,
    "platform": _set_platform,
    "restart_policy": _set_restart_policy,
    "depends_on": _set_depends_on,
    "health_check": _set_health_check,
    "probes": _set_probes,
}


def platform_of(text: str) -> Platform:
    """Return the message of "linux/arm64/v8".

    Raises:
        InvalidArgument: No such form.
    """
    return Platform(**_parsed(specs.parse_platform, text, InvalidArgument, "platform"))


def filters_of(filters: Filters | None) -> list[Filter]:
    """Return the messages of {"label": ["a=b", "c"], "status": "exited"}."""
    return [
        Filter(key=key, values=[values] if isinstance(values, str) else values)
        for key, values in (filters or {}).items()
    ]


def _parsed(parse: Callable[[str], Any], text: str, error: type[ScowError], what: str) -> Any:
    try:
        return parse(text)
    except ValueError as reason:
        raise error(str(reason), what=what, which=text) from None
