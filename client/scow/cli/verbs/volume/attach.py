"""`volume attach` and `volume detach`."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, UsageError, Verb
from scow.client import mount_specs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _attach(options: Options, context: Context) -> int:
    from scow.api.container.v1.container_pb2 import MountSpec

    container, *texts = options.args
    try:
        specs = [MountSpec(**mount_specs.parse_volume(text)) for text in texts]
    except ValueError as error:
        raise UsageError(str(error), 1) from None
    specs += [MountSpec(**fields) for fields in options.mount]
    if not specs:
        raise UsageError("nothing to attach: give SOURCE:TARGET, or --mount", 1)
    for spec in specs:
        made = context.client.containers.attach_mount(container, spec)
        context.out(made.name or made.destination)
    return 0


def _detach(options: Options, context: Context) -> int:
    container, *targets = options.args

    def detach(target: str) -> str:
        context.client.containers.detach_mount(container, target, force=options.force)
        return target

    return context.each(targets, detach)


VERBS = (
    Verb(
        "volume attach",
        "[OPTIONS] CONTAINER [SOURCE:TARGET[:MODE]...]",
        "Give a container one more mount",
        _attach,
        flags=(
            Flag(
                "mount",
                kind="list",
                shows="mount",
                help="Attach what this says, in the form of run's --mount",
                parse=mount_specs.parse_mount,
            ),
        ),
        least=1,
    ),
    Verb(
        "volume detach",
        "[OPTIONS] CONTAINER TARGET [TARGET...]",
        "Take mounts of a container away",
        _detach,
        flags=(Flag("force", "f", help="Also while processes of the container use it"),),
        least=2,
    ),
)
