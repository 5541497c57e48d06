"""`network exposure`, `network graph` and `network limit`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.cli.output.table import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_COLUMNS = r"{{.Container}}\t{{.Network}}\t{{.At}}\t{{.LeadsTo}}\t{{.By}}"
_HEADERS = {
    "Container": "CONTAINER",
    "Network": "NETWORK",
    "At": "REACHED AT",
    "LeadsTo": "LEADS TO",
    "By": "BY",
}


def _exposure(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing
    from scow.client.exposure import exposures
    from scow.words.template import Row

    listing = Listing(options.format, _COLUMNS, _HEADERS, "")
    rows = [
        Row(
            {
                "Container": each.container,
                "Network": each.network,
                "At": each.at,
                "LeadsTo": each.leads_to,
                "By": each.by,
            }
        )
        for each in exposures(context.client.networks.list())
        if not options.args or each.container in options.args
    ]
    listing.print(rows, context)
    return 0


def _graph(options: Options, context: Context) -> int:
    from scow.cli.output import graph

    networks = context.client.networks.list()
    wanted = set(options.args)
    chosen = [n for n in networks if not wanted or n.name in wanted or n.id in wanted]
    if options.format == "svg":
        context.out(graph.svg(chosen))
    elif options.format in ("", "text"):
        for line in graph.text(chosen):
            context.out(line)
    else:
        raise UsageError(f"invalid format {options.format!r}: use text or svg")
    return 0


def _limit(options: Options, context: Context) -> int:
    container, network = (*options.args, "")[:2]
    if not options.rate_in and not options.rate_out:
        raise UsageError("give --rate-in, --rate-out or both")
    context.client.networks.limit(
        container, network, rate_in=options.rate_in, rate_out=options.rate_out
    )
    return 0


VERBS = (
    Verb(
        "network exposure",
        "[OPTIONS] [CONTAINER...]",
        "List what is reachable, and by whom (scow's own)",
        _exposure,
        flags=(FORMAT,),
    ),
    Verb(
        "network graph",
        "[OPTIONS] [NETWORK...]",
        "Print networks, containers, addresses and ports as a picture (scow's own)",
        _graph,
        flags=(Flag("format", kind="string", help="text (default) or svg"),),
    ),
    Verb(
        "network limit",
        "[OPTIONS] CONTAINER [NETWORK]",
        "Change the bandwidth that a container has in a network, also while it runs (scow's own)",
        _limit,
        flags=(
            Flag("rate-in", kind="string", help="What it may get, such as 10mbit; 0 for no limit"),
            Flag("rate-out", kind="string", help="What it may send"),
        ),
        least=1,
        most=2,
    ),
)
