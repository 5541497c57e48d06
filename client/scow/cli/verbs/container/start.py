"""`start`."""

from __future__ import annotations

from scow.cli.flags import refused
from scow.cli.flags.container_flags import DETACH_KEYS, SIG_PROXY
from scow.cli.flags.parser import Flag, Options, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _start(options: Options, context: Context) -> int:
    if options.attach or options.interactive:
        if len(options.args) > 1:
            raise UsageError("you cannot start and attach multiple containers at once", 1)
        return _start_attached(options, context)

    def start(name: str) -> str:
        context.warn_all(context.client.containers.start(name).warnings)
        return name

    return context.each(options.args, start)


def _start_attached(options: Options, context: Context) -> int:
    from scow.cli.io.attached import Foreground

    container = context.client.containers.get(options.args[0])
    foreground = Foreground(
        context.client,
        container.id,
        tty=container.config.tty,
        stdin=options.interactive and container.config.stdin_open,
        detach_keys=options.detach_keys,
        # With a terminal, keys are what reaches the process; so it is in Docker.
        sig_proxy=options.sig_proxy and not container.config.tty,
        auto_remove=container.config.auto_remove,
        warn=context.warn_all,
    )
    return foreground.stay(start=True)


VERBS = (
    Verb(
        "start",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        "Start one or more stopped containers",
        _start,
        flags=(
            Flag("attach", "a", help="Attach STDOUT/STDERR and forward signals"),
            Flag("interactive", "i", help="Attach container's STDIN"),
            DETACH_KEYS,
            SIG_PROXY,
            *refused.START,
        ),
        least=1,
        reads_input=lambda options: options.interactive,
    ),
)
