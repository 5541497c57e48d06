"""`pull`."""

from __future__ import annotations

import sys

from scow.cli.flags.container_flags import PLATFORM
from scow.cli.flags.docker_trust import DISABLE_CONTENT_TRUST, refuse_docker_trust
from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _pull(options: Options, context: Context) -> int:
    from scow.words.references import parted, with_tag

    refuse_docker_trust(options)
    reference = options.args[0]
    if options.all_platforms and options.platform:
        raise UsageError("conflicting options: --platform and --all-platforms", 1)
    if options.all_tags:
        if parted(reference)[1] or "@" in reference:
            raise UsageError("tag can't be used with --all-tags/-a", 1)
        for tag in _tags(reference, context):
            _one(f"{reference}:{tag}", options, context)
        context.out(reference)
        return 0
    tagged = with_tag(reference)
    if not options.quiet and tagged != reference:
        context.out("Using default tag: latest")
    context.out(_one(reference, options, context))
    return 0


def _tags(repository: str, context: Context) -> list[str]:
    """Return the tags of a repository, without those that stand for signatures and the like of a digest."""
    tags = context.client.images.tags(repository, auth=context.auth(repository))
    return [tag for tag in tags if not tag.startswith("sha256-")]


def _one(reference: str, options: Options, context: Context) -> str:
    """Pull one reference; return it in full."""
    from scow.cli.output.progress import show_pull
    from scow.words.references import with_tag

    before = None if options.quiet else _known(reference, context)
    sys.stdout.flush()
    pulling = context.client.images.pull_progress(
        reference,
        platform=options.platform,
        all_platforms=options.all_platforms,
        auth=context.auth(reference),
    )
    image = show_pull(pulling, reference, sys.stdout, quiet=options.quiet, before=before)
    return _complete(with_tag(reference), list(image.references))


def _known(reference: str, context: Context) -> list[str]:
    """Return the digest references of the image that a reference means now; none without an image."""
    from scow.contract.errors import ScowError

    try:
        return list(context.client.images.get(reference).repo_digests)
    except ScowError:  # the pull itself tells what is wrong
        return []


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
            Flag("all-tags", "a", help="Download all tagged images in the repository"),
            Flag("all-platforms", help="Keep an index whole: download the images of all platforms"),
            DISABLE_CONTENT_TRUST,
            PLATFORM,
            Flag("quiet", "q", help="Suppress verbose output"),
        ),
        least=1,
        most=1,
    ),
)
