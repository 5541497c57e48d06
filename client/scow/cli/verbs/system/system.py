"""`version` and `info`."""

from __future__ import annotations

import sys
import time

from scow.cli.about import VERSION
from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.cli.context import Context
    from scow.words.template import Struct

# Rows of `info` that are one field each: the name and the field.
_ROWS = (
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Docker Root Dir", "DockerRootDir"),
)
_FORMAT = Flag("format", "f", "string", "Format output: 'json', or a Go template")


def _version(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import parse_layout, render

    template = parse_layout(options.format)
    health = context.client.health()
    shape = _version_shape(context.client.host, health)
    if template is None:
        _print_version(shape, context)
    else:
        context.block(render(template, shape))
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

    return Struct(
        Client=Struct(
            Version=VERSION,
            PythonVersion=sys.version.split()[0],
            Os="linux",
            Arch=_arch(),
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
        context.block(render(template, shape))
        return 0
    for line in _info_lines(shape):
        context.out(line)
    return 0


def _info_shape(context: Context) -> Struct:
    """Return Docker's fields, and some of scow's own."""
    from scow.api.container.v1 import container_pb2 as pb
    from scow.words.shapes.engine import info_shape
    from scow.words.template import Struct
    from scow.words.times import moment

    client = context.client
    states = [container.status for container in client.containers.list(all=True)]
    running = states.count(pb.STATUS_RUNNING)
    paused = states.count(pb.STATUS_PAUSED)
    networks = client.networks.list()
    shape = info_shape(
        client.containers.info(),
        client.store.info(),
        running=running,
        paused=paused,
        stopped=len(states) - running - paused,
        images=len(client.images.list()),
        network_drivers=sorted({network.driver for network in networks}),
        now=moment(time.time_ns()),
    )
    shape |= {
        "Host": client.host,
        "Volumes": len(client.volumes.list()),
        "Networks": [network.name for network in networks],
        "ClientInfo": Struct(Version=VERSION, Os="linux", Arch=_arch()),
    }
    return shape


def _info_lines(shape: Struct) -> Iterator[str]:
    """Yield Docker's rows."""
    from scow.words.units import binary_size

    yield from (
        "Client: scow",
        f" Version:    {VERSION}",
        f" Host:       {shape['Host']}",
        "",
        "Server:",
    )
    yield f" Containers: {shape['Containers']}"
    for state in ("Running", "Paused", "Stopped"):
        yield f"  {state}: {shape[f'Containers{state}']}"
    for name in ("Images", "Volumes"):
        yield f" {name}: {shape[name]}"
    yield f" Networks: {' '.join(shape['Networks'])}"
    yield f" Server Version: {shape['ServerVersion']}"
    yield f" Storage Driver: {shape['Driver']}"
    for key, value in shape["DriverStatus"]:
        yield f"  {key}: {value}"
    yield f" Logging Driver: {shape['LoggingDriver']}"
    yield f" Cgroup Driver: {shape['CgroupDriver']}"
    yield f" Cgroup Version: {shape['CgroupVersion']}"
    yield " Plugins:"
    for kind in ("Volume", "Network", "Log"):
        yield f"  {kind}: {' '.join(shape['Plugins'][kind])}"
    yield f" Runtimes: {' '.join(shape['Runtimes'])}"
    yield f" Default Runtime: {shape['DefaultRuntime']}"
    yield " Security Options:"
    for option in shape["SecurityOptions"]:
        name, _, profile = option.partition(",profile=")
        yield f"  {name.removeprefix('name=')}"
        if profile:
            yield f"   Profile: {profile}"
    for name, field in _ROWS:
        yield f" {name}: {shape[field]}"
    yield f" Total Memory: {binary_size(shape['MemTotal'])}"
    yield from _registry_lines(shape["RegistryConfig"])
    yield f" Live Restore Enabled: {str(shape['LiveRestoreEnabled']).lower()}"


def _registry_lines(registries: Struct) -> Iterator[str]:
    yield " Insecure Registries:"
    for each in (*registries["InsecureRegistries"], *registries["InsecureRegistryCIDRs"]):
        yield f"  {each}"
    if registries["Mirrors"]:
        yield " Registry Mirrors:"
        for mirror in registries["Mirrors"]:
            yield f"  {mirror}"


def _arch() -> str:
    from scow.words.shapes.engine import architecture

    return architecture()


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
