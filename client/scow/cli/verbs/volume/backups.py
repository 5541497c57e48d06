"""`volume backup`, `volume restore` and `volume backups`."""

from __future__ import annotations

import sys

from scow.cli.flags.container_flags import label_text
from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.output.table import FORMAT
from scow.cli.verbs.volume.snapshots import parted
from scow.client.supervision_specs import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

_COLUMNS = r"{{.Volume}}\t{{.Reference}}\t{{.CreatedSince}}\t{{.Digest}}"
_HEADERS = {
    "Volume": "VOLUME",
    "Reference": "REFERENCE",
    "CreatedAt": "CREATED AT",
    "CreatedSince": "CREATED",
    "Digest": "DIGEST",
}
_QUIET = Flag("quiet", "q", help="Print nothing but the result")


def _backup(options: Options, context: Context) -> int:
    from scow.words.units import human_size

    text, reference = options.args
    volume, snapshot = parted(text)
    done = context.client.backups.backup(
        volume,
        reference,
        snapshot=snapshot,
        freeze=options.freeze,
        full=options.full,
        base=options.base,
        auth=context.auth(reference),
    )
    if not options.quiet:
        sizes = [human_size(size, 3) for size in (done.size, done.sent, done.reused)]
        told = "read {}, sent {}, the registry had {}".format(*sizes)
        print(told, file=sys.stderr)
    context.out(f"{reference.partition('@')[0]}@{done.digest}")
    return 0


def _restore(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels
    from scow.words.units import human_size

    reference, *rest = options.args
    done = context.client.backups.restore(
        reference,
        rest[0] if rest else "",
        labels=labels([], options.label),
        devices=options.devices,
        auth=context.auth(reference),
    )
    if not options.quiet:
        told = f"received {human_size(done.received, 3)}, wrote {human_size(done.size, 3)}"
        print(told, file=sys.stderr)
    context.out(done.volume.name)
    return 0


def _list(options: Options, context: Context) -> int:
    from scow.cli.output.rows import backup_row
    from scow.cli.output.table import Listing

    (repository,) = options.args
    listing = Listing(options.format, _COLUMNS, _HEADERS, "{{.Reference}}" if options.quiet else "")
    found = context.client.backups.list(repository, auth=context.auth(repository))
    rows = [backup_row(each, repository, tag) for each in found for tag in each.tags]
    listing.print(rows, context)
    return 0


def _prune(options: Options, context: Context) -> int:
    from scow.cli.verbs.system.prune import agrees

    (repository,) = options.args
    warning = f"WARNING! This will delete the backups at {repository} that are not to be kept."
    if not (options.dry_run or agrees(options, warning)):
        return 0
    done = context.client.backups.prune(
        repository,
        keep_last=options.keep_last or 0,
        keep_within=(options.keep_within or 0) / 1e9,
        dry_run=options.dry_run,
        auth=context.auth(repository),
    )
    for backup in done.removed:
        for tag in backup.tags:
            context.out(f"{repository}:{tag}")
    return 0


VERBS = (
    Verb(
        "volume backups ls",
        "[OPTIONS] REPOSITORY",
        "List the backups of a repository (scow's own)",
        _list,
        flags=(FORMAT, Flag("quiet", "q", help="Only display references")),
        least=1,
        most=1,
    ),
    Verb(
        "volume backups prune",
        "[OPTIONS] REPOSITORY",
        "Delete old backups of a repository (scow's own)",
        _prune,
        flags=(
            Flag("keep-last", kind="int", help="Keep so many of each volume, the newest ones"),
            Flag(
                "keep-within",
                kind="int",
                help="Keep those that are not older too (168h)",
                parse=parse_duration,
                shows="duration",
            ),
            Flag("dry-run", help="Delete nothing, only tell"),
            Flag("force", "f", help="Do not prompt for confirmation"),
        ),
        least=1,
        most=1,
        reads_input=lambda options: not (options.force or options.dry_run),
    ),
    Verb(
        "volume backup",
        "[OPTIONS] VOLUME[@SNAPSHOT] REFERENCE",
        "Send a volume or a snapshot to a registry (scow's own)",
        _backup,
        flags=(
            Flag(
                "freeze",
                help="Freeze the containers that run with the volume while it is copied aside",
            ),
            Flag("base", kind="string", help="Another backup of the repository to build on"),
            Flag("full", help="Send everything again, whatever the registry has"),
            _QUIET,
        ),
        least=2,
        most=2,
    ),
    Verb(
        "volume restore",
        "[OPTIONS] REFERENCE [VOLUME]",
        "Make a volume of a backup at a registry (scow's own)",
        _restore,
        flags=(
            Flag("devices", help="Take device nodes too"),
            Flag("label", kind="list", help="Set metadata", parse=label_text),
            _QUIET,
        ),
        least=1,
        most=2,
    ),
)
