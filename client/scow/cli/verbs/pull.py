"""`pull`."""

from __future__ import annotations

import sys

from scow.cli.container_flags import PLATFORM
from scow.cli.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _pull(options: Options, context: Context) -> int:
    from scow.cli.progress import show_pull
    from scow.cli.references import with_tag

    reference = options.args[0]
    tagged = with_tag(reference)
    if not options.quiet and tagged != reference:
        context.out("Using default tag: latest")
    sys.stdout.flush()
    pulling = context.client.images.pull_progress(
        reference, platform=options.platform, auth=context.auth(reference)
    )
    image = show_pull(pulling, reference, sys.stdout, quiet=options.quiet)
    context.out(_complete(tagged, list(image.references)))
    return 0


def _complete(reference: str, references: list[str]) -> str:
    """Return which of an image's references was pulled."""
    return next((known for known in references if f"/{known}".endswith(f"/{reference}")), reference)


VERBS = (
    Verb(
        "pull",
        "[OPTIONS] NAME[:TAG|@DIGEST]",
        "Download an image from a registry",
        _pull,
        flags=(
            PLATFORM,
            Flag("quiet", "q", help="Suppress verbose output"),
        ),
        least=1,
        most=1,
    ),
)
