"""`why`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _why(options: Options, context: Context) -> int:
    if options.lines < 0:
        raise UsageError("the number of lines must not be negative", 1)
    for container in options.args:
        for line in context.client.containers.why(container, lines=options.lines):
            context.out(line)
    return 0


VERBS = (
    Verb(
        "why",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        "Tell why a container ended (scow's own)",
        _why,
        flags=(Flag("lines", "n", "int", "Last lines of its log to show", default=5),),
        least=1,
    ),
)
