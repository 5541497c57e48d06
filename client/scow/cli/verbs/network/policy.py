"""`network policy show`, `network policy set` and `network policy rm`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.cli.output.table import FORMAT
from scow.client import specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.network.v1.network_pb2 import PolicyRule
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.Action}}\t{{.To}}\t{{.Ports}}\t{{.Packets}}\t{{.Bytes}}"
_HEADERS = {
    "Action": "ACTION",
    "To": "TO",
    "Ports": "PORTS",
    "Packets": "PACKETS",
    "Bytes": "BYTES",
}


def _show(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing
    from scow.words.template import Row

    policy = context.client.networks.policy(options.args[0])
    listing = Listing(options.format, _COLUMNS, _HEADERS, "")
    rows = [_row(rule) for rule in policy.rules]
    rest = Row(
        Action=policy.default_action,
        To="everything else",
        Ports="all",
        Packets=str(policy.default_packets),
        Bytes=str(policy.default_bytes),
    )
    listing.print([*rows, rest], context)
    if policy.denied_names and not options.format:
        context.out(f"{policy.denied_names} names denied")
    return 0


def _row(rule: PolicyRule) -> Row:
    from scow.words.template import Row

    last = rule.port_last or rule.port
    ports = f"{rule.port}-{last}" if last > rule.port else str(rule.port)
    return Row(
        Action=rule.action,
        To=rule.to,
        Ports=f"{ports if rule.port else 'all'}{'/' if rule.protocol else ''}{rule.protocol}",
        Packets=str(rule.packets),
        Bytes=str(rule.bytes),
    )


def _set(options: Options, context: Context) -> int:
    from scow.api.network.v1.network_pb2 import PolicyRule

    if options.default not in ("allow", "deny"):
        raise UsageError("--default is allow or deny")
    rules = [PolicyRule(action="deny", **rule) for rule in options.deny]
    rules += [PolicyRule(action="allow", **rule) for rule in options.allow]
    context.client.networks.set_policy(options.args[0], options.default, rules)
    return 0


def _remove(options: Options, context: Context) -> int:
    for container in options.args:
        context.client.networks.remove_policy(container)
    return 0


_RULE = "to[,port=first[-last]][,proto=tcp|udp|sctp]"
VERBS = (
    Verb(
        "network policy show",
        "[OPTIONS] CONTAINER",
        "Show what a container may reach, and what was counted",
        _show,
        flags=(FORMAT,),
        least=1,
        most=1,
    ),
    Verb(
        "network policy set",
        "[OPTIONS] CONTAINER",
        "Say what a container may reach: an address, a block, dns:NAME, dns:*.NAME or all",
        _set,
        flags=(
            Flag("default", kind="string", help="allow or deny what no rule is about (required)"),
            Flag(
                "allow",
                kind="list",
                shows=_RULE,
                help="Allow it, unless it is denied",
                parse=specs.parse_policy_rule,
            ),
            Flag("deny", kind="list", shows=_RULE, help="Deny it", parse=specs.parse_policy_rule),
        ),
        least=1,
        most=1,
    ),
    Verb(
        "network policy rm",
        "CONTAINER [CONTAINER...]",
        "Let containers reach everything again",
        _remove,
        least=1,
    ),
)
