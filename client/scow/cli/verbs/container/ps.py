"""`ps`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.cli.output.table import FILTER, FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_COLUMNS = (
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}"
)
HEADERS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}
# Filters that ask for containers that do not run.
_OF_ALL = ("status", "exited")


def _ps(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of

    filters = filters_of(options)
    limit = 1 if options.latest else options.last if options.last > 0 else 0
    if "last" in options.given and options.last < -1:
        raise UsageError("invalid number of containers to show: it must not be negative", 1)
    columns = _COLUMNS + (r"\t{{.Size}}" if options.size else "")
    listing = Listing(options.format, columns, HEADERS, "{{.ID}}" if options.quiet else "")
    containers = context.client.containers
    found = containers.list(
        all=options.all or bool(limit) or any(key in filters for key in _OF_ALL),
        filters=filters,
        limit=limit,
    )
    from scow.cli.output.rows import container_row

    sizes = {}
    if listing.shows("Size"):
        from scow.contract.errors import NotFound

        for container in found:
            try:
                sized = containers.get_with_size(container.id)
            except NotFound:  # removed in the meantime
                continue
            sizes[container.id] = (sized.size_rw, sized.size_root_fs)
    rows = [container_row(each, sizes.get(each.id), full=options.no_trunc) for each in found]
    listing.print(rows, context)
    return 0


VERBS = (
    Verb(
        "ps",
        "[OPTIONS]",
        "List containers",
        _ps,
        flags=(
            Flag("all", "a", help="Show all containers (default shows just running)"),
            FILTER,
            FORMAT,
            Flag(
                "last",
                "n",
                "int",
                "Show n last created containers (includes all states)",
                default=-1,
            ),
            Flag("latest", "l", help="Show the latest created container (includes all states)"),
            NO_TRUNC,
            Flag("quiet", "q", help="Only display container IDs"),
            Flag("size", "s", help="Display total file sizes"),
        ),
        most=0,
    ),
)
