"""`container prune`, `image prune`, `volume prune` and `system prune`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import parse_filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from scow.cli.context import Context

FORCE = Flag("force", "f", help="Do not prompt for confirmation")
_FILTER = Flag(
    "filter",
    kind="list",
    help='Provide filter values (e.g. "until=<timestamp>")',
    parse=parse_filter,
)
_DANGLING = "all dangling images"
_UNUSED = "all images without at least one container associated to them"


def asks(options: Options) -> bool:
    """Tell whether the user is asked, and answers on standard input."""
    return not options.force


def agrees(options: Options, warning: str) -> bool:
    """Ask whether to go on, as Docker does; anything but "y" is no."""
    if not asks(options):
        return True
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "y"


def _told(context: Context, title: str, lines: Sequence[str]) -> None:
    if lines:
        context.out(title)
        for line in lines:
            context.out(line)
        context.out()


def _total(context: Context, size: int) -> None:
    from scow.words.units import human_size

    context.out(f"Total reclaimed space: {human_size(size)}")


def _images(options: Options, context: Context) -> int:
    what = _UNUSED if options.all else _DANGLING
    if agrees(options, f"WARNING! This will remove {what}."):
        _total(context, _prune_images(options, context))
    return 0


def _prune_images(options: Options, context: Context) -> int:
    from scow.cli.output.table import filters_of
    from scow.words.references import familiar

    filters = filters_of(options)
    if options.all:
        filters["dangling"] = ["false"]
    done = context.client.store.prune(filters=filters)
    lines = [f"untagged: {familiar(reference)}" for reference in done.untagged]
    lines += [f"deleted: {digest}" for digest in done.deleted]
    _told(context, "Deleted Images:", lines)
    return done.space_reclaimed


def _containers(options: Options, context: Context) -> int:
    if agrees(options, "WARNING! This will remove all stopped containers."):
        _total(context, _prune_containers(options, context))
    return 0


def _prune_containers(options: Options, context: Context) -> int:
    from scow.cli.output.table import filters_of

    done = context.client.containers.prune(filters=filters_of(options))
    _told(context, "Deleted Containers:", done.removed)
    return done.space_reclaimed


def _volumes(options: Options, context: Context) -> int:
    every = options.all or ("all", "true") in options.filter or ("all", "1") in options.filter
    kind = "all local volumes" if every else "anonymous local volumes"
    if agrees(options, f"WARNING! This will remove {kind} not used by at least one container."):
        _total(context, _prune_volumes(options, context))
    return 0


def _prune_volumes(options: Options, context: Context) -> int:
    filters: dict[str, list[str]] = {}
    for key, value in options.filter:
        filters.setdefault(key, []).append(value)
    done = context.client.volumes.prune(named=options.all, filters=filters)
    _told(context, "Deleted Volumes:", done.removed)
    return done.size


def _prune_unnamed_volumes(options: Options, context: Context) -> int:
    """Remove what `system prune --volumes` does: time is nothing that volumes are chosen by."""
    filters: dict[str, list[str]] = {}
    for key, value in options.filter:
        if key != "until":
            filters.setdefault(key, []).append(value)
    done = context.client.volumes.prune(filters=filters)
    _told(context, "Deleted Volumes:", done.removed)
    return done.size


def _networks(options: Options, context: Context) -> int:
    if agrees(
        options, "WARNING! This will remove all custom networks not used by at least one container."
    ):
        _prune_networks(options, context)
    return 0


def _prune_networks(options: Options, context: Context) -> None:
    from scow.cli.output.table import filters_of

    _told(context, "Deleted Networks:", context.client.networks.prune(filters=filters_of(options)))


def _system(options: Options, context: Context) -> int:
    parts = ["all stopped containers", "all networks not used by at least one container"]
    if options.volumes:
        parts.append("all anonymous volumes not used by at least one container")
    parts.append(_UNUSED if options.all else _DANGLING)
    listed = "".join(f"\n  - {part}" for part in parts)
    if not agrees(options, f"WARNING! This will remove:{listed}\n"):
        return 0
    size = _prune_containers(options, context)
    _prune_networks(options, context)
    if options.volumes:
        size += _prune_unnamed_volumes(options, context)
    size += _prune_images(options, context)
    _total(context, size)
    return 0


VERBS = (
    Verb(
        "container prune",
        "[OPTIONS]",
        "Remove all stopped containers",
        _containers,
        flags=(_FILTER, FORCE),
        most=0,
        reads_input=asks,
    ),
    Verb(
        "image prune",
        "[OPTIONS]",
        "Remove unused images",
        _images,
        flags=(
            Flag("all", "a", help="Remove all unused images, not just dangling ones"),
            _FILTER,
            FORCE,
        ),
        most=0,
        reads_input=asks,
    ),
    Verb(
        "network prune",
        "[OPTIONS]",
        "Remove all unused networks",
        _networks,
        flags=(_FILTER, FORCE),
        most=0,
        reads_input=asks,
    ),
    Verb(
        "volume prune",
        "[OPTIONS]",
        "Remove unused local volumes",
        _volumes,
        flags=(
            Flag("all", "a", help="Remove all unused volumes, not just anonymous ones"),
            Flag(
                "filter",
                kind="list",
                help='Provide filter values (e.g. "label=<label>")',
                parse=parse_filter,
            ),
            FORCE,
        ),
        most=0,
        reads_input=asks,
    ),
    Verb(
        "system prune",
        "[OPTIONS]",
        "Remove unused data",
        _system,
        flags=(
            Flag("all", "a", help="Remove all unused images not just dangling ones"),
            _FILTER,
            FORCE,
            Flag("volumes", help="Prune anonymous volumes"),
        ),
        most=0,
        reads_input=asks,
    ),
)
