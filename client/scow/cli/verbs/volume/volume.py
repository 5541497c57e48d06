"""`volume ls` and `volume inspect`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.inspect import FORMAT as INSPECT_FORMAT
from scow.cli.output.table import FILTER, FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context
    from scow.words.template import Struct

_COLUMNS = r"{{.Driver}}\t{{.Name}}"
HEADERS = {
    "Name": "VOLUME NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "Mountpoint": "MOUNTPOINT",
    "Labels": "LABELS",
    "Links": "LINKS",
    "Size": "SIZE",
}


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of

    listing = Listing(options.format, _COLUMNS, HEADERS, "{{.Name}}" if options.quiet else "")
    found = context.client.volumes.list(filters=filters_of(options))
    from scow.cli.output.rows import volume_row

    listing.print([volume_row(each) for each in found], context)
    return 0


def _inspect(options: Options, context: Context) -> int:
    from scow.cli.output.inspect import inspect, parse_layout

    def find(name: str) -> Struct:
        from scow.words.shapes.volume import volume_shape

        return volume_shape(context.client.volumes.get(name))

    return inspect(options.args, find, parse_layout(options.format), context)


VERBS = (
    Verb(
        "volume ls",
        "[OPTIONS]",
        "List volumes",
        _list,
        flags=(FILTER, FORMAT, Flag("quiet", "q", help="Only display volume names")),
        most=0,
    ),
    Verb(
        "volume inspect",
        "[OPTIONS] VOLUME [VOLUME...]",
        "Display detailed information on one or more volumes",
        _inspect,
        flags=(INSPECT_FORMAT,),
        least=1,
    ),
)
