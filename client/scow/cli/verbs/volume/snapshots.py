"""`volume snapshot` and `volume clone`."""

from __future__ import annotations

from scow.cli.flags.container_flags import label_text
from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.cli.output.table import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_COLUMNS = r"{{.Volume}}\t{{.Name}}\t{{.CreatedSince}}\t{{.Size}}"
_HEADERS = {
    "Volume": "VOLUME",
    "Name": "SNAPSHOT",
    "Reference": "REFERENCE",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "Shared": "SHARED",
    "Frozen": "FROZEN",
    "Labels": "LABELS",
}
_FREEZE = Flag(
    "freeze", help="Freeze the containers that run with the volume until the copy is whole"
)
_LABEL = Flag("label", kind="list", help="Set metadata", parse=label_text)
_REFERENCE = "VOLUME@SNAPSHOT"


def parted(text: str) -> tuple[str, str]:
    """Return the volume and the snapshot of "VOLUME[@SNAPSHOT]"; an empty snapshot where none is named."""
    volume, at, snapshot = text.partition("@")
    if not volume or (at and not snapshot):
        raise UsageError(f"invalid reference {text!r}: expected {_REFERENCE}", 1)
    return volume, snapshot


def _named(text: str) -> tuple[str, str]:
    volume, snapshot = parted(text)
    if not snapshot:
        raise UsageError(f"invalid reference {text!r}: expected {_REFERENCE}", 1)
    return volume, snapshot


def _create(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    volume, name = parted(options.args[0])
    made = context.client.snapshots.create(
        volume, name, labels=labels([], options.label), freeze=options.freeze
    )
    context.out(f"{made.volume}@{made.name}")
    return 0


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.Reference}}" if options.quiet else "")
    found = context.client.snapshots.list(options.args[0] if options.args else "")
    from scow.cli.output.rows import snapshot_row

    listing.print([snapshot_row(each) for each in found], context)
    return 0


def _remove(options: Options, context: Context) -> int:
    chosen = {text: _named(text) for text in options.args}

    def remove(text: str) -> str:
        context.client.snapshots.remove(*chosen[text])
        return text

    return context.each(options.args, remove)


def _restore(options: Options, context: Context) -> int:
    import sys

    volume, name = _named(options.args[0])
    for owner in context.client.snapshots.restore(volume, name, force=options.force):
        told = (
            f"{owner.removeprefix('container/')[:12]} keeps the former content until it has ended"
        )
        print(f"scow: {told}", file=sys.stderr)
    context.out(volume)
    return 0


def _clone(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    volume, snapshot = parted(options.args[0])
    made = context.client.snapshots.clone(
        volume,
        options.args[1] if len(options.args) > 1 else "",
        snapshot=snapshot,
        labels=labels([], options.label),
        freeze=options.freeze,
    )
    context.out(made.name)
    return 0


VERBS = (
    Verb(
        "volume snapshot create",
        "[OPTIONS] VOLUME[@SNAPSHOT]",
        "Copy what a volume has now",
        _create,
        flags=(_FREEZE, _LABEL),
        least=1,
        most=1,
    ),
    Verb(
        "volume snapshot ls",
        "[OPTIONS] [VOLUME]",
        "List snapshots",
        _list,
        flags=(FORMAT, Flag("quiet", "q", help="Only display references")),
        most=1,
    ),
    Verb(
        "volume snapshot rm",
        f"{_REFERENCE} [{_REFERENCE}...]",
        "Remove one or more snapshots",
        _remove,
        least=1,
    ),
    Verb(
        "volume snapshot restore",
        f"[OPTIONS] {_REFERENCE}",
        "Give a volume the content of a snapshot",
        _restore,
        flags=(
            Flag(
                "force",
                "f",
                help="Also while containers run with it; these keep what it had until they end",
            ),
        ),
        least=1,
        most=1,
    ),
    Verb(
        "volume clone",
        "[OPTIONS] VOLUME[@SNAPSHOT] [NEW_VOLUME]",
        "Make a volume with the content of another one, or of a snapshot (scow's own)",
        _clone,
        flags=(_FREEZE, _LABEL),
        least=1,
        most=2,
    ),
)
