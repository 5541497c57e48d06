"""The engine and its machine, as `docker info` and `docker version` have them."""

from __future__ import annotations

import os

from scow.words.template.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.api.container.v1.container_pb2 import InfoResponse as EngineInfo
    from scow.api.image.v1.store_pb2 import InfoResponse as StoreInfo

# Docker's names of machines, which are Go's.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
# The shim itself; it needs no program to make containers.
_RUNTIME = "native"
_INDEX = "https://index.docker.io/v1/"


def architecture() -> str:
    """Return this machine's architecture as Go names it, "amd64"."""
    machine = os.uname().machine
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
    """Return `docker info` of the engine on this machine; what scow does not have is left out.

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
        **_machine(),
        DefaultRuntime=_RUNTIME,
        Runtimes=Struct({_RUNTIME: Struct()}),
        Swarm=Struct(LocalNodeState="inactive"),
        Labels=[],
        Debug=False,
        ExperimentalBuild=False,
        IndexServerAddress=_INDEX,
        RegistryConfig=Struct(
            InsecureRegistryCIDRs=["127.0.0.0/8"],
            InsecureRegistries=list(store.insecure_registries),
            Mirrors=list(store.registry_mirrors),
        ),
        DockerRootDir=engine.root,
        ServerVersion=engine.version,
        LiveRestoreEnabled=True,
        SecurityOptions=list(engine.security_options),
        Warnings=[],
    )


def _machine() -> dict[str, object]:
    about, release = os.uname(), _os_release()
    return {
        "KernelVersion": about.release,
        "OperatingSystem": release.get("PRETTY_NAME") or release.get("NAME") or "linux",
        "OSVersion": release.get("VERSION_ID", ""),
        "OSType": "linux",
        "Architecture": about.machine,
        "NCPU": os.cpu_count() or 1,
        "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "Name": about.nodename,
    }


def _os_release() -> dict[str, str]:
    """Return what the distribution says of itself (os-release(5))."""
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            pairs = (line.rstrip("\n").partition("=") for line in file)
            return {key: value.strip("\"'") for key, _, value in pairs}
    except OSError:
        return {}
