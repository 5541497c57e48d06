"""HostConfig: what of a container's configuration concerns its host."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.words.shapes.common import listing_or_nil, mapping, mapping_or_nil
from scow.words.shapes.ports import port_map
from scow.words.template.values import NIL, Map, NilList, Struct

# Paths that a container must not see or not change: what Docker hides from an unprivileged one.
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_SHM_SIZE = 64 << 20


def host_config(container: pb.Container) -> Struct:
    """Return Docker's HostConfig of a container."""
    config = container.config
    return Struct(
        Binds=_binds(config),
        ContainerIDFile="",
        LogConfig=Struct(Type=config.log.driver or "json-file", Config=mapping(config.log.options)),
        NetworkMode=config.network or "bridge",
        PortBindings=port_map((), config.ports),
        RestartPolicy=Struct(
            Name=config.restart_policy.name or "no",
            MaximumRetryCount=config.restart_policy.maximum_retry_count,
        ),
        AutoRemove=config.auto_remove,
        VolumeDriver="",
        VolumesFrom=NilList(),
        ConsoleSize=[0, 0],
        CapAdd=listing_or_nil(config.cap_add),
        CapDrop=listing_or_nil(config.cap_drop),
        CgroupnsMode=config.cgroupns_mode or "private",
        Dns=list(config.dns),
        DnsOptions=list(config.dns_options),
        DnsSearch=list(config.dns_search),
        ExtraHosts=listing_or_nil(config.extra_hosts),
        GroupAdd=listing_or_nil(config.group_add),
        IpcMode=config.ipc_mode or "private",
        Cgroup="",
        Links=NilList(),
        OomScoreAdj=config.oom_score_adj,
        PidMode=config.pid_mode,
        Privileged=config.privileged,
        PublishAllPorts=config.publish_all,
        ReadonlyRootfs=config.read_only,
        SecurityOpt=listing_or_nil(config.security_opts),
        **_tmpfs(config),
        UTSMode=config.uts_mode,
        UsernsMode=config.userns_mode,
        ShmSize=config.shm_size or _SHM_SIZE,
        **_sysctls(config),
        Runtime="scow",
        Isolation="",
        **_resources(config),
        **_mounts(config),
        **_ids(container),
        MaskedPaths=NilList() if config.privileged else list(_MASKED),
        ReadonlyPaths=NilList() if config.privileged else list(_READ_ONLY),
        **({"Init": True} if config.init else {}),
    )


def _ids(container: pb.Container) -> dict[str, object]:
    """Return what Docker has no word for: the ids of its user namespace, and its clocks."""
    found: dict[str, object] = {}
    if container.HasField("id_range"):
        ids = container.id_range
        found["IdRange"] = Struct(First=ids.first, Size=ids.size)
    if container.config.storage_opts:
        found["StorageOpt"] = mapping(container.config.storage_opts)
    if container.config.time_offsets:
        found["TimeOffsets"] = Map(dict(sorted(container.config.time_offsets.items())))
    return found


def _resources(config: pb.ContainerConfig) -> dict[str, object]:
    limits = config.resources
    return {
        "CpuShares": limits.cpu_shares,
        "Memory": limits.memory,
        "NanoCpus": limits.nano_cpus,
        "CgroupParent": config.cgroup_parent,
        "BlkioWeight": limits.blkio_weight,
        **_devices(limits),
        "CpuPeriod": limits.cpu_period,
        "CpuQuota": limits.cpu_quota,
        "CpuRealtimePeriod": limits.cpu_rt_period,
        "CpuRealtimeRuntime": limits.cpu_rt_runtime,
        "CpusetCpus": limits.cpuset_cpus,
        "CpusetMems": limits.cpuset_mems,
        "Devices": [
            Struct(
                PathOnHost=device.host_path,
                PathInContainer=device.container_path,
                CgroupPermissions=device.permissions,
            )
            for device in config.devices
        ],
        "DeviceCgroupRules": listing_or_nil(limits.device_cgroup_rules),
        "DeviceRequests": _requests(config),
        "MemoryReservation": limits.memory_reservation,
        # Docker's default where there is a limit: as much swap as memory.
        "MemorySwap": limits.memory_swap or 2 * limits.memory,
        "MemorySwappiness": limits.memory_swappiness
        if limits.HasField("memory_swappiness")
        else NIL,
        "OomKillDisable": limits.oom_kill_disable or NIL,
        "PidsLimit": limits.pids_limit if limits.pids_limit > 0 else NIL,
        "Ulimits": [
            Struct(Name=limit.name, Hard=limit.hard, Soft=limit.soft) for limit in config.ulimits
        ],
        **_own(limits),
    }


def _requests(config: pb.ContainerConfig) -> list[Struct]:
    """Return the devices of CDI as Docker has them."""
    if not config.cdi_devices:
        return NilList()
    return [
        Struct(
            Driver="cdi",
            Count=0,
            DeviceIDs=list(config.cdi_devices),
            Capabilities=NilList(),
            Options=Map({}),
        )
    ]


def _devices(limits: pb.Resources) -> dict[str, object]:
    """Return the limits of devices that are there; Docker has the others as null or as an empty list."""
    found: dict[str, object] = {}
    for key, field, value in (
        ("BlkioWeightDevice", "blkio_weight_devices", "Weight"),
        ("BlkioDeviceReadBps", "device_read_bps", "Rate"),
        ("BlkioDeviceWriteBps", "device_write_bps", "Rate"),
        ("BlkioDeviceReadIOps", "device_read_iops", "Rate"),
        ("BlkioDeviceWriteIOps", "device_write_iops", "Rate"),
    ):
        entries = [
            Struct({"Path": each.path, value: each.value}) for each in getattr(limits, field)
        ]
        found[key] = entries or ([] if value == "Weight" else NilList())
    return found


def _own(limits: pb.Resources) -> dict[str, object]:
    """Return what Docker has no word for, where it is asked for."""
    found: dict[str, object] = {}
    if limits.memory_high:
        found["MemoryHigh"] = limits.memory_high
    if limits.hugepages:
        found["Hugepages"] = Map(dict(sorted(limits.hugepages.items())))
    if limits.cgroup_conf:
        found["CgroupConf"] = Map(dict(sorted(limits.cgroup_conf.items())))
    return found


def _binds(config: pb.ContainerConfig) -> list[str]:
    """Return the texts of `-v`: binds whose source may be made, and named volumes."""
    binds = []
    for mount in config.mounts:
        if _is_bind_text(mount):
            mode = _modes(mount)
            binds.append(":".join([mount.source, mount.target, *([mode] if mode else [])]))
    return binds or NilList()


def mode_of(mount: pb.MountSpec) -> str:
    """Return the `Mode` that Docker shows of a mount: what `-v` said, "z" of a volume of the driver local."""
    said = _modes(mount) if _is_bind_text(mount) else ""
    named = mount.type == "volume" and mount.source and mount.volume_driver in ("", "local")
    return said or ("z" if named else "")


def _modes(mount: pb.MountSpec) -> str:
    modes = ["ro" if mount.read_only else "", mount.propagation, "nocopy" if mount.no_copy else ""]
    return ",".join(word for word in modes if word)


def _is_bind_text(mount: pb.MountSpec) -> bool:
    if mount.type == "bind":
        return mount.create_source and not mount.recursion
    more = mount.volume_options or mount.volume_labels or mount.subpath or mount.exclusive
    return mount.type == "volume" and bool(mount.source) and not more


def _tmpfs(config: pb.ContainerConfig) -> dict[str, object]:
    found = {
        mount.target: _tmpfs_options(mount) for mount in config.mounts if mount.type == "tmpfs"
    }
    return {"Tmpfs": Map(found)} if found else {}


def _tmpfs_options(mount: pb.MountSpec) -> str:
    options = ["ro"] if mount.read_only else []
    options += [f"size={mount.tmpfs_size}"] if mount.tmpfs_size else []
    options += [f"mode={mount.tmpfs_mode:o}"] if mount.tmpfs_mode else []
    return ",".join([*options, *mount.tmpfs_options])


def _sysctls(config: pb.ContainerConfig) -> dict[str, object]:
    return {"Sysctls": mapping_or_nil(config.sysctls)} if config.sysctls else {}


def _mounts(config: pb.ContainerConfig) -> dict[str, object]:
    """Return the mounts of `--mount`, those that no text of `-v` and no `--tmpfs` says."""
    found = []
    for mount in config.mounts:
        if mount.type != "tmpfs" and not _is_bind_text(mount):
            shape = Struct(Type=mount.type, Source=mount.source, Target=mount.target)
            if mount.read_only:
                shape["ReadOnly"] = True
            found.append(shape | _bind_options(mount) | _volume_options(mount))
    return {"Mounts": found} if found else {}


def _bind_options(mount: pb.MountSpec) -> dict[str, object]:
    options: dict[str, object] = {}
    if mount.propagation:
        options["Propagation"] = mount.propagation
    recursion = {
        "disabled": "NonRecursive",
        "writable": "ReadOnlyNonRecursive",
        "readonly": "ReadOnlyForceRecursive",
    }
    if mount.recursion in recursion:
        options[recursion[mount.recursion]] = True
    if mount.create_source:
        options["CreateMountpoint"] = True
    return {"BindOptions": Struct(**options)} if options else {}


def _volume_options(mount: pb.MountSpec) -> dict[str, object]:
    options: dict[str, object] = {}
    if mount.no_copy:
        options["NoCopy"] = True
    if mount.volume_labels:
        options["Labels"] = Map(dict(mount.volume_labels))
    if mount.volume_driver or mount.volume_options:
        driver: dict[str, object] = {"Name": mount.volume_driver} if mount.volume_driver else {}
        if mount.volume_options:
            driver["Options"] = Map(dict(mount.volume_options))
        options["DriverConfig"] = Struct(**driver)
    if mount.subpath:
        options["Subpath"] = mount.subpath
    return {"VolumeOptions": Struct(**options)} if options else {}
