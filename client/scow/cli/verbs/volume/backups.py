"""`volume backup` and `volume restore`."""

from __future__ import annotations

import sys

from scow.cli.flags.container_flags import label_text
from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.verbs.volume.snapshots import parted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

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


VERBS = (
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
