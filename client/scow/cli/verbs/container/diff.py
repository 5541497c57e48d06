"""`diff`."""

from __future__ import annotations

from scow.cli.flags.parser import Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context

# By FileChange.Kind.
_LETTERS = ("?", "C", "A", "D")


def _diff(options: Options, context: Context) -> int:
    with context.client.containers.diff_stream(options.args[0]) as messages:
        for message in messages:
            for change in message.changes:
                context.out(f"{_LETTERS[change.kind]} {change.path.decode(errors='replace')}")
    return 0


VERBS = (
    Verb(
        "diff",
        "CONTAINER",
        "Inspect changes to files or directories on a container's filesystem",
        _diff,
        least=1,
        most=1,
    ),
)
