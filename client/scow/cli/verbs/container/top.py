"""`top`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

# Go's tabwriter as Docker sets it up here.
_LEAST_WIDTH = 20


def _top(options: Options, context: Context) -> int:
    from scow.cli.io.terminal_text import one_line
    from scow.cli.output.table import aligned

    container, *ps_args = options.args
    found = context.client.containers.top(container, ps_args)
    rows = [list(found.titles), *(list(process.values) for process in found.processes)]
    lines = ["\t".join(one_line(value, sys.stdout) for value in row) for row in rows]
    for line in aligned(lines, _LEAST_WIDTH):
        context.out(line)
    return 0


VERBS = (
    Verb(
        "top",
        "CONTAINER [ps OPTIONS]",
        "Display the running processes of a container",
        _top,
        least=1,
        interspersed=False,
    ),
)
