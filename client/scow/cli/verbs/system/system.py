"""`version` and `info`."""

from __future__ import annotations

import os
import sys

from scow.cli.about import VERSION
from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context
    from scow.words.template import Struct

# Docker's names of machines, which are Go's.
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
_FORMAT = Flag("format", "f", "string", "Format output: 'json', or a Go template")


def _version(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import parse_layout, render

    template = parse_layout(options.format)
    health = context.client.health()
    shape = _version_shape(context.client.host, health)
    if template is None:
        _print_version(shape, context)
    else:
        context.out(render(template, shape))
    missing = [name for name, serving in health.items() if not serving]
    if not missing:
        return 0
    if len(missing) == len(health):
        context.fail(
            f"no service answers at {context.client.host}: start the engine with scowd, or name its"
            " run directory with SCOW_HOST"
        )
    else:
        context.fail(f"not all services answer: {', '.join(missing)} missing: see the log of scowd")
    return 1


def _version_shape(host: str, health: dict[str, bool]) -> Struct:
    from scow.words.template import Struct

    machine = os.uname()
    return Struct(
        Client=Struct(
            Version=VERSION,
            PythonVersion=sys.version.split()[0],
            Os="linux",
            Arch=_ARCHITECTURES.get(machine.machine, machine.machine),
            Host=host,
        ),
        Server=Struct(
            Services=[
                Struct(Name=name, Serving=serving, Api=f"scow.api.{name}.v1")
                for name, serving in health.items()
            ]
        ),
    )


def _print_version(shape: Struct, context: Context) -> None:
    client = shape["Client"]
    context.out("Client: scow")
    context.out(f" Version:         {client['Version']}")
    context.out(f" Python version:  {client['PythonVersion']}")
    context.out(f" OS/Arch:         {client['Os']}/{client['Arch']}")
    context.out(f" Host:            {client['Host']}")
    context.out()
    context.out("Server: scow")
    for service in shape["Server"]["Services"]:
        state = "serving" if service["Serving"] else "does not answer"
        context.out(f" {service['Name'] + ':':<16} {service['Api']}, {state}")


def _info(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import parse_layout, render

    template = parse_layout(options.format)
    shape = _info_shape(context)
    if template is not None:
        context.out(render(template, shape))
        return 0
    for key, value in _info_lines(shape):
        context.out(f"{key}: {value}")
    return 0


def _info_shape(context: Context) -> Struct:
    """Return what the engine and its machine, which is also ours, tell."""
    from scow.api.container.v1 import container_pb2 as pb
    from scow.words.template import Struct

    client = context.client
    states = [container.status for container in client.containers.list(all=True)]
    running = states.count(pb.STATUS_RUNNING)
    paused = states.count(pb.STATUS_PAUSED)
    machine = os.uname()
    return Struct(
        Host=client.host,
        Containers=len(states),
        ContainersRunning=running,
        ContainersPaused=paused,
        ContainersStopped=len(states) - running - paused,
        Images=len(client.images.list()),
        Volumes=len(client.volumes.list()),
        Networks=[network.name for network in client.networks.list()],
        KernelVersion=machine.release,
        OperatingSystem=_operating_system(),
        OSType="linux",
        Architecture=machine.machine,
        NCPU=os.cpu_count() or 1,
        MemTotal=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        Name=machine.nodename,
        CgroupVersion=_cgroup_version(),
        ClientInfo=Struct(Version=VERSION),
    )


def _info_lines(shape: Struct) -> list[tuple[str, object]]:
    from scow.words.units import binary_size

    return [
        ("Host", shape["Host"]),
        ("Containers", shape["Containers"]),
        (" Running", shape["ContainersRunning"]),
        (" Paused", shape["ContainersPaused"]),
        (" Stopped", shape["ContainersStopped"]),
        ("Images", shape["Images"]),
        ("Volumes", shape["Volumes"]),
        ("Networks", " ".join(shape["Networks"])),
        ("Cgroup Version", shape["CgroupVersion"]),
        ("Kernel Version", shape["KernelVersion"]),
        ("Operating System", shape["OperatingSystem"]),
        ("OSType", shape["OSType"]),
        ("Architecture", shape["Architecture"]),
        ("CPUs", shape["NCPU"]),
        ("Total Memory", binary_size(shape["MemTotal"])),
        ("Name", shape["Name"]),
        ("Client Version", shape["ClientInfo"]["Version"]),
    ]


def _operating_system() -> str:
    """Return the name of the distribution (os-release(5))."""
    try:
        with open("/etc/os-release", encoding="utf-8") as file:
            pairs = (line.rstrip("\n").partition("=") for line in file)
            found = {key: value.strip("\"'") for key, _, value in pairs}
    except OSError:
        return "linux"
    return found.get("PRETTY_NAME") or found.get("NAME") or "linux"


def _cgroup_version() -> str:
    return "2" if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else "1"


VERBS = (
    Verb(
        "version",
        "[OPTIONS]",
        "Show the scow version information",
        _version,
        flags=(_FORMAT,),
        most=0,
    ),
    Verb(
        "info",
        "[OPTIONS]",
        "Display system-wide information",
        _info,
        flags=(_FORMAT,),
        most=0,
    ),
)
