"""`run` and `create`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager

from scow.cli.flags.container_flags import CREATE_FLAGS, RUN_FLAGS
from scow.cli.flags.docker_trust import refuse_docker_trust
from scow.cli.flags.parser import Flag, Options, Refused, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scow.api.container.v1.container_pb2 import ContainerConfig, CreateResponse
    from scow.cli.context import Context


def _create(options: Options, context: Context) -> int:
    _check(options)
    from scow.cli.flags.container_config import build

    config = build(options)
    if options.dry_run:
        problems = context.client.containers.preflight(config, name=options.name)
        for problem in problems:
            context.fail(problem)
        return 1 if problems else 0
    context.out(_create_container(config, options, context))
    return 0


def _run(options: Options, context: Context) -> int:
    from scow.cli.io.attached import require_terminal

    _check(options)
    if options.detach and options.attach:
        raise UsageError("conflicting options: cannot specify both --attach and --detach")
    if not options.detach:
        require_terminal(options.tty, options.interactive)
    from scow.cli.flags.container_config import build

    config = build(options)
    container = _create_container(config, options, context)
    try:
        if options.detach:
            context.warn_all(context.client.containers.start(container).warnings)
            context.out(container)
            return 0
        return _stay(container, options, context)
    except BaseException:
        if config.auto_remove:
            _discard(container, context)
        raise


def _check(options: Options) -> None:
    refuse_docker_trust(options)
    if options.cidfile and os.path.exists(options.cidfile):
        raise UsageError(
            f"container ID file found, make sure the other container isn't running or delete"
            f" {options.cidfile}"
        )


def _create_container(config: ContainerConfig, options: Options, context: Context) -> str:
    """Create it, pulling the image when that is due, and return its id."""
    with _id_file(options.cidfile) as write_id:
        created = _create_pulled(config, options, context)
        write_id(created.container.id)
    context.warn_all(created.warnings)
    return created.container.id


@contextmanager
def _id_file(path: str) -> Iterator[Callable[[str], object]]:
    """Make the file of `--cidfile`, before there is a container; take it away when none comes to be.

    Raises:
        Refused: It cannot be made.
    """
    if not path:
        yield lambda _: None
        return
    try:
        file = open(path, "x", encoding="ascii")  # noqa: SIM115  closed below
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Refused(f"failed to create the container ID file: open {path}: {reason}") from None
    with file:
        try:
            yield file.write
        except BaseException:
            os.unlink(path)
            raise


_DRY_RUN = Flag(
    "dry-run", help="Make nothing; tell all that create and start would refuse (scow's own)"
)
# An image that was pulled may be pruned before a container has it: it is pulled so often.
_PULLS = 3


def _create_pulled(config: ContainerConfig, options: Options, context: Context) -> CreateResponse:
    from scow.contract.errors import ImageNotFound, PlatformNotFound

    containers = context.client.containers
    tries = 0
    while True:
        if tries or options.pull == "always":
            _pull(options, context)
        try:
            return containers.create_from(config, name=options.name)
        except (ImageNotFound, PlatformNotFound) as error:
            tries += 1
            mounted = {mount.source for mount in config.mounts if mount.type == "image"}
            if options.pull == "never" or tries > _PULLS or error.which in mounted - {config.image}:
                raise
        if not options.quiet:
            from scow.words.references import with_tag

            context.warn(f"Unable to find image '{with_tag(config.image)}' locally")


def _pull(options: Options, context: Context) -> None:
    from scow.cli.output.progress import show_pull

    image = options.args[0]
    pulling = context.client.images.pull_progress(
        image, platform=options.platform, auth=context.auth(image)
    )
    show_pull(pulling, image, sys.stderr, quiet=options.quiet)


def _stay(container: str, options: Options, context: Context) -> int:
    from scow.cli.io.attached import Foreground

    streams = options.attach or ["stdout", "stderr"]
    foreground = Foreground(
        context.client,
        container,
        tty=options.tty,
        stdin=options.interactive and (not options.attach or "stdin" in options.attach),
        outputs=("stdout" in streams, "stderr" in streams),
        detach_keys=options.detach_keys,
        sig_proxy=options.sig_proxy,
        auto_remove=options.rm,
        warn=context.warn_all,
    )
    return foreground.stay(start=True)


def _discard(container: str, context: Context) -> None:
    """Remove a container that never ran; one that runs is left to its own end."""
    from scow.contract.errors import ScowError

    try:
        context.client.containers.remove(container, volumes=True)
    except ScowError:
        return


_USAGE = "[OPTIONS] IMAGE [COMMAND] [ARG...]"
VERBS = (
    Verb(
        "run",
        _USAGE,
        "Create and run a new container from an image",
        _run,
        flags=RUN_FLAGS,
        least=1,
        interspersed=False,
        failure=125,
        reads_input=lambda options: options.interactive and not options.detach,
    ),
    Verb(
        "create",
        _USAGE,
        "Create a new container",
        _create,
        flags=(*CREATE_FLAGS, _DRY_RUN),
        least=1,
        interspersed=False,
    ),
)
