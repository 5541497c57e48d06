"""`port`, `port add` and `port rm`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.client import specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.api.types.v1.types_pb2 import PortMapping
    from scow.cli.context import Context


def _show(options: Options, context: Context) -> int:
    name, *wanted = options.args
    published = context.client.containers.get(name).ports
    rows = [row for mapping in published for row in _rows(mapping)]
    if not wanted:
        for inside, outside in rows:
            context.out(f"{inside} -> {outside}")
        return 0
    number, _, protocol = wanted[0].partition("/")
    port = f"{number}/{protocol or 'tcp'}"
    found = [outside for inside, outside in rows if inside == port]
    if not found:
        raise UsageError(f"no public port '{port}' published for {name}", 1)
    for outside in found:
        context.out(outside)
    return 0


def _rows(mapping: PortMapping) -> list[tuple[str, str]]:
    host = f"[{mapping.host_ip}]" if ":" in mapping.host_ip else mapping.host_ip
    return [
        (
            f"{mapping.container_port + n}/{mapping.protocol}",
            f"{host}:{mapping.host_port + n}",
        )
        for n in range(mapping.count or 1)
    ]


def _mappings(texts: Sequence[str]) -> list[PortMapping]:
    from scow.api.types.v1.types_pb2 import PortMapping

    try:
        return [PortMapping(**port) for text in texts for port in specs.parse_port(text)]
    except ValueError as error:
        raise UsageError(str(error)) from None


def _add(options: Options, context: Context) -> int:
    from scow.cli.flags.container_config import allow_sources

    name, *texts = options.args
    mappings = _mappings(texts)
    allow_sources(mappings, options.publish_allow)
    before = {row for m in context.client.containers.get(name).ports for row in _rows(m)}
    for mapping in context.client.containers.publish(name, mappings).ports:
        for row in _rows(mapping):
            if row not in before:
                context.out(f"{row[0]} -> {row[1]}")
    return 0


def _remove(options: Options, context: Context) -> int:
    name, *texts = options.args
    context.client.containers.unpublish(name, _mappings(texts))
    return 0


VERBS = (
    Verb(
        "port",
        "CONTAINER [PRIVATE_PORT[/PROTO]]",
        "List port mappings or a specific mapping for the container",
        _show,
        least=1,
        most=2,
    ),
    Verb(
        "port add",
        "[OPTIONS] CONTAINER PORT [PORT...]",
        "Publish further ports of a container, also while it runs (scow's own)",
        _add,
        flags=(
            Flag(
                "publish-allow",
                kind="list",
                shows="[port=]cidr",
                help="Addresses that may use the ports, all or one",
                parse=specs.parse_publish_allow,
            ),
        ),
        least=2,
    ),
    Verb(
        "port rm",
        "CONTAINER PORT [PORT...]",
        "Take published ports of a container back, also while it runs (scow's own)",
        _remove,
        least=2,
    ),
)
