"""`network cni add`, `check`, `del`, `gc` and `status`: the network service as a CNI runtime for others."""

from __future__ import annotations

from scow.cli.flags.container_flags import pair
from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_INTERFACE = Flag(
    "interface", kind="string", help="Name of the link in the namespace", default="eth0"
)


def _add(options: Options, context: Context) -> int:
    network, container, netns = options.args
    made = context.client.networks.cni_add(
        network,
        container,
        netns,
        interface=options.interface,
        args=dict(options.arg),
        capabilities=options.capabilities,
    )
    context.out(made.result)
    return 0


def _del(options: Options, context: Context) -> int:
    network, container = options.args
    context.client.networks.cni_del(network, container, interface=options.interface)
    return 0


def _check(options: Options, context: Context) -> int:
    network, container = options.args
    context.client.networks.cni_check(network, container, interface=options.interface)
    return 0


def _status(options: Options, context: Context) -> int:
    context.client.networks.cni_status(options.args[0])
    return 0


def _gc(options: Options, context: Context) -> int:
    for container in context.client.networks.cni_gc(options.args[0]):
        context.out(container)
    return 0


VERBS = (
    Verb(
        "network cni add",
        "[OPTIONS] NETWORK CONTAINER_ID NETNS",
        "Attach the namespace at a path to a CNI configuration's network; print the result (scow's own)",
        _add,
        flags=(
            Flag("arg", kind="list", help="CNI_ARGS", parse=pair, shows="map"),
            Flag("capabilities", kind="string", help="An object of JSON, such as portMappings"),
            _INTERFACE,
        ),
        least=3,
        most=3,
    ),
    Verb(
        "network cni check",
        "[OPTIONS] NETWORK CONTAINER_ID",
        "Have plugins compare an attachment with what they made (scow's own)",
        _check,
        flags=(_INTERFACE,),
        least=2,
        most=2,
    ),
    Verb(
        "network cni del",
        "[OPTIONS] NETWORK CONTAINER_ID",
        "Take back what was attached (scow's own)",
        _del,
        flags=(_INTERFACE,),
        least=2,
        most=2,
    ),
    Verb(
        "network cni gc",
        "NETWORK",
        "Take back what was attached of namespaces that are gone; print whose they were (scow's own)",
        _gc,
        least=1,
        most=1,
    ),
    Verb(
        "network cni status",
        "NETWORK",
        "Ask plugins whether they can attach containers (scow's own)",
        _status,
        least=1,
        most=1,
    ),
)
