"""`network create`, `network rm`, `network connect` and `network disconnect`."""

from __future__ import annotations

from scow.cli.flags.container_flags import label_text, pair
from scow.cli.flags.parser import Flag, Options, Refused, UsageError, Verb
from scow.client import specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.network.v1.network_pb2 import Subnet
    from scow.cli.context import Context


def _create(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    _refuse_swarm(options)
    subnets = _subnets(options)
    made = context.client.networks.create(
        options.args[0],
        driver=options.driver,
        subnets=subnets,
        ipv6=options.ipv6,
        ipv4=options.ipv4,
        internal=options.internal,
        attachable=options.attachable,
        labels=labels([], options.label),
        options=dict(options.opt),
        ipam_driver=options.ipam_driver,
        ipam_options=dict(options.ipam_opt),
        scope=options.scope,
    )
    context.warn_all(made.warnings)
    context.out(made.network.id)
    return 0


def _refuse_swarm(options: Options) -> None:
    """Refuse what is of Docker's swarm mode alone.

    Raises:
        Refused: It was asked for.
    """
    for flag in ("config-from", "config-only", "ingress"):
        if getattr(options, flag.replace("-", "_")):
            raise Refused(f"--{flag} is of swarm mode, which there is not", 1)


def _subnets(options: Options) -> list[Subnet]:
    """Return the subnets with the ranges, gateways and auxiliary addresses that are in them, as Docker sorts them.

    Raises:
        UsageError: One is in none of them, or in several.
    """
    import ipaddress

    from scow.api.network.v1.network_pb2 import Subnet

    def network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
        try:
            return ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise UsageError(f"invalid subnet {text}: invalid CIDR address", 1) from None

    found = [(network(text), Subnet(subnet=text)) for text in options.subnet]
    for number, (one, _) in enumerate(found):
        if any(one.version == other.version and one.overlaps(other) for other, _ in found[:number]):
            raise UsageError("multiple overlapping subnet configuration is not supported", 1)

    if (options.ip_range or options.gateway) and not found:
        raise UsageError("every ip-range or gateway must have a corresponding subnet", 1)

    def holder(what: str, text: str) -> Subnet:
        try:
            address = ipaddress.ip_address(text.partition("/")[0])
        except ValueError:
            raise UsageError(f"invalid {what} {text}: invalid address", 1) from None
        for subnet, message in found:
            if address in subnet:
                return message
        raise UsageError(f"no matching subnet for {what} {text}", 1)

    for text in options.ip_range:
        message = holder("range", text)
        if message.ip_range:
            raise _twice(f"ranges ({text}, {message.ip_range}) on", message.subnet)
        message.ip_range = text
    for text in options.gateway:
        message = holder("gateway", text)
        if message.gateway:
            raise _twice(f"gateways ({text}, {message.gateway}) for", message.subnet)
        message.gateway = text
    for name, text in options.aux_address:
        holder("aux-address", text).aux_addresses[name] = text
    return [message for _, message in found]


def _twice(what: str, subnet: str) -> UsageError:
    return UsageError(f"cannot configure multiple {what} the same subnet ({subnet})", 1)


def _remove(options: Options, context: Context) -> int:
    from scow.contract.errors import NetworkNotFound

    def remove(name: str) -> str | None:
        try:
            context.client.networks.remove(name)
        except NetworkNotFound:
            if not options.force:
                raise
            return None
        return name

    return context.each(options.args, remove)


def _connect(options: Options, context: Context) -> int:
    from scow.api.container.v1.container_pb2 import NetworkAttachment

    network, container = options.args
    wanted = NetworkAttachment(
        network=network,
        aliases=options.alias,
        ipv4_address=options.ip,
        ipv6_address=options.ip6,
        link_local_ips=options.link_local_ip,
        mac_address=options.mac_address,
        driver_opts=dict(options.driver_opt),
        gw_priority=options.gw_priority,
    )
    context.client.networks.connect(wanted, container)
    return 0


def _disconnect(options: Options, context: Context) -> int:
    network, container = options.args
    context.client.networks.disconnect(network, container, force=options.force)
    return 0


VERBS = (
    Verb(
        "network create",
        "[OPTIONS] NETWORK",
        "Create a network",
        _create,
        flags=(
            Flag("attachable", help="Enable manual container attachment"),
            Flag(
                "aux-address",
                kind="list",
                shows="map",
                help="Auxiliary IPv4 or IPv6 addresses used by Network driver",
                parse=pair,
            ),
            Flag(
                "config-from",
                kind="string",
                help="The network from which to copy the configuration",
            ),
            Flag("config-only", help="Create a configuration only network"),
            Flag("driver", "d", "string", "Driver to manage the Network", default="bridge"),
            Flag("gateway", kind="list", help="IPv4 or IPv6 Gateway for the master subnet"),
            Flag("ingress", help="Create swarm routing-mesh network"),
            Flag("internal", help="Restrict external access to the network"),
            Flag("ip-range", kind="list", help="Allocate container ip from a sub-range"),
            Flag(
                "ipam-driver", kind="string", default="default", help="IP Address Management Driver"
            ),
            Flag(
                "ipam-opt",
                kind="list",
                shows="map",
                help="Set IPAM driver specific options",
                parse=pair,
            ),
            Flag("ipv4", help="Enable or disable IPv4 address assignment", default="true"),
            Flag("ipv6", help="Enable or disable IPv6 address assignment"),
            Flag("label", kind="list", help="Set metadata on a network", parse=label_text),
            Flag("opt", "o", "list", "Set driver specific options", parse=pair, shows="map"),
            Flag("scope", kind="string", help="Control the network's scope"),
            Flag(
                "subnet",
                kind="list",
                help="Subnet in CIDR format that represents a network segment",
            ),
        ),
        least=1,
        most=1,
    ),
    Verb(
        "network rm",
        "NETWORK [NETWORK...]",
        "Remove one or more networks",
        _remove,
        flags=(Flag("force", "f", help="Do not error if the network does not exist"),),
        least=1,
    ),
    Verb(
        "network connect",
        "[OPTIONS] NETWORK CONTAINER",
        "Connect a container to a network",
        _connect,
        flags=(
            Flag("alias", kind="list", help="Add network-scoped alias for the container"),
            Flag(
                "driver-opt",
                kind="list",
                help="driver options for the network",
                parse=specs.parse_driver_option,
            ),
            Flag(
                "gw-priority",
                kind="int",
                help="Highest gw-priority provides the default gateway. Accepts positive and negative values",
                parse=specs.parse_priority,
            ),
            Flag(
                "ip",
                kind="string",
                help='IPv4 address (e.g., "172.30.100.104")',
                parse=specs.parse_address,
            ),
            Flag(
                "ip6",
                kind="string",
                help='IPv6 address (e.g., "2001:db8::33")',
                parse=specs.parse_address,
            ),
            Flag(
                "link-local-ip",
                kind="list",
                help="Add a link-local address for the container",
                parse=specs.parse_address,
            ),
            Flag("mac-address", kind="string", help="MAC address of the container's interface"),
        ),
        least=2,
        most=2,
    ),
    Verb(
        "network disconnect",
        "[OPTIONS] NETWORK CONTAINER",
        "Disconnect a container from a network",
        _disconnect,
        flags=(Flag("force", "f", help="Force the container to disconnect from a network"),),
        least=2,
        most=2,
    ),
)
