"""`history`."""

from __future__ import annotations

import time

from scow.cli.flags.container_flags import PLATFORM
from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from scow.api.image.v1.image_pb2 import GetResponse
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}"
_HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_MISSING = "<missing>"
_CREATED_BY_WIDTH = 45


def _history(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    columns = _COLUMNS if options.human else _COLUMNS.replace("CreatedSince", "CreatedAt")
    listing = Listing(options.format, columns, _HEADERS, "{{.ID}}" if options.quiet else "")
    details = context.client.images.details(options.args[0], platform=options.platform)
    listing.print(_rows(details, full=options.no_trunc, human=options.human), context)
    return 0


def _rows(details: GetResponse, *, full: bool, human: bool) -> Iterator[Row]:
    """Yield a line for each step, the newest first; the newest alone has the image's id, as in Docker."""
    from scow.cli.output.table import ellipsis, short_id
    from scow.words.shapes.common import nanoseconds
    from scow.words.template import Row
    from scow.words.times import whole_moment
    from scow.words.units import human_duration, human_size

    now = time.time_ns()
    image = details.image.id if full else short_id(details.image.id)
    for number, step in enumerate(reversed(details.history)):
        created = nanoseconds(step, "created_at")
        by = step.created_by.replace("\t", " ")
        since = f"{human_duration((now - created) / 1e9)} ago" if created > 0 else "N/A"
        yield Row(
            ID=_MISSING if number else image,
            CreatedSince=since if human else whole_moment(created),
            CreatedAt=whole_moment(created),
            CreatedBy=by if full else ellipsis(by, _CREATED_BY_WIDTH),
            Size=human_size(step.size, 3) if human else str(step.size),
            Comment=step.comment,
        )


VERBS = (
    Verb(
        "history",
        "[OPTIONS] IMAGE",
        "Show the history of an image",
        _history,
        flags=(
            FORMAT,
            Flag(
                "human",
                "H",
                help="Print sizes and dates in human readable format",
                default=True,
            ),
            NO_TRUNC,
            PLATFORM,
            Flag("quiet", "q", help="Only show image IDs"),
        ),
        least=1,
        most=1,
    ),
)
