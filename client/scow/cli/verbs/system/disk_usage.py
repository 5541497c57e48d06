"""`system df`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from scow.api.container.v1.container_pb2 import Container
    from scow.api.image.v1.store_pb2 import DiskUsageResponse
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}"
_HEADERS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
_IMAGES = (
    r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}"
    r"\t{{.UniqueSize}}\t{{.Containers}}"
)
_CONTAINERS = (
    r"{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}"
    r"\t{{.Status}}\t{{.Names}}"
)
_VOLUMES = r"{{.Name}}\t{{.Links}}\t{{.Size}}"
_BUILD_CACHE = "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED"


def _df(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    listing = Listing(options.format, _COLUMNS, _HEADERS)
    client = context.client
    usage = client.store.usage()
    sizes = {item.id: item.size for item in usage.items if item.kind == "snapshot"}
    containers = client.containers.list(all=True)
    volume_sizes = client.volumes.usage()
    if options.verbose:
        if options.format in ("", "table"):
            _show(_detailed(context, containers, sizes, volume_sizes), context)
        else:
            listing.print([_detailed(context, containers, sizes, volume_sizes, full=True)], context)
        return 0
    links = {volume.name: len(volume.owners) for volume in client.volumes.list()}
    rows = [
        _image_row(usage),
        _container_row(containers, sizes),
        _volume_row(volume_sizes, links),
        _row("Build Cache", 0, 0, 0, 0),
    ]
    listing.print(rows, context)
    return 0


def _row(kind: str, total: int, active: int, size: int, reclaimable: int) -> Row:
    from scow.words.template import Row
    from scow.words.units import human_size

    text = human_size(reclaimable)
    if size > 0:
        text += f" ({100 * reclaimable // size}%)"
    return Row(
        Type=kind,
        TotalCount=str(total),
        Active=str(active),
        Size=human_size(size),
        Reclaimable=text,
    )


def _image_row(usage: DiskUsageResponse) -> Row:
    images = [item for item in usage.items if item.kind == "image"]
    active = sum(item.in_use for item in images)
    return _row("Images", len(images), active, usage.images_size, usage.images_reclaimable)


def _container_row(containers: Iterable[Container], sizes: dict[str, int]) -> Row:
    from scow.api.container.v1 import container_pb2 as pb

    total, active, size, idle = 0, 0, 0, 0
    for container in containers:
        runs = container.status in (pb.STATUS_RUNNING, pb.STATUS_PAUSED)
        own = sizes.get(f"container/{container.id}", 0)
        total += 1
        active += runs
        size += own
        idle += 0 if runs else own
    return _row("Containers", total, active, size, idle)


def _volume_row(sizes: dict[str, int], links: dict[str, int]) -> Row:
    active = sum(links.get(name, 0) > 0 for name in sizes)
    idle = sum(size for name, size in sizes.items() if not links.get(name, 0))
    return _row("Local Volumes", len(sizes), active, sum(sizes.values()), idle)


def _detailed(
    context: Context,
    containers: Iterable[Container],
    sizes: dict[str, int],
    volume_sizes: dict[str, int],
    *,
    full: bool = False,
) -> Row:
    """Return the lines of each kind, as a template of `--verbose` sees them; with `full` nothing is cut."""
    from scow.cli.output.rows import container_row, image_rows, volume_row
    from scow.words.template import Row
    from scow.words.units import human_size

    images = context.client.images.list(all=True, sizes=True)
    volumes = []
    for each in context.client.volumes.list():
        row = volume_row(each)
        row["Links"] = str(len(each.owners))
        row["Size"] = human_size(volume_sizes.get(each.name, 0))
        volumes.append(row)
    return Row(
        Images=[row for image in images for row in image_rows(image, full=full)],
        Containers=[
            container_row(each, (sizes.get(f"container/{each.id}", 0), 0), full=full)
            for each in containers
        ],
        Volumes=volumes,
        BuildCache=[],
    )


def _show(found: Row, context: Context) -> None:
    """Print the lines of each kind as a table of its own."""
    from scow.cli.output.table import Listing
    from scow.cli.verbs.container import ps
    from scow.cli.verbs.image import list as image_verbs
    from scow.cli.verbs.volume import volume

    context.block("Images space usage:\n")
    Listing("", _IMAGES, image_verbs.HEADERS).print(found["Images"], context)
    context.block("\nContainers space usage:\n")
    heads = {**ps.HEADERS, "RunningFor": "CREATED"}
    Listing("", _CONTAINERS, heads).print(found["Containers"], context)
    context.block("\nLocal Volumes space usage:\n")
    Listing("", _VOLUMES, volume.HEADERS).print(found["Volumes"], context)
    context.block(f"\nBuild cache usage: 0B\n\n{_BUILD_CACHE}")


VERBS = (
    Verb(
        "system df",
        "[OPTIONS]",
        "Show scow disk usage",
        _df,
        flags=(FORMAT, Flag("verbose", "v", help="Show detailed information on space usage")),
        most=0,
    ),
)
