"""`volume export` and `volume import`."""

from __future__ import annotations

import os
import sys

from scow.cli.flags.container_flags import label_text
from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.cli.verbs.volume.snapshots import parted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _export(options: Options, context: Context) -> int:
    from scow.cli.io import outfile

    volume, snapshot = parted(options.args[0])
    context.client.volumes.export(volume, outfile.target(options.output), snapshot=snapshot)
    return 0


def _source(options: Options) -> str:
    return options.args[1] if len(options.args) > 1 else "-"


def _import(options: Options, context: Context) -> int:
    from scow.cli.io.files import labels

    source = _source(options)
    if source != "-" and not os.path.isfile(source):
        raise UsageError(f"open {source}: no such file", 1)
    made = context.client.volumes.import_tar(
        sys.stdin.buffer if source == "-" else source,
        options.args[0],
        labels=labels([], options.label),
        devices=options.devices,
    )
    context.warn_all(
        f"the engine's file system does not take the extended attribute {name}: the volume has none"
        for name in made.skipped_xattrs
    )
    context.out(made.volume.name)
    return 0


VERBS = (
    Verb(
        "volume export",
        "[OPTIONS] VOLUME[@SNAPSHOT]",
        "Export what a volume or a snapshot has as a tar archive (scow's own)",
        _export,
        flags=(Flag("output", "o", "string", "Write to a file, instead of STDOUT"),),
        least=1,
        most=1,
    ),
    Verb(
        "volume import",
        "[OPTIONS] VOLUME [file|-]",
        "Make a volume of a tar archive (scow's own)",
        _import,
        flags=(
            Flag("devices", help="Take device nodes too"),
            Flag("label", kind="list", help="Set metadata", parse=label_text),
        ),
        least=1,
        most=2,
        reads_input=lambda options: _source(options) == "-",
    ),
)
