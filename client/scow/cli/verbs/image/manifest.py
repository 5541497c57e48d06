"""`manifest annotate`, `manifest create`, `manifest inspect`, `manifest push` and `manifest rm`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Refused, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
    from scow.words.shapes import manifest as shapes

    *lists, reference = options.args
    found = context.client.manifests.inspect(reference, auth=context.auth(reference))
    if lists:
        _check_listed(lists[0], reference, found.digest, context)
    if not options.verbose:
        indent = "   " if shapes.is_index(found) else "\t"
        context.block(shapes.text(shapes.document(found), indent))
        return 0
    if not shapes.is_index(found):
        name = _complete(reference, found.reference)
        context.block(shapes.text(shapes.verbose(name, found), "\t"))
        return 0
    context.block(shapes.text(_children(reference, found, context), "\t"))
    return 0


def _children(
    reference: str, found: GetManifestResponse, context: Context
) -> list[dict[str, object]]:
    """Return what `--verbose` tells of each manifest of an index."""
    from scow.words.shapes import manifest as shapes

    repository = found.reference.partition("@")[0]
    top = _complete(reference, repository).partition("@")[0]
    children = []
    for entry in shapes.document(found)["manifests"]:
        name = f"{repository}@{entry['digest']}"
        child = context.client.manifests.inspect(name, auth=context.auth(name))
        children.append(shapes.verbose(f"{top}@{entry['digest']}", child, entry))
    return children


def _complete(reference: str, found: str) -> str:
    """Return a reference with the whole name of its repository, as it was found."""
    from scow.words.references import parted, with_tag

    _, at, digest = reference.partition("@")
    repository = found.partition("@")[0]
    return f"{repository}@{digest}" if at else f"{repository}:{parted(with_tag(reference))[1]}"


def _check_listed(index: str, reference: str, digest: str, context: Context) -> dict[str, Any]:
    """Return the platform that an index tells of a manifest, with its keys."""
    from scow.words.shapes import manifest as shapes

    listed = context.client.manifests.inspect(index, auth=context.auth(index))
    if shapes.is_index(listed):
        for entry in shapes.document(listed)["manifests"]:
            if entry["digest"] == digest:
                return dict(entry.get("platform") or {})
    raise Refused(f"no such manifest in {index}: {reference}: see scow manifest inspect {index}")


def _annotate(options: Options, context: Context) -> int:
    index, reference = options.args
    found = context.client.manifests.inspect(reference, auth=context.auth(reference))
    known = _check_listed(index, reference, found.digest, context)
    parts = (
        options.os or known.get("os") or "linux",
        options.arch or known.get("architecture"),
        options.variant or ("" if options.arch else known.get("variant")),
    )
    features = [each for text in options.os_features for each in text.split(",") if each]
    context.client.manifests.create(
        index,
        [f"{found.reference.partition('@')[0]}@{found.digest}"],
        amend=True,
        platform="/".join(part for part in parts if part),
        os_version=options.os_version or known.get("os.version", ""),
        os_features=dict.fromkeys([*known.get("os.features", ()), *features]),
        auth=context.auth(reference),
    )
    return 0


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
        "manifest annotate",
        "[OPTIONS] MANIFEST_LIST MANIFEST",
        "Add additional information to a local image manifest",
        _annotate,
        flags=(
            Flag("arch", kind="string", help="Set architecture"),
            Flag("os", kind="string", help="Set operating system"),
            Flag("os-features", kind="list", help="Set operating system feature"),
            Flag("os-version", kind="string", help="Set operating system version"),
            Flag("variant", kind="string", help="Set architecture variant"),
        ),
        least=2,
        most=2,
    ),
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
