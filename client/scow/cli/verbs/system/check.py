"""`system check`: a verb that Docker does not have."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Verb
from scow.cli.io.terminal_text import control
from scow.cli.output.table import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.image.v1.store_pb2 import CheckFinding, CheckProgress, CheckResult
    from scow.cli.context import Context
    from scow.words.template import Row

_COLUMNS = r"{{.Kind}}\t{{.ID}}\t{{.Fault}}\t{{.Action}}\t{{.Repaired}}\t{{.Images}}\t{{.Detail}}"
_HEADERS = {
    "Kind": "KIND",
    "ID": "ID",
    "Fault": "FAULT",
    "Action": "ACTION",
    "Repaired": "REPAIRED",
    "Images": "IMAGES",
    "Detail": "DETAIL",
}
_DETAIL_WIDTH = 60


def _check(options: Options, context: Context) -> int:
    from scow.cli.output.table import Listing

    listing = Listing(options.format, _COLUMNS, _HEADERS)
    findings: list[CheckFinding] = []
    result: CheckResult | None = None
    shows = sys.stderr.isatty() and not options.quiet
    checking = context.client.store.check_progress(options.args, repair=options.repair)
    with checking as messages:
        for message in messages:
            kind = message.WhichOneof("message")
            if kind == "finding":
                findings.append(message.finding)
            elif kind == "result":
                result = message.result
            elif shows:
                _progress(message.progress)
    if shows:
        control(sys.stderr, "\r\x1b[K")
    if findings or options.format:
        listing.print([_row(each, full=options.no_trunc) for each in findings], context)
    if result is None:
        context.fail("the check ended without a result: check again")
        return 1
    if not options.quiet and not options.format:
        context.out(_summary(result))
    return 1 if result.faults > result.repaired else 0


def _progress(progress: CheckProgress) -> None:
    from scow.words.units import human_size

    text = f"{human_size(progress.current, 3)} of {human_size(progress.total, 3)}"
    control(sys.stderr, f"\r\x1b[KChecking {text}")
    sys.stderr.flush()


def _row(finding: CheckFinding, *, full: bool) -> Row:
    from scow.cli.output.table import ellipsis, short_id
    from scow.words.references import familiar
    from scow.words.template import Row

    return Row(
        Kind=finding.kind,
        ID=finding.id if full else short_id(finding.id),
        Fault=finding.fault,
        Action=finding.action or "-",
        Repaired="yes" if finding.repaired else "no",
        Images=",".join(familiar(name) for name in finding.images) or "-",
        Detail=finding.detail if full else ellipsis(finding.detail, _DETAIL_WIDTH),
    )


def _summary(result: CheckResult) -> str:
    from scow.words.units import human_size

    checked = (
        f"Checked {result.blobs} blobs, {result.layers} layers and {result.images} images"
        f" ({human_size(result.size, 3)})"
    )
    if not result.faults:
        return f"{checked}: all is right"
    left = result.faults - result.repaired
    return f"{checked}: {result.faults} faults, {result.repaired} repaired, {left} left"


VERBS = (
    Verb(
        "system check",
        "[OPTIONS] [IMAGE...]",
        "Check images and repair what is damaged (scow's own)",
        _check,
        flags=(
            FORMAT,
            Flag("no-trunc", help="Don't truncate output"),
            Flag("quiet", "q", help="Only show what is wrong"),
            Flag("repair", help="Put aside and make anew what is damaged"),
        ),
    ),
)
