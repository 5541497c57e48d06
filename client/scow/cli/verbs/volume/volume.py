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
    "Fault": "FAULT",
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
        shape = described(name, context)
        if options.size:
            size = context.client.volumes.usage([name]).get(name, -1)
            # As in Docker's API: -1 where it cannot be counted.
            shape["UsageData"] = Struct(RefCount=len(shape["Uses"]), Size=size)
        return shape

    from scow.words.template import Struct

    return inspect(options.args, find, parse_layout(options.format), context)


def described(name: str, context: Context) -> Struct:
    """Return what `inspect` tells of a volume.

    Raises:
        VolumeNotFound: No such volume.
    """
    from scow.contract.errors import NotFound
    from scow.words.shapes.volume import volume_shape
    from scow.words.template import Struct

    volume = context.client.volumes.get(name)
    names = {}
    for owner in volume.owners:
        container = owner.removeprefix("container/")
        try:
            names[container] = context.client.containers.get(container).name
        except NotFound:  # gone meanwhile
            continue
    shape = volume_shape(volume, names)
    limits = context.client.volumes.limits(name)
    if limits is not None:
        shape["Limits"] = Struct(
            Size=limits.size,
            Inodes=limits.inodes,
            UsedSize=limits.used_size,
            UsedInodes=limits.used_inodes,
        )
    return shape


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
        flags=(INSPECT_FORMAT, Flag("size", "s", help="Count the bytes of the data too")),
        least=1,
    ),
)
