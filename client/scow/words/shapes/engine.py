"""The engine and its machine, as `docker info` and `docker version` have them."""

from __future__ import annotations

from scow.words.template.values import Map, Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from scow.api.container.v1.container_pb2 import InfoResponse as EngineInfo
    from scow.api.image.v1.store_pb2 import InfoResponse as StoreInfo

# Docker's names of machines, which are Go's.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
# The shim itself; it needs no program to make containers.
_RUNTIME = "native"
# Of the contracts: the packages are `v1`.
API_VERSION = "1"
_HUB = "docker.io"
_INDEX = "https://index.docker.io/v1/"


def architecture(machine: str) -> str:
    """Return an architecture that uname(2) names as Go names it, "amd64"."""
    return _ARCHITECTURES.get(machine, machine)


def info_shape(
    engine: EngineInfo,
    store: StoreInfo,
    *,
    running: int,
    paused: int,
    stopped: int,
    images: int,
    network_drivers: Sequence[str],
    now: str,
) -> Struct:
    """Return `docker info`; what scow does not have is left out.

    Args:
        engine: What the container service tells.
        store: What the image service tells.
        running: Containers that run and are not paused.
        paused: Paused containers.
        stopped: All other containers.
        images: Images.
        network_drivers: Drivers of networks.
        now: The time, as RFC 3339 has it.
    """
    return Struct(
        ID=engine.instance,
        Containers=running + paused + stopped,
        ContainersRunning=running,
        ContainersPaused=paused,
        ContainersStopped=stopped,
        Images=images,
        Driver=store.driver,
        DriverStatus=[
            ["Backing Filesystem", store.backing_filesystem],
            ["Available Drivers", " ".join(store.drivers)],
        ],
        Plugins=Struct(
            Volume=["local"],
            Network=list(network_drivers),
            Authorization=None,
            Log=list(engine.log_drivers),
        ),
        SystemTime=now,
        LoggingDriver=engine.log_driver,
        CgroupDriver=engine.cgroup_driver,
        CgroupVersion=str(engine.cgroup_version),
        **_machine(engine),
        **_support(engine),
        DefaultRuntime=_RUNTIME,
        Runtimes=Struct({_RUNTIME: Struct()}),
        Swarm=Struct(LocalNodeState="inactive"),
        Labels=[],
        HttpProxy=store.http_proxy,
        HttpsProxy=store.https_proxy,
        NoProxy=store.no_proxy,
        Debug=False,
        ExperimentalBuild=False,
        IndexServerAddress=_INDEX,
        RegistryConfig=Struct(
            InsecureRegistryCIDRs=["127.0.0.0/8"],
            InsecureRegistries=list(store.insecure_registries),
            Mirrors=list(store.registry_mirrors),
            IndexConfigs=_indexes(store),
        ),
        DockerRootDir=engine.root,
        ServerVersion=engine.version,
        LiveRestoreEnabled=True,
        SecurityOptions=list(engine.security_options),
        # Programs of others that Docker needs; the shim does their work.
        InitBinary="",
        ContainerdCommit=Struct(ID="", Expected=""),
        RuncCommit=Struct(ID="", Expected=""),
        InitCommit=Struct(ID="", Expected=""),
        Warnings=[*engine.warnings, *store.warnings],
    )


def version_shape(
    client: Struct, engine: EngineInfo | None, services: Mapping[str, bool]
) -> Struct:
    """Return `docker version`: its `Server` is nil where no service answers.

    Args:
        client: Who asks.
        engine: What the container service tells; None where it does not answer.
        services: Tells of each service whether it serves.
    """
    if not any(services.values()):
        return Struct(Client=client, Server=None)
    about = engine.machine if engine else None
    details = {
        "ApiVersion": API_VERSION,
        "MinAPIVersion": API_VERSION,
        "GitCommit": "",
        "GoVersion": "",
        "PythonVersion": engine.python_version if engine else "",
        "Os": about.os_type if about else "",
        "Arch": architecture(about.architecture) if about else "",
        "KernelVersion": about.kernel_version if about else "",
        "BuildTime": "",
    }
    version = engine.version if engine else ""
    engine_part = Struct(
        Name="Engine", Version=version, Details=Map({**details, "Experimental": "false"})
    )
    return Struct(
        Client=client,
        Server=Struct(
            Platform=Struct(Name="scow"),
            Components=[engine_part, *_services(services, version)],
            Version=version,
            **details,
            Experimental=False,
        ),
    )


def _services(services: Mapping[str, bool], version: str) -> Iterator[Struct]:
    # They come from one package, so one version is that of all.
    for name, serving in services.items():
        details = {"ApiPackage": f"scow.api.{name}.v1", "Serving": str(serving).lower()}
        yield Struct(Name=name, Version=version if serving else "", Details=Map(details))


def _machine(engine: EngineInfo) -> dict[str, object]:
    about = engine.machine
    return {
        "KernelVersion": about.kernel_version,
        "OperatingSystem": about.operating_system,
        "OSVersion": about.os_version,
        "OSType": about.os_type,
        "Architecture": about.architecture,
        "NCPU": about.cpus,
        "MemTotal": about.memory,
        "Name": about.hostname,
    }


def _support(engine: EngineInfo) -> dict[str, bool]:
    has = engine.support
    return {
        "MemoryLimit": has.memory_limit,
        "SwapLimit": has.swap_limit,
        "CpuCfsPeriod": has.cpu_quota,
        "CpuCfsQuota": has.cpu_quota,
        "CPUShares": has.cpu_shares,
        "CPUSet": has.cpuset,
        "PidsLimit": has.pids_limit,
        "OomKillDisable": has.oom_kill_disable,
        "IPv4Forwarding": has.ipv4_forwarding,
        "BridgeNfIptables": has.bridge_nf_iptables,
        "BridgeNfIp6tables": has.bridge_nf_ip6tables,
    }


def _indexes(store: StoreInfo) -> Map:
    """Return Docker Hub and the registries that are configured, as Docker does by name."""
    mirrors = {each.domain: list(each.mirrors) for each in store.mirrored_registries}
    insecure = set(store.insecure_registries)
    return Map(
        {
            name: Struct(
                Name=name,
                Mirrors=mirrors.get(name, []),
                Secure=name not in insecure,
                Official=name == _HUB,
            )
            for name in sorted({_HUB, *mirrors, *insecure})
        }
    )
