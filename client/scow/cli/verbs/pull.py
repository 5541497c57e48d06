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

    reference = options.args[0]
    last = reference.rpartition("/")[2]
    if not options.quiet and ":" not in last and "@" not in last:
        context.out("Using default tag: latest")
    sys.stdout.flush()
    pulling = context.client.images.pull_progress(reference, platform=options.platform)
    image = show_pull(pulling, sys.stdout, quiet=options.quiet)
    context.out(_complete(reference, list(image.references)))
    return 0


def _complete(reference: str, references: list[str]) -> str:
    """Return which of an image's references was pulled."""
    if "@" in reference or not references:
        return reference
    tagged = reference if ":" in reference.rpartition("/")[2] else f"{reference}:latest"
    matching = [known for known in references if known.endswith(f"/{tagged}") or known == tagged]
    return (matching or references)[0]


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
