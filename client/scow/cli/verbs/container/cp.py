"""`cp`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context
    from scow.cli.output.copy_progress import CopyProgress


def _cp(options: Options, context: Context) -> int:
    from scow.contract.errors import ScowError

    (source, path), (target, place) = (_split(text) for text in options.args)
    if not options.args[0]:
        raise UsageError("source can not be empty", 1)
    if not options.args[1]:
        raise UsageError("destination can not be empty", 1)
    if source and target:
        raise UsageError("copying between containers is not supported", 1)
    if not source and not target:
        raise UsageError("must specify at least one container source", 1)
    try:
        if source:
            _out(source, path, place, options, context)
        else:
            _into(path, target, place, options, context)
    except OSError as error:
        if isinstance(error, ScowError):
            raise
        context.fail(f"{error.filename or 'copy'}: {(error.strerror or str(error)).lower()}")
        return 1
    return 0


def _split(text: str) -> tuple[str, str]:
    """Return the container, empty for a local path, and the path; a local path with a colon begins with "/" or "."."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    return container, path


def _out(container: str, path: str, target: str, options: Options, context: Context) -> None:
    containers = context.client.containers
    if target == "-":
        with containers.copy_out_stream(container, path) as messages:
            for message in messages:
                sys.stdout.buffer.write(message.chunk)
        sys.stdout.buffer.flush()
        return
    with _progress(options, "Copying from container") as progress:
        containers.copy_out(
            container,
            path,
            target,
            follow=options.follow_link,
            owners=options.archive,
            progress=progress.add,
        )
        import os

        progress.done(os.path.abspath(target) if not target.endswith("/") else target)


def _into(path: str, container: str, target: str, options: Options, context: Context) -> None:
    with _progress(options, "Copying to container") as progress:
        context.client.containers.copy_in(
            container,
            sys.stdin.buffer if path == "-" else path,
            target,
            follow=options.follow_link,
            progress=progress.add,
        )
        progress.done(f"{container}:{target}")


def _progress(options: Options, title: str) -> CopyProgress:
    from scow.cli.output.copy_progress import CopyProgress

    quiet = options.quiet if "quiet" in options.given else not sys.stderr.isatty()
    return CopyProgress(title, quiet=quiet)


VERBS = (
    Verb(
        "cp",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       scow cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        "Copy files/folders between a container and the local filesystem",
        _cp,
        flags=(
            Flag("archive", "a", help="Archive mode (copy all uid/gid information)"),
            Flag("follow-link", "L", help="Always follow symbol link in SRC_PATH"),
            Flag(
                "quiet",
                "q",
                help="Suppress progress output during copy. Progress output is automatically suppressed if no"
                " terminal is attached",
            ),
        ),
        least=2,
        most=2,
        reads_input=lambda options: options.args[:1] == ["-"],
    ),
)
