"""`image pin`, `image unpin` and `image gc`: verbs that Docker does not have."""

from __future__ import annotations

from scow.cli.flags.parser import Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _pin(options: Options, context: Context) -> int:
    def pin(name: str) -> str:
        context.client.store.pin(name)
        return name

    return context.each(options.args, pin)


def _unpin(options: Options, context: Context) -> int:
    def unpin(name: str) -> str:
        context.client.store.unpin(name)
        return name

    return context.each(options.args, unpin)


def _collect(options: Options, context: Context) -> int:
    from scow.words.units import human_size

    done = context.client.store.collect()
    for action in done.actions:
        context.out(f"{action.action} {action.object}: {action.detail}")
    context.out(f"Total reclaimed space: {human_size(done.space_reclaimed)}")
    return 0


VERBS = (
    Verb(
        "image pin",
        "IMAGE [IMAGE...]",
        "Keep images from being collected and pruned (scow's own)",
        _pin,
        least=1,
    ),
    Verb(
        "image unpin",
        "IMAGE [IMAGE...]",
        "Let pinned images be collected again (scow's own)",
        _unpin,
        least=1,
    ),
    Verb(
        "image gc",
        "",
        "Delete what nothing holds, and unused images when the disk is too full (scow's own)",
        _collect,
        most=0,
    ),
)
