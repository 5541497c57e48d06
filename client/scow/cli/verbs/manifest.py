"""`manifest create`, `manifest inspect`, `manifest push` and `manifest rm`."""

from __future__ import annotations

from scow.cli.parser import Flag, Options, Refused, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.image.v1.registry_pb2 import GetManifestResponse
    from scow.cli.context import Context

_INSECURE = Flag(
    "insecure",
    help="Without effect: the engine's configuration says which registries may be insecure",
)


def _create(options: Options, context: Context) -> int:
    reference, *manifests = options.args
    made = context.client.manifests.create(
        reference, manifests, amend=options.amend, auth=context.auth(manifests[0])
    )
    context.out(f"Created manifest list {made.reference}")
    return 0


def _inspect(options: Options, context: Context) -> int:
    from scow.cli.shapes import manifest as shapes

    *lists, reference = options.args
    found = context.client.manifests.inspect(reference, auth=context.auth(reference))
    if lists:
        _check_listed(lists[0], reference, found.digest, context)
    if not options.verbose:
        indent = "   " if shapes.is_index(found) else "\t"
        context.out(shapes.text(shapes.document(found), indent))
        return 0
    if not shapes.is_index(found):
        context.out(shapes.text(shapes.verbose(reference, found), "\t"))
        return 0
    context.out(shapes.text(_children(reference, found, context), "\t"))
    return 0


def _children(
    reference: str, found: GetManifestResponse, context: Context
) -> list[dict[str, object]]:
    """Return what `--verbose` tells of each manifest of an index."""
    from scow.cli.references import parted, with_tag
    from scow.cli.shapes import manifest as shapes

    repository = found.reference.partition("@")[0]
    tag = parted(with_tag(reference))[1]
    children = []
    for entry in shapes.document(found)["manifests"]:
        name = f"{repository}@{entry['digest']}"
        child = context.client.manifests.inspect(name, auth=context.auth(name))
        shown = f"{repository}:{tag}@{entry['digest']}" if tag else name
        children.append(shapes.verbose(shown, child, entry))
    return children


def _check_listed(index: str, reference: str, digest: str, context: Context) -> None:
    listed = context.client.manifests.inspect(index, auth=context.auth(index))
    if digest not in (part.digest for part in listed.parts):
        raise Refused(
            f"no such manifest in {index}: {reference}: see scow manifest inspect {index}"
        )


def _push(options: Options, context: Context) -> int:
    reference = options.args[0]
    pushed = context.client.images.push(reference, auth=context.auth(reference))
    context.out(pushed.digest)
    if options.purge:
        context.client.manifests.remove(reference)
    return 0


def _remove(options: Options, context: Context) -> int:
    def remove(reference: str) -> None:
        context.client.manifests.remove(reference)

    return context.each(options.args, remove)


VERBS = (
    Verb(
        "manifest create",
        "MANIFEST_LIST MANIFEST [MANIFEST...]",
        "Create a local manifest list for annotating and pushing to a registry",
        _create,
        flags=(Flag("amend", "a", help="Amend an existing manifest list"), _INSECURE),
        least=2,
    ),
    Verb(
        "manifest inspect",
        "[OPTIONS] [MANIFEST_LIST] MANIFEST",
        "Display an image manifest, or manifest list",
        _inspect,
        flags=(
            _INSECURE,
            Flag("verbose", "v", help="Output additional info including layers and platform"),
        ),
        least=1,
        most=2,
    ),
    Verb(
        "manifest push",
        "[OPTIONS] MANIFEST_LIST",
        "Push a manifest list to a repository",
        _push,
        flags=(
            _INSECURE,
            Flag("purge", "p", help="Remove the local manifest list after push"),
        ),
        least=1,
        most=1,
    ),
    Verb(
        "manifest rm",
        "MANIFEST_LIST [MANIFEST_LIST...]",
        "Delete one or more manifest lists from local storage",
        _remove,
        least=1,
    ),
)
