"""`commit` and `export`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _commit(options: Options, context: Context) -> int:
    container, *rest = options.args
    image = context.client.containers.commit(
        container,
        rest[0] if rest else "",
        author=options.author,
        message=options.message,
        changes=options.change,
        pause=options.pause,
    )
    context.out(image)
    return 0


def _export(options: Options, context: Context) -> int:
    from scow.cli.io import outfile

    target = outfile.target(options.output)
    context.client.containers.export(options.args[0], target)
    return 0


VERBS = (
    Verb(
        "commit",
        "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
        "Create a new image from a container's changes",
        _commit,
        flags=(
            Flag("author", "a", "string", 'Author (e.g., "A Name <name@example.org>")'),
            Flag("change", "c", "list", "Apply Dockerfile instruction to the created image"),
            Flag("message", "m", "string", "Commit message"),
            Flag("pause", "p", help="Pause container during commit", default=True),
        ),
        least=1,
        most=2,
    ),
    Verb(
        "export",
        "[OPTIONS] CONTAINER",
        "Export a container's filesystem as a tar archive",
        _export,
        flags=(Flag("output", "o", "string", "Write to a file, instead of STDOUT"),),
        least=1,
        most=1,
    ),
)
