"""`attach`."""

from __future__ import annotations

from scow.cli.flags.container_flags import DETACH_KEYS, SIG_PROXY
from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _attach(options: Options, context: Context) -> int:
    from scow.cli.io.attached import Foreground, require_terminal

    container = context.client.containers.get(options.args[0])
    stdin = container.config.stdin_open and not options.no_stdin
    require_terminal(container.config.tty, stdin)
    foreground = Foreground(
        context.client,
        container.id,
        tty=container.config.tty,
        stdin=stdin,
        detach_keys=options.detach_keys,
        # With a terminal, keys are what reaches the process; so it is in Docker.
        sig_proxy=options.sig_proxy and not container.config.tty,
    )
    return foreground.stay(start=False)


VERBS = (
    Verb(
        "attach",
        "[OPTIONS] CONTAINER",
        "Attach local standard input, output, and error streams to a running container",
        _attach,
        flags=(
            DETACH_KEYS,
            Flag("no-stdin", help="Do not attach STDIN"),
            SIG_PROXY,
        ),
        least=1,
        most=1,
        reads_input=lambda options: not options.no_stdin,
    ),
)
