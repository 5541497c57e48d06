"""`builder du` and `builder prune`: the cache of builds."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Refused, Verb
from scow.cli.output.table import FILTER, FORMAT
from scow.client import specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.build.v1 import build_pb2 as pb
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.ID}}\t{{.Reclaimable}}\t{{.Size}}\t{{.LastUsed}}"
_HEADERS = {
    "ID": "ID",
    "Reclaimable": "RECLAIMABLE",
    "Size": "SIZE",
    "LastUsed": "LAST ACCESSED",
    "Type": "TYPE",
    "Description": "DESCRIPTION",
    "UsageCount": "USAGE COUNT",
    "Shared": "SHARED",
}
_QUESTION = (
    "WARNING! This will remove all dangling build cache. Are you sure you want to continue? [y/N] "
)


def _usage(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing, filters_of
    from scow.words.units import human_size

    listing = Listing(options.format, _COLUMNS, _HEADERS)
    records = context.client.builds.disk_usage(filters=filters_of(options))
    if options.verbose:
        for record in records:
            context.block(_described(record))
    else:
        listing.print([_row(record) for record in records], context)
    if options.format:
        return 0
    free = sum(record.size for record in records if not record.in_use)
    context.block(f"Reclaimable:\t{human_size(free)}")
    context.block(f"Total:\t\t{human_size(sum(record.size for record in records))}")
    return 0


def _row(record: pb.CacheRecord) -> Row:
    import time

    from scow.words.template import Row
    from scow.words.units import human_duration, human_size

    used = human_duration(time.time() - record.used_at.ToNanoseconds() / 1e9)
    return Row(
        {
            "ID": record.id[:25],
            "Reclaimable": str(not record.in_use).lower(),
            "Size": human_size(record.size),
            "LastUsed": f"{used} ago",
            "Type": record.type,
            "Description": record.description,
            "UsageCount": str(record.usage_count),
            "Shared": str(record.shared).lower(),
        }
    )


def _described(record: pb.CacheRecord) -> str:
    from scow.words.times import moment
    from scow.words.units import human_size

    return "\n".join(
        (
            f"ID:\t\t{record.id}",
            f"Created at:\t{moment(record.created_at.ToNanoseconds())}",
            f"Reclaimable:\t{str(not record.in_use).lower()}",
            f"Shared:\t\t{str(record.shared).lower()}",
            f"Size:\t\t{human_size(record.size)}",
            f"Description:\t{record.description}",
            f"Usage count:\t{record.usage_count}",
            f"Last used:\t{moment(record.used_at.ToNanoseconds())}",
            f"Type:\t\t{record.type}",
            "",
        )
    )


def _prune(options: Options, context: Context) -> int:
    from scow.words.units import human_size

    if not options.force and not _agreed():
        return 0
    from scow.cli.output.table import filters_of

    result = context.client.builds.prune(
        filters=filters_of(options),
        all=options.all,
        keep_size=options.keep_storage or options.reserved_space,
        max_used_size=options.max_used_space,
        min_free_size=options.min_free_space,
    )
    for record in result.removed:
        context.out(record.id)
    context.block(f"Total:\t{human_size(result.space_reclaimed)}")
    return 0


def _agreed() -> bool:
    try:
        return input(_QUESTION).strip().lower() == "y"
    except EOFError:
        raise Refused("nobody answers on standard input: give --force") from None


VERBS = (
    Verb(
        "builder du",
        "[OPTIONS]",
        "Disk usage of the build cache",
        _usage,
        flags=(
            FILTER,
            FORMAT,
            Flag("verbose", help="Provide a more verbose output"),
        ),
        most=0,
    ),
    Verb(
        "builder prune",
        "[OPTIONS]",
        "Remove build cache",
        _prune,
        flags=(
            Flag("all", "a", help="Remove all unused build cache, not just dangling ones"),
            FILTER,
            Flag("force", "f", help="Do not prompt for confirmation"),
            Flag(
                "keep-storage",
                kind="int",
                shows="bytes",
                help="Amount of disk space to keep for cache",
                parse=specs.parse_size,
            ),
            Flag(
                "reserved-space",
                kind="int",
                shows="bytes",
                help="Same as --keep-storage",
                parse=specs.parse_size,
            ),
            Flag(
                "max-used-space",
                kind="int",
                shows="bytes",
                help="Maximum amount of disk space allowed to keep for cache",
                parse=specs.parse_size,
            ),
            Flag(
                "min-free-space",
                kind="int",
                shows="bytes",
                help="Target amount of free disk space after pruning",
                parse=specs.parse_size,
            ),
        ),
        most=0,
        reads_input=lambda options: not options.force,
    ),
)
