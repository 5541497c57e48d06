"""`version` and `info`."""

from __future__ import annotations

import os
import platform
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
_PROXIES = (("HTTP Proxy", "HttpProxy"), ("HTTPS Proxy", "HttpsProxy"), ("No Proxy", "NoProxy"))
_FORMAT = Flag("format", "f", "string", "Format output: 'json', or a Go template")


def _version(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import parse_layout, render
    from scow.words.shapes.engine import version_shape

    template = parse_layout(options.format)
    health = context.client.health()
    engine = context.client.containers.info() if health["container"] else None
    shape = version_shape(_client_shape(context), engine, health)
    missing = [name for name, serving in health.items() if not serving]
    if template is None:
        for line in _version_lines(shape):
            context.out(line)
    elif shape["Server"] is not None or "Server" not in template.fields:
        context.block(render(template, shape))
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


def _client_shape(context: Context) -> Struct:
    from scow.words.shapes.engine import API_VERSION
    from scow.words.template import Struct

    return Struct(
        Version=VERSION,
        ApiVersion=API_VERSION,
        DefaultAPIVersion=API_VERSION,
        GitCommit="",
        GoVersion="",
        PythonVersion=platform.python_version(),
        Os="linux",
        Arch=_arch(),
        BuildTime="",
        Context="default",
        Host=context.client.host,
    )


def _version_lines(shape: Struct) -> Iterator[str]:
    """Yield Docker's rows, without those that are empty here."""
    client, server = shape["Client"], shape["Server"]
    yield "Client: scow"
    yield f" Version:           {client['Version']}"
    yield f" API version:       {client['ApiVersion']}"
    yield f" Python version:    {client['PythonVersion']}"
    yield f" OS/Arch:           {client['Os']}/{client['Arch']}"
    yield f" Host:              {client['Host']}"
    if server is None:
        return
    yield ""
    yield f"Server: {server['Platform']['Name']}"
    engine, *services = server["Components"]
    if engine["Version"]:
        about = engine["Details"]
        yield " Engine:"
        yield f"  Version:          {engine['Version']}"
        yield (
            f"  API version:      {about['ApiVersion']} (minimum version {about['MinAPIVersion']})"
        )
        yield f"  Python version:   {about['PythonVersion']}"
        yield f"  OS/Arch:          {about['Os']}/{about['Arch']}"
        yield f"  Kernel version:   {about['KernelVersion']}"
        yield f"  Experimental:     {about['Experimental']}"
    for service in services:
        about = service["Details"]
        state = "serving" if about["Serving"] == "true" else "does not answer"
        yield f" {service['Name'] + ':':<18} {about['ApiPackage']}, {state}"


def _info(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import parse_layout, render

    template = parse_layout(options.format)
    shape = _info_shape(context)
    if template is not None:
        context.block(render(template, shape))
        return 0
    for line in _info_lines(shape):
        context.out(line)
    for warning in shape["Warnings"]:
        context.warn(warning)
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
    for name, field in _PROXIES:
        if shape[field]:
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
    for name, index in registries["IndexConfigs"].items():
        if index["Mirrors"] and not index["Official"]:
            yield f" Mirrors of {name}:"
            for mirror in index["Mirrors"]:
                yield f"  {mirror}"


def _arch() -> str:
    from scow.words.shapes.engine import architecture

    return architecture(os.uname().machine)


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
