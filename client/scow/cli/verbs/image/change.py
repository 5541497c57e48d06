"""`rmi` and `tag`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _remove(options: Options, context: Context) -> int:
    from scow.contract.errors import ImageNotFound
    from scow.words.references import familiar

    def remove(name: str) -> None:
        try:
            gone = context.client.images.remove(name, force=options.force)
        except ImageNotFound as error:
            if not options.force:
                raise
            context.fail(error)  # told, but what was wanted is so
            return
        for reference in gone.untagged:
            context.out(f"Untagged: {familiar(reference)}")
        for digest in gone.deleted:
            context.out(f"Deleted: {digest}")

    return context.each(options.args, remove, in_turn=True)


def _tag(options: Options, context: Context) -> int:
    context.client.images.tag(*options.args)
    return 0


VERBS = (
    Verb(
        "rmi",
        "[OPTIONS] IMAGE [IMAGE...]",
        "Remove one or more images",
        _remove,
        flags=(
            Flag("force", "f", help="Force removal of the image"),
            Flag("no-prune", help="Without effect: images here have no untagged parents"),
        ),
        least=1,
    ),
    Verb(
        "tag",
        "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
        "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
        _tag,
        least=2,
        most=2,
    ),
)
