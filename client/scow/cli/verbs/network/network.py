"""`network ls` and `network inspect`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.inspect import FORMAT as INSPECT_FORMAT
from scow.cli.output.table import FILTER, FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context
    from scow.words.template import Struct

_COLUMNS = r"{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}"
_HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of

    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.ID}}" if options.quiet else "")
    found = context.client.networks.list(filters=filters_of(options))
    from scow.cli.output.rows import network_row

    listing.print([network_row(each, full=options.no_trunc) for each in found], context)
    return 0


def _inspect(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import inspect, parse_layout

    def find(name: str) -> Struct:
        from scow.words.shapes.network import network_shape

        return network_shape(context.client.networks.get(name))

    return inspect(options.args, find, parse_layout(options.format), context)


VERBS = (
    Verb(
        "network ls",
        "[OPTIONS]",
        "List networks",
        _list,
        flags=(FILTER, FORMAT, NO_TRUNC, Flag("quiet", "q", help="Only display network IDs")),
        most=0,
    ),
    Verb(
        "network inspect",
        "[OPTIONS] NETWORK [NETWORK...]",
        "Display detailed information on one or more networks",
        _inspect,
        flags=(INSPECT_FORMAT,),
        least=1,
    ),
)
