"""How a container is asked for: Docker's Config, HostConfig and NetworkingConfig as the contract's ContainerConfig."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.supervision_pb2 import HealthCheck, RestartPolicy
from scow.api.types.v1.types_pb2 import Platform, PortMapping
from scow.client import specs
from scow.contract.errors import InvalidArgument, InvalidPort
from scow.docker.fields import Fields
from scow.docker.mounts import mounts
from scow.docker.resources import cdi_devices, resources
from scow.words import platforms

# Docker's words for networks that are no names.
_NETWORKS = {"default": "bridge"}
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


def configuration(body: Fields, *, platform: str = "") -> pb.ContainerConfig:
    """Return the configuration that the body of POST /containers/create asks for.

    Args:
        body: The body.
        platform: "linux/arm64", or empty.

    Raises:
        InvalidArgument, InvalidPort, InvalidMount: A value has not the form it must have.
    """
    host = body.part("HostConfig")
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
    if "Healthcheck" in body:
        config.health_check.CopyFrom(_health_check(body.part("Healthcheck")))
    if platform:
        config.platform.CopyFrom(platform_of(platform))
    config.resources.CopyFrom(resources(host))
    config.log.CopyFrom(_log(host.part("LogConfig")))
    config.mounts.extend(mounts(body, host))
    config.restart_policy.CopyFrom(restart_policy(host.part("RestartPolicy")))
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


def restart_policy(given: Fields) -> RestartPolicy:
    """Return what a container is restarted after.

    Raises:
        InvalidArgument: Docker has no such policy.
    """
    name = given.text("Name") or "no"
    if name not in _RESTARTS:
        raise InvalidArgument(
            f"invalid restart policy: unknown policy '{name}'",
            what="restart policy",
            which=name,
            do=f"use one of {', '.join(_RESTARTS)}",
        )
    return RestartPolicy(name=name, maximum_retry_count=given.number("MaximumRetryCount"))


def _health_check(given: Fields) -> HealthCheck:
    return HealthCheck(
        test=given.texts("Test"),
        interval=given.number("Interval"),
        timeout=given.number("Timeout"),
        start_period=given.number("StartPeriod"),
        start_interval=given.number("StartInterval"),
        retries=given.number("Retries"),
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
        "cgroup_parent": host.text("CgroupParent"),
        "storage_opts": host.mapping("StorageOpt"),
        "cdi_devices": cdi_devices(host),
        "shm_size": host.number("ShmSize"),
        "oom_score_adj": host.number("OomScoreAdj"),
        "pid_mode": host.text("PidMode"),
        "ipc_mode": host.text("IpcMode"),
        "uts_mode": host.text("UTSMode"),
        "cgroupns_mode": host.text("CgroupnsMode"),
        "userns_mode": host.text("UsernsMode"),
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


def _log(log: Fields) -> pb.LogConfig:
    return pb.LogConfig(driver=log.text("Type"), options=log.mapping("Config"))


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
