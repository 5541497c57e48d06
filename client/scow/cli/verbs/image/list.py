"""`images`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FILTER, FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_COLUMNS = r"{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
_DIGEST_COLUMNS = r"{{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}"
HEADERS = {
    "ID": "IMAGE ID",
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "Containers": "CONTAINERS",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "SIZE",
    "Platform": "PLATFORM",
}


def _images(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of

    filters = filters_of(options)
    if options.args:
        filters["reference"] = [*filters.get("reference", ()), options.args[0]]
    columns = _DIGEST_COLUMNS if options.digests else _COLUMNS
    listing = Listing(options.format, columns, HEADERS, "{{.ID}}" if options.quiet else "")
    sizes = listing.shows("SharedSize") or listing.shows("UniqueSize")
    found = context.client.images.list(all=options.all, filters=filters, sizes=sizes)
    from scow.cli.output.rows import image_rows

    rows = [row for image in found for row in image_rows(image, full=options.no_trunc)]
    listing.print(rows, context)
    return 0


VERBS = (
    Verb(
        "images",
        "[OPTIONS] [REPOSITORY[:TAG]]",
        "List images",
        _images,
        flags=(
            Flag(
                "all",
                "a",
                help="Show all images (default hides those that only a multi-platform image holds)",
            ),
            Flag("digests", help="Show digests"),
            FILTER,
            FORMAT,
            NO_TRUNC,
            Flag("quiet", "q", help="Only show image IDs"),
        ),
        most=1,
    ),
)
