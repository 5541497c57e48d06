"""`search`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FILTER, FORMAT, NO_TRUNC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.image.v1.registry_pb2 import SearchResult
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.Name}}\t{{.Description}}\t{{.StarCount}}\t{{.IsOfficial}}"
_HEADERS = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
    "IsAutomated": "AUTOMATED",
}
_DESCRIPTION_WIDTH = 45


def _search(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of

    listing = Listing(options.format, _COLUMNS, _HEADERS)
    term = options.args[0]
    found = context.client.images.search(
        term, limit=options.limit, filters=filters_of(options), auth=context.auth(term)
    )
    listing.print([_row(result, full=options.no_trunc) for result in found], context)
    return 0


def _row(result: SearchResult, *, full: bool) -> Row:
    from scow.cli.output.table import ellipsis
    from scow.words.template import Row

    description = " ".join(result.description.split())
    return Row(
        {
            "Name": result.name,
            "Description": description if full else ellipsis(description, _DESCRIPTION_WIDTH),
            "StarCount": str(result.stars),
            "IsOfficial": "[OK]" if result.official else "",
            "IsAutomated": "[OK]" if result.automated else "",
        }
    )


VERBS = (
    Verb(
        "search",
        "[OPTIONS] TERM",
        "Search Docker Hub or a registry for images",
        _search,
        flags=(
            FILTER,
            FORMAT,
            Flag("limit", kind="int", help="Max number of search results"),
            NO_TRUNC,
        ),
        least=1,
        most=1,
    ),
)
