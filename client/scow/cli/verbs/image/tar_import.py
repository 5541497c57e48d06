"""`import`."""

from __future__ import annotations

import os
import sys

from scow.cli.flags.container_flags import PLATFORM
from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _import(options: Options, context: Context) -> int:
    source, *rest = options.args
    about = {
        "reference": rest[0] if rest else "",
        "message": options.message,
        "changes": options.change,
        "platform": options.platform,
    }
    if source.startswith(("http://", "https://")):
        image = context.client.images.import_url(source, **about)
    else:
        if source != "-" and not os.path.isfile(source):
            raise UsageError(f"open {source}: no such file", 1)
        file = sys.stdin.buffer if source == "-" else source
        image = context.client.images.import_tar(file, **about)
    context.out(image.id)
    return 0


VERBS = (
    Verb(
        "import",
        "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
        "Import the contents from a tarball to create a filesystem image",
        _import,
        flags=(
            Flag("change", "c", "list", "Apply Dockerfile instruction to the created image"),
            Flag("message", "m", "string", "Set commit message for imported image"),
            PLATFORM,
        ),
        least=1,
        most=2,
        reads_input=lambda options: options.args[0] == "-",
    ),
)
