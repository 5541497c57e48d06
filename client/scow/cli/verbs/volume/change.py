"""`volume create`, `volume rm` and `volume update`."""

from __future__ import annotations

from scow.cli.flags.container_flags import label_text, pair
from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _create(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    name = options.args[0] if options.args else options.name
    if options.args and options.name:
        raise UsageError(
            "conflicting options: cannot specify a volume-name through both --name and"
            " as a positional arg",
            1,
        )
    volume = context.client.volumes.create(
        name,
        driver=options.driver,
        labels=labels([], options.label),
        options=dict(options.opt),
        size=options.size or 0,
        inodes=options.inodes or 0,
    )
    context.out(volume.name)
    return 0


def _remove(options: Options, context: Context) -> int:
    def remove(name: str) -> str:
        context.client.volumes.remove(name, force=options.force)
        return name

    return context.each(options.args, remove)


def _size(text: str) -> int:
    from scow.words.units import parse_size

    return parse_size(text)


def _update(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    added = labels([], options.label_add)
    relabels = bool(added or options.label_rm)
    limits = {name: getattr(options, name) for name in ("size", "inodes") if name in options.given}
    if not relabels and not limits:
        raise UsageError("nothing to update: use --label-add, --label-rm, --size or --inodes", 1)

    def update(name: str) -> str:
        if limits:
            context.client.volumes.limit(name, **limits)
        if relabels:
            context.client.volumes.update(name, labels=added, remove_labels=options.label_rm)
        return name

    return context.each(options.args, update)


_LIMITS = (
    Flag("inodes", kind="int", help="Limit files and directories (0 for no limit)"),
    Flag(
        "size",
        kind="string",
        help="Limit bytes on the disk, where the file system can (0 for no limit)",
        parse=_size,
        shows="bytes",
    ),
)

VERBS = (
    Verb(
        "volume create",
        "[OPTIONS] [VOLUME]",
        "Create a volume",
        _create,
        flags=(
            *_LIMITS,
            Flag("driver", "d", "string", "Specify volume driver name", default="local"),
            Flag("label", kind="list", help="Set metadata for a volume", parse=label_text),
            Flag("name", kind="string", help="Specify volume name"),
            Flag("opt", "o", "list", "Set driver specific options", parse=pair, shows="map"),
        ),
        most=1,
    ),
    Verb(
        "volume rm",
        "[OPTIONS] VOLUME [VOLUME...]",
        "Remove one or more volumes",
        _remove,
        flags=(Flag("force", "f", help="Force the removal of one or more volumes"),),
        least=1,
    ),
    Verb(
        "volume update",
        "[OPTIONS] VOLUME [VOLUME...]",
        "Change labels and limits of volumes",
        _update,
        flags=(
            *_LIMITS,
            Flag("label-add", kind="list", help="Add or update a label", parse=label_text),
            Flag("label-rm", kind="list", help="Remove a label if it is there"),
        ),
        least=1,
    ),
)
