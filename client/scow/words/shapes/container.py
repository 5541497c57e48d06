"""A container, as `docker inspect` has it."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.words.shapes.common import listing_or_nil, mapping, mapping_or_nil, set_of, time_of
from scow.words.shapes.host_config import host_config, mode_of
from scow.words.shapes.ports import port_map
from scow.words.template.values import NIL, Map, NilList, NilMap, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.container.v1.supervision_pb2 import Health, HealthCheck
    from scow.api.image.v1.image_pb2 import Image

STATUS_WORDS = {
    pb.STATUS_CREATING: "creating",
    pb.STATUS_CREATED: "created",
    pb.STATUS_RUNNING: "running",
    pb.STATUS_PAUSED: "paused",
    pb.STATUS_EXITED: "exited",
    pb.STATUS_REMOVING: "removing",
    pb.STATUS_DEAD: "dead",
    pb.STATUS_RESTARTING: "restarting",
}


def container_shape(container: pb.Container, image: Image | None = None) -> Struct:
    """Return a container in Docker's shape.

    Args:
        container: The container.
        image: The image it was made from, where it is still there: tells its entry point from its arguments.
    """
    driver = container.config.log.driver or "json-file"
    return Struct(
        Id=container.id,
        Created=time_of(container, "created_at"),
        Path=container.args[0] if container.args else "",
        Args=list(container.args[1:]),
        State=_state(container),
        Image=container.image_id,
        ResolvConfPath=container.resolv_conf_path,
        HostnamePath=container.hostname_path,
        HostsPath=container.hosts_path,
        # Where others find what they can read.
        LogPath=container.log_path if driver in ("json-file", "cri") else "",
        Name=f"/{container.name}",
        RestartCount=container.restart_count,
        Driver=container.snapshot_driver,
        Platform="linux",
        MountLabel="",
        ProcessLabel="",
        AppArmorProfile="",
        ExecIDs=listing_or_nil(container.exec_ids),
        HostConfig=host_config(container),
        **_kernel_limits(container),
        GraphDriver=Struct(Data=NilMap(), Name=container.snapshot_driver),
        Mounts=[_mount(mount, container.config) for mount in container.mounts],
        Config=_config(container, image),
        NetworkSettings=_network_settings(container),
        **_log_state(container),
    )


def _kernel_limits(container: pb.Container) -> dict[str, object]:
    """Return what the kernel has of its limits, where that was asked for and it runs."""
    found = container.kernel_limits
    return {"KernelLimits": Map(dict(sorted(found.items())))} if found else {}


def _log_state(container: pb.Container) -> dict[str, Struct]:
    """Return, of a container whose log is sent to a server, how that goes on; Docker does not tell."""
    if not container.HasField("log_state"):
        return {}
    state = container.log_state
    return {"LogState": Struct(DroppedBytes=state.dropped_bytes, Error=state.error)}


def _state(container: pb.Container) -> Struct:
    status = container.status
    shape = Struct(
        Status=STATUS_WORDS.get(status, "unknown"),
        # A paused container runs, too, and one that is to be restarted, as Docker sees it.
        Running=status in (pb.STATUS_RUNNING, pb.STATUS_PAUSED, pb.STATUS_RESTARTING),
        Paused=status == pb.STATUS_PAUSED,
        Restarting=status == pb.STATUS_RESTARTING,
        OOMKilled=container.oom_killed,
        Dead=status == pb.STATUS_DEAD,
        Pid=container.pid,
        ExitCode=container.exit_code,
        Error=container.error,
        StartedAt=time_of(container, "started_at"),
        FinishedAt=time_of(container, "finished_at"),
    )
    if container.HasField("exit_report"):
        shape["ExitReport"] = exit_report(container)
    if container.health.status:
        shape["Health"] = _health(container.health)
    return shape


def exit_report(container: pb.Container) -> Struct:
    """Return what is known of a container's end (scow's own)."""
    report, asked = container.exit_report, container.end_request
    shape = Struct(
        Signal=report.signal,
        DurationNs=report.duration,
        PeakMemory=report.peak_memory,
        CPUNs=report.cpu,
        OOMKills=report.oom_kills,
        OOMLevel=report.oom_level,
        OOMVictim=report.oom_victim,
        ForksRefused=report.forks_refused,
    )
    if container.HasField("end_request"):
        shape["RequestedBy"] = Struct(
            Action=asked.action,
            Actor=asked.actor,
            RequestID=asked.request_id,
            Signal=asked.signal,
            Time=time_of(asked, "time"),
        )
    return shape


def _health(health: Health) -> Struct:
    return Struct(
        Status=health.status,
        FailingStreak=health.failing_streak,
        Log=[
            Struct(
                Start=time_of(result, "start"),
                End=time_of(result, "end"),
                ExitCode=result.exit_code,
                Output=result.output,
            )
            for result in health.log
        ],
    )


def log_details(container: pb.Container) -> str:
    """Return what `logs --details` has before each line: attributes by name, as in URLs, and a blank."""
    from urllib.parse import quote_plus

    found = sorted(container.log_attributes.items())
    return ",".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in found) + " "


def _mount(mount: pb.MountPoint, config: pb.ContainerConfig) -> Struct:
    shape = Struct(Type=mount.type)
    if mount.type == "volume":
        shape["Name"] = mount.name
    shape |= {"Source": mount.source, "Destination": mount.destination}
    if mount.type == "volume":
        shape["Driver"] = mount.driver or "local"
    asked = next((spec for spec in config.mounts if spec.target == mount.destination), None)
    shape["Mode"] = mode_of(asked) if asked is not None else ""
    shape |= {"RW": not mount.read_only, "Propagation": mount.propagation}
    return shape


def _config(container: pb.Container, image: Image | None) -> Struct:
    config = container.config
    entrypoint, command = split_arguments(container, image)
    shape = Struct(
        Hostname=container.hostname,
        Domainname=config.domainname,
        User=container.user,
        AttachStdin=config.stdin_once,
        AttachStdout=config.stdin_once,
        AttachStderr=config.stdin_once,
    )
    if container.exposed_ports:
        shape["ExposedPorts"] = set_of(container.exposed_ports)
    shape |= {
        "Tty": config.tty,
        "OpenStdin": config.stdin_open,
        "StdinOnce": config.stdin_once,
        "Env": listing_or_nil(container.env),
        "Cmd": listing_or_nil(command),
        **_healthcheck(container.health_check),
        "Image": config.image,
        "Volumes": set_of(_unnamed_volumes(container)),
        "WorkingDir": container.working_dir,
        "Entrypoint": listing_or_nil(entrypoint),
        "OnBuild": NilList(),
        "Labels": mapping(container.labels),
    }
    if container.stop_signal:
        shape["StopSignal"] = container.stop_signal
    if config.HasField("stop_timeout"):
        shape["StopTimeout"] = config.stop_timeout
    return shape


def _healthcheck(check: HealthCheck) -> dict[str, object]:
    """Return Docker's Healthcheck, of the command alone; what is left out has the default."""
    if not check.test:
        return {}
    shape = Struct(Test=list(check.test))
    for name, value in (
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
        ("Retries", check.retries),
    ):
        if value:
            shape[name] = value
    return {"Healthcheck": shape}


def _unnamed_volumes(container: pb.Container) -> list[str]:
    """Return where the volumes are that nobody named: those of the image and of `-v /path`."""
    named = {mount.target for mount in container.config.mounts if mount.source}
    return [
        mount.destination
        for mount in container.mounts
        if mount.type == "volume" and mount.destination not in named
    ]


def split_arguments(
    container: pb.Container, image: Image | None = None
) -> tuple[list[str], list[str]]:
    """Return the entry point and the command of which the arguments are made."""
    config, arguments = container.config, list(container.args)
    if config.override_entrypoint:
        count = len(config.entrypoint)
    elif config.command:
        count = len(arguments) - len(config.command)
    else:
        count = len(image.config.entrypoint) if image is not None else 0
    return arguments[:count], arguments[count:]


def needs_image(container: pb.Container) -> bool:
    """Tell whether only the image says what is entry point and what is command."""
    return not container.config.override_entrypoint and not container.config.command


def _network_settings(container: pb.Container) -> Struct:
    networks = Map({}, zero=NIL)
    attached = {endpoint.network: endpoint for endpoint in container.endpoints}
    for wanted in networks_of(container):
        endpoint = attached.get(wanted.network, pb.Endpoint())
        networks[wanted.network] = _endpoint(container, wanted, endpoint)
    first = container.endpoints[0] if container.endpoints else pb.Endpoint()
    # The fields outside of Networks are of the default network alone, as in Docker.
    shown = first if first.network == "bridge" else pb.Endpoint()
    return Struct(
        Bridge="",
        SandboxID=container.id if container.netns_path else "",
        SandboxKey=container.netns_path,
        Ports=port_map(container.exposed_ports, container.ports),
        HairpinMode=False,
        LinkLocalIPv6Address="",
        LinkLocalIPv6PrefixLen=0,
        SecondaryIPAddresses=NilList(),
        SecondaryIPv6Addresses=NilList(),
        EndpointID=shown.endpoint_id,
        Gateway=shown.gateway,
        GlobalIPv6Address=shown.ipv6_address,
        GlobalIPv6PrefixLen=shown.ipv6_prefix_length,
        IPAddress=shown.ip_address,
        IPPrefixLen=shown.prefix_length,
        IPv6Gateway=shown.ipv6_gateway,
        MacAddress=shown.mac_address,
        Networks=networks,
    )


def networks_of(container: pb.Container) -> list[pb.NetworkAttachment]:
    """Return the networks that a container is in, or is in when it runs; none after it left the last one."""
    mode = container.config.network
    if mode in ("host", "none"):
        return [pb.NetworkAttachment(network=mode)]
    recorded = container.networks or [  # an engine that knew one network alone
        pb.NetworkAttachment(network=each.network, aliases=each.aliases)
        for each in container.endpoints
    ]
    return [each for each in recorded if each.network != "none"]


def _endpoint(
    container: pb.Container, wanted: pb.NetworkAttachment, endpoint: pb.Endpoint
) -> Struct:
    names = [container.name, *wanted.aliases, container.id[:12]]
    return Struct(
        IPAMConfig=_asked_addresses(wanted),
        Links=listing_or_nil(container.config.links),
        Aliases=listing_or_nil(wanted.aliases),
        MacAddress=endpoint.mac_address,
        DriverOpts=mapping_or_nil(wanted.driver_opts),
        GwPriority=wanted.gw_priority,
        NetworkID=endpoint.network_id,
        EndpointID=endpoint.endpoint_id,
        Gateway=endpoint.gateway,
        IPAddress=endpoint.ip_address,
        IPPrefixLen=endpoint.prefix_length,
        IPv6Gateway=endpoint.ipv6_gateway,
        GlobalIPv6Address=endpoint.ipv6_address,
        GlobalIPv6PrefixLen=endpoint.ipv6_prefix_length,
        DNSNames=listing_or_nil(names),
    )


def _asked_addresses(wanted: pb.NetworkAttachment) -> object:
    asked = Struct()
    if wanted.ipv4_address:
        asked["IPv4Address"] = wanted.ipv4_address
    if wanted.ipv6_address:
        asked["IPv6Address"] = wanted.ipv6_address
    if wanted.link_local_ips:
        asked["LinkLocalIPs"] = list(wanted.link_local_ips)
    return asked or NIL
