"""`push`."""

from __future__ import annotations

import sys

from scow.cli.flags.container_flags import PLATFORM
from scow.cli.flags.docker_trust import DISABLE_CONTENT_TRUST, refuse_docker_trust
from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.image.v1.registry_pb2 import PushResult
    from scow.cli.context import Context


def _push(options: Options, context: Context) -> int:
    from scow.words.references import parted, with_tag

    refuse_docker_trust(options)
    reference = options.args[0]
    name, tag = parted(reference)
    if options.all_tags and (tag or "@" in reference):
        raise UsageError("tag can't be used with --all-tags/-a", 1)
    references = _tagged(reference, context) if options.all_tags else [with_tag(reference)]
    if not options.quiet:
        if not options.all_tags and references != [reference]:
            context.out("Using default tag: latest")
        context.out(f"The push refers to repository [{_complete(name)}]")
    for each in references:
        result = _one(each, options, context)
        if not options.quiet:
            tag = parted(each)[1] or each.partition("@")[2]
            context.out(f"{tag}: digest: {result.digest} size: {result.size}")
    if options.quiet:
        context.out(reference if options.all_tags else result.reference)
    return 0


def _one(reference: str, options: Options, context: Context) -> PushResult:
    """Push one reference; of an index of which only this machine's image is here, that one."""
    from scow.contract.errors import ContentMissing

    try:
        return _send(reference, options.platform, options, context)
    except ContentMissing:
        if options.platform:
            raise
        from scow.cli.output.rows import platform_text

        platform = platform_text(context.client.images.get(reference).platform)
        context.warn(
            f"Not all platforms of {reference} are here: only its image for {platform} is pushed"
        )
        return _send(reference, platform, options, context)


def _send(reference: str, platform: str, options: Options, context: Context) -> PushResult:
    from scow.cli.output.progress import show_push

    sys.stdout.flush()
    pushing = context.client.images.push_progress(
        reference, platform=platform, auth=context.auth(reference)
    )
    return show_push(pushing, reference, sys.stdout, quiet=options.quiet)


def _tagged(name: str, context: Context) -> list[str]:
    """Return all names in a repository."""
    from scow.contract.errors import ImageNotFound
    from scow.words.references import parted

    wanted = _complete(name)
    found = {
        reference
        for image in context.client.images.list(filters={"reference": name})
        for reference in image.references
        if parted(reference)[0] == wanted
    }
    if not found:
        raise ImageNotFound(
            f"there is no image {name}", what="image", which=name, do="tag one with this name first"
        )
    return sorted(found)


def _complete(name: str) -> str:
    """Return the complete name of a repository."""
    from scow.client.credentials import HUB, registry_of

    if registry_of(name) != HUB:
        return name
    path = name.removeprefix(f"{HUB}/").removeprefix("index.docker.io/")
    return f"{HUB}/{path}" if "/" in path else f"{HUB}/library/{path}"


VERBS = (
    Verb(
        "push",
        "[OPTIONS] NAME[:TAG]",
        "Upload an image to a registry",
        _push,
        flags=(
            Flag("all-tags", "a", help="Push all tags of an image to the repository"),
            DISABLE_CONTENT_TRUST,
            PLATFORM,
            Flag("quiet", "q", help="Suppress verbose output"),
        ),
        least=1,
        most=1,
    ),
)
