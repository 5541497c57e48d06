"""How a container is asked for: Docker's Config, HostConfig and NetworkingConfig as the contract's ContainerConfig."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.types.v1.types_pb2 import Platform, PortMapping
from scow.client import specs
from scow.client.mount_specs import parse_tmpfs, parse_volume
from scow.contract.errors import InvalidArgument, InvalidMount, InvalidPort, Unimplemented
from scow.docker.fields import Fields
from scow.words import platforms

# Docker's words for networks that are no names.
_NETWORKS = {"default": "bridge"}
# Options that containers cannot have yet: told, not dropped in silence.
_ABSENT = (
    ("BlkioWeight", "--blkio-weight"),
    ("BlkioWeightDevice", "--blkio-weight-device"),
    ("BlkioDeviceReadBps", "--device-read-bps"),
    ("BlkioDeviceWriteBps", "--device-write-bps"),
    ("BlkioDeviceReadIOps", "--device-read-iops"),
    ("BlkioDeviceWriteIOps", "--device-write-iops"),
    ("CpuPeriod", "--cpu-period"),
    ("CpuQuota", "--cpu-quota"),
    ("CpuRealtimePeriod", "--cpu-rt-period"),
    ("CpuRealtimeRuntime", "--cpu-rt-runtime"),
    ("CpusetMems", "--cpuset-mems"),
    ("DeviceCgroupRules", "--device-cgroup-rule"),
    ("DeviceRequests", "--gpus"),
    ("OomKillDisable", "--oom-kill-disable"),
    ("CgroupParent", "--cgroup-parent"),
    ("StorageOpt", "--storage-opt"),
)


def configuration(body: Fields, *, platform: str = "") -> pb.ContainerConfig:
    """Return the configuration that the body of POST /containers/create asks for.

    Args:
        body: The body.
        platform: "linux/arm64", or empty.

    Raises:
        InvalidArgument, InvalidPort, InvalidMount: A value has not the form it must have.
        Unimplemented: An option that the engine does not have.
    """
    host = body.part("HostConfig")
    _refuse_absent(host)
    config = pb.ContainerConfig(
        image=body.text("Image"),
        command=body.words("Cmd"),
        env=[each for each in body.texts("Env") if "=" in each],
        working_dir=body.text("WorkingDir"),
        user=body.text("User"),
        hostname=body.text("Hostname"),
        domainname=body.text("Domainname"),
        labels=body.mapping("Labels"),
        tty=body.flag("Tty"),
        stdin_open=body.flag("OpenStdin"),
        stdin_once=body.flag("StdinOnce"),
        stop_signal=body.text("StopSignal"),
        exposed_ports=body.keys("ExposedPorts"),
        mac_address=body.text("MacAddress"),
        **_confinement(host),
        **_names(host),
    )
    if "Entrypoint" in body:
        config.override_entrypoint = True
        config.entrypoint.extend(word for word in body.words("Entrypoint") if word)
    if "StopTimeout" in body:
        config.stop_timeout = body.number("StopTimeout")
    if platform:
        config.platform.CopyFrom(platform_of(platform))
    config.resources.CopyFrom(_resources(host))
    config.log.CopyFrom(_log(host.part("LogConfig")))
    config.mounts.extend(_mounts(body, host))
    config.ports.extend(_ports(host))
    _set_networks(config, host, body.part("NetworkingConfig"))
    return config


def platform_of(text: str) -> Platform:
    """Return the platform of "linux/arm64".

    Raises:
        InvalidArgument: No such form.
    """
    try:
        found = platforms.parse(text)
    except ValueError as error:
        raise InvalidArgument(str(error), what="platform", which=text) from None
    return Platform(os=found.os, architecture=found.architecture, variant=found.variant)


def _refuse_absent(host: Fields) -> None:
    for key, flag in _ABSENT:
        if host.is_set(key):
            raise Unimplemented(f"{key} ({flag}) is not supported", what="option", which=key)
    policy = host.part("RestartPolicy").text("Name")
    if policy not in ("", "no"):
        raise Unimplemented(
            f"restart policy {policy!r} is not supported", what="option", which="RestartPolicy"
        )


def _confinement(host: Fields) -> dict[str, Any]:
    return {
        "group_add": host.texts("GroupAdd"),
        "cap_add": host.texts("CapAdd"),
        "cap_drop": host.texts("CapDrop"),
        "privileged": host.flag("Privileged"),
        "read_only": host.flag("ReadonlyRootfs"),
        "security_opts": host.texts("SecurityOpt"),
        "init": host.flag("Init"),
        "auto_remove": host.flag("AutoRemove"),
        "sysctls": host.mapping("Sysctls"),
        "shm_size": host.number("ShmSize"),
        "oom_score_adj": host.number("OomScoreAdj"),
        "pid_mode": host.text("PidMode"),
        "ipc_mode": host.text("IpcMode"),
        "uts_mode": host.text("UTSMode"),
        "cgroupns_mode": host.text("CgroupnsMode"),
        "ulimits": [
            pb.Ulimit(name=limit.text("Name"), soft=limit.number("Soft"), hard=limit.number("Hard"))
            for limit in host.objects("Ulimits")
        ],
        "devices": [
            pb.Device(
                host_path=device.text("PathOnHost"),
                container_path=device.text("PathInContainer") or device.text("PathOnHost"),
                permissions=device.text("CgroupPermissions") or "rwm",
            )
            for device in host.objects("Devices")
        ],
    }


def _names(host: Fields) -> dict[str, Any]:
    return {
        "publish_all": host.flag("PublishAllPorts"),
        "dns": host.texts("Dns"),
        "dns_search": host.texts("DnsSearch"),
        "dns_options": host.texts("DnsOptions"),
        "extra_hosts": host.texts("ExtraHosts"),
        "links": host.texts("Links"),
        "volumes_from": host.texts("VolumesFrom"),
    }


def _resources(host: Fields) -> pb.Resources:
    return pb.Resources(
        memory=host.number("Memory"),
        memory_swap=host.number("MemorySwap"),
        memory_reservation=host.number("MemoryReservation"),
        nano_cpus=host.number("NanoCpus"),
        cpu_shares=host.number("CpuShares"),
        cpuset_cpus=host.text("CpusetCpus"),
        pids_limit=host.number("PidsLimit"),
    )


def _log(log: Fields) -> pb.LogConfig:
    return pb.LogConfig(driver=log.text("Type"), options=log.mapping("Config"))


def _mounts(body: Fields, host: Fields) -> Iterator[pb.MountSpec]:
    taken = set()
    for mount in [*map(_bind, host.texts("Binds")), *map(_mount, host.objects("Mounts"))]:
        taken.add(mount.target)
        yield mount
    for target, options in host.mapping("Tmpfs").items():
        yield _parsed(parse_tmpfs, f"{target}:{options}" if options else target)
    for target in body.keys("Volumes"):
        if target not in taken:
            yield _bind(target)


def _bind(text: str) -> pb.MountSpec:
    return _parsed(parse_volume, text)


def _parsed(parse: Callable[[str], dict[str, Any]], text: str) -> pb.MountSpec:
    try:
        return pb.MountSpec(**parse(text))
    except ValueError as error:
        raise InvalidMount(str(error), what="mount", which=text) from None


def _mount(given: Fields) -> pb.MountSpec:
    kind = given.text("Type")
    mount = pb.MountSpec(
        type=kind,
        source=given.text("Source"),
        target=given.text("Target"),
        read_only=given.flag("ReadOnly"),
    )
    if kind == "bind":
        _set_bind_options(mount, given.part("BindOptions"))
    elif kind == "volume":
        _set_volume_options(mount, given.part("VolumeOptions"))
    elif kind == "tmpfs":
        options = given.part("TmpfsOptions")
        mount.tmpfs_size, mount.tmpfs_mode = options.number("SizeBytes"), options.number("Mode")
    elif kind == "image":
        mount.subpath = given.part("ImageOptions").text("Subpath")
    else:
        raise InvalidArgument(f"mount type unknown: {kind!r}", what="mount", which=mount.target)
    return mount


def _set_bind_options(mount: pb.MountSpec, options: Fields) -> None:
    mount.propagation = options.text("Propagation")
    mount.create_source = options.flag("CreateMountpoint")
    for key, recursion in (
        ("NonRecursive", "disabled"),
        ("ReadOnlyNonRecursive", "writable"),
        ("ReadOnlyForceRecursive", "readonly"),
    ):
        if options.flag(key):
            mount.recursion = recursion


def _set_volume_options(mount: pb.MountSpec, options: Fields) -> None:
    driver = options.part("DriverConfig")
    mount.no_copy = options.flag("NoCopy")
    mount.subpath = options.text("Subpath")
    mount.volume_labels.update(options.mapping("Labels"))
    mount.volume_driver = driver.text("Name")
    mount.volume_options.update(driver.mapping("Options"))


def _ports(host: Fields) -> Iterator[PortMapping]:
    for port, bindings in host.lists_by_name("PortBindings").items():
        for binding in bindings or [Fields({})]:
            address = binding.text("HostIp")
            where = f"[{address}]" if ":" in address else address
            text = f"{where}:{binding.text('HostPort')}:{port}"
            try:
                yield from (PortMapping(**fields) for fields in specs.parse_port(text))
            except ValueError as error:
                raise InvalidPort(str(error), what="port", which=text) from None


def _set_networks(config: pb.ContainerConfig, host: Fields, networking: Fields) -> None:
    mode = host.text("NetworkMode")
    config.network = _NETWORKS.get(mode, mode)
    endpoints = networking.objects_by_name("EndpointsConfig")
    if "default" in endpoints:
        endpoints["bridge"] = endpoints.pop("default")
    if config.network.startswith("container:") or config.network in ("host", "none"):
        return
    names = sorted(endpoints, key=lambda name: name != (config.network or "bridge"))
    if config.network and endpoints and config.network not in endpoints:
        names.insert(0, config.network)
    for name in names:
        config.networks.append(attachment(name, endpoints.get(name, Fields({}))))
    if config.networks and not config.network:
        config.network = config.networks[0].network
    if config.networks and config.mac_address:
        config.networks[0].mac_address = config.networks[0].mac_address or config.mac_address
        config.mac_address = ""


def attachment(network: str, endpoint: Fields) -> pb.NetworkAttachment:
    """Return how a container is to be in a network, from an EndpointSettings."""
    addresses = endpoint.part("IPAMConfig")
    return pb.NetworkAttachment(
        network=network,
        aliases=endpoint.texts("Aliases"),
        ipv4_address=addresses.text("IPv4Address"),
        ipv6_address=addresses.text("IPv6Address"),
        link_local_ips=addresses.texts("LinkLocalIPs"),
        mac_address=endpoint.text("MacAddress"),
        driver_opts=endpoint.mapping("DriverOpts"),
        gw_priority=endpoint.number("GwPriority"),
    )
